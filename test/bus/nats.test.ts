import { connect } from "nats";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeHint } from "../../src/bus/hint-codec.ts";
import { NatsBus, type NatsBusOptions } from "../../src/bus/nats.ts";
import { tenantSubject } from "../../src/bus/nats-names.ts";
import { Seal } from "../../src/bus/seal.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { describeBus, eventsHeard, extensionOf, type Pair, until } from "./contract.ts";

const SECRET = Buffer.alloc(32, "a secret");

let server: NatsServer;
let open: NatsBus[] = [];

beforeEach(async () => {
  server = await startNats();
});

afterEach(async () => {
  await Promise.all(open.map((bus) => bus.close()));
  open = [];
  await server.stop();
});

function busOn(options: Partial<NatsBusOptions> = {}): NatsBus {
  const log = pino({ level: "silent" });
  const bus = new NatsBus({ servers: [server.url], deployment: "test", secret: SECRET, log, retryMs: 50, ...options });
  open.push(bus);
  return bus;
}

/** What a bus says of a tenant once the server has its subscription. */
async function followed(bus: NatsBus, tenant = "t1"): Promise<ReturnType<typeof eventsHeard>> {
  await until(() => bus.stats().resyncs > 0);
  const following = eventsHeard(bus, tenant);
  await until(() => following.hints.length > 0);
  expect(following.hints.splice(0)).toEqual([{ say: "unsure" }]);
  return following;
}

describe("the bus over NATS", () => {
  describeBus(
    async (): Promise<Pair> => {
      const [one, two] = [busOn(), busOn()];
      await until(() => one.stats().resyncs > 0 && two.stats().resyncs > 0);
      return { one, two };
    },
    async (bus) => {
      let settled = false;
      bus.follow("settled", () => {
        settled = true;
      });
      await until(() => settled);
    },
  );

  test("says where the head is when the events are too large to send", async () => {
    const [one, two] = [busOn({ hintMaxBytes: 1_000 }), busOn()];
    const { hints } = await followed(two);
    await until(() => one.stats().connected);
    one.publish(extensionOf("t1", 0n, 3, 400));
    one.publish(extensionOf("t1", 3n, 2, 100));
    await until(() => hints.length === 2);
    expect(hints[0]).toEqual({ say: "head", head: { revision: 3n, eventId: "0000000000003" } });
    expect(hints[1]?.say).toBe("events");
  });

  test("never sends more than the server takes", async () => {
    const [one, two] = [busOn({ hintMaxBytes: 100_000_000 }), busOn()];
    const { hints } = await followed(two);
    await until(() => one.stats().connected);
    one.publish(extensionOf("t1", 0n, 40, 100_000));
    await until(() => hints.length === 1);
    expect(hints[0]?.say).toBe("head");
  });

  test("drops what cannot be read, counts it, and says that it is unsure", async () => {
    const bus = busOn();
    const { hints } = await followed(bus);
    const stranger = await connect({ servers: server.url });
    const seal = new Seal(SECRET);
    const subject = tenantSubject("test", "t1");
    for (const bytes of [[], [1], [9, 1, 2], [1, 1, 2, 116, 50, 0], Array(500).fill(255)]) {
      stranger.publish(subject, seal.close(subject, Uint8Array.from(bytes)));
    }
    stranger.publish("leadline.test.revoked", seal.close("leadline.test.revoked", Uint8Array.from([9])));
    await stranger.flush();
    await until(() => bus.stats().malformed === 6);
    expect(hints).toEqual(Array(5).fill({ say: "unsure" }));
    await stranger.close();
  });

  test("takes nobody's word but that of instances: not a stranger's, not of another deployment, not under another name", async () => {
    const bus = busOn();
    const { hints } = await followed(bus);
    const revoked: string[] = [];
    bus.onRevocation((credential) => revoked.push(credential));
    const stranger = await connect({ servers: server.url });
    const subject = tenantSubject("test", "t1");
    const hint = encodeHint(extensionOf("t1", 0n, 1), 1_000);
    const revocation = Buffer.concat([Buffer.of(1), Buffer.from("key_1")]);
    const others = new Seal(Buffer.alloc(32, "another secret"));
    const ours = new Seal(SECRET);
    for (const bytes of [
      hint,
      others.close(subject, hint),
      ours.close(tenantSubject("test", "t2"), hint),
      Buffer.concat([hint, Buffer.alloc(16)]),
    ]) {
      stranger.publish(subject, bytes);
    }
    stranger.publish("leadline.test.revoked", revocation);
    stranger.publish("leadline.test.revoked", ours.close(subject, revocation));
    await until(() => bus.stats().malformed === 6);
    expect(hints.splice(0)).toEqual(Array(4).fill({ say: "unsure" }));
    stranger.publish(subject, ours.close(subject, hint));
    stranger.publish("leadline.test.revoked", ours.close("leadline.test.revoked", revocation));
    await until(() => hints.length === 1 && revoked.length === 1);
    expect([hints[0]?.say, revoked]).toEqual(["events", ["key_1"]]);
    await stranger.close();
  });

  test("keeps deployments apart", async () => {
    const [mine, theirs] = [busOn(), busOn({ deployment: "other" })];
    const other = busOn();
    const { hints } = await followed(mine);
    await until(() => theirs.stats().connected && other.stats().connected);
    theirs.publish(extensionOf("t1", 5n, 1));
    other.publish(extensionOf("t1", 6n, 1));
    await until(() => hints.length > 0);
    expect(hints).toHaveLength(1);
    expect(hints[0]).toMatchObject({ extension: { previous: { revision: 6n } } });
    expect(() => busOn({ deployment: "a.b" })).toThrow(RangeError);
  });
});

describe("without a server", () => {
  test("it neither throws nor waits, drops what is said, and comes up once there is one", async () => {
    const { port } = server;
    await server.stop();
    const [one, two] = [busOn(), busOn()];
    const { heard } = eventsHeard(two, "t1");
    one.publish(extensionOf("t1", 0n, 1));
    one.announceRevocation("key_1");
    expect(one.stats()).toMatchObject({ connected: false, published: 0, unsent: 2 });
    server = await startNats({ port });
    await until(() => one.stats().resyncs === 1 && two.stats().resyncs === 1);
    one.publish(extensionOf("t1", 1n, 1));
    await until(() => heard.length === 1);
    expect(heard[0]?.previous.revision).toBe(1n);
  });

  test("it can be closed", async () => {
    await server.stop();
    const bus = busOn();
    await bus.close();
    expect(bus.stats().connected).toBe(false);
  });

  test("that comes back, everything may have been missed, and is said to be; then hints come again", async () => {
    const [one, two] = [busOn(), busOn()];
    const { heard } = await followed(two);
    let resyncs = 0;
    two.onResync(() => {
      resyncs += 1;
    });
    const { port } = server;
    await server.kill();
    await until(() => !one.stats().connected && !two.stats().connected);
    one.publish(extensionOf("t1", 0n, 1));
    expect(one.stats().unsent).toBe(1);
    server = await startNats({ port });
    await until(() => resyncs === 1 && one.stats().resyncs === 2);
    one.publish(extensionOf("t1", 1n, 1));
    await until(() => heard.length === 1);
    expect(heard[0]?.previous.revision).toBe(1n);
  });
});
