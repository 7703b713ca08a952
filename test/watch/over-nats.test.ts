import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { NatsBus } from "../../src/bus/nats.ts";
import { Hubs } from "../../src/watch/hubs.ts";
import { until } from "../bus/contract.ts";
import { startNats } from "../support/nats.ts";
import { order, positions, specOf } from "./instance.ts";
import { MemoryJournal } from "./memory-journal.ts";
import { RecordingSink } from "./recording-sink.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test("what was committed while NATS was away reaches another instance's watches once it is back", async () => {
  let server = await startNats();
  closers.push(() => server.stop());
  const journal = new MemoryJournal();
  const log = pino({ level: "silent" });
  const [one, two] = [server, server].map(({ url }) => {
    const bus = new NatsBus({ servers: [url], deployment: "test", secret: Buffer.alloc(32), log, retryMs: 50 });
    // No comparison but those that the bus asks for.
    const hubs = new Hubs({ reader: journal, bus, positions, log, options: { headCheckMs: 600_000 } });
    closers.push(
      () => bus.close(),
      () => hubs.close(),
    );
    return { bus, hubs };
  });
  if (!one || !two) throw new Error("two instances are needed");
  await until(() => one.bus.stats().connected && two.bus.stats().resyncs > 0);
  const sink = new RecordingSink();
  two.hubs.open(specOf({}), sink);
  const heard: string[] = [];
  two.bus.follow("t1", ({ say }) => heard.push(say));
  await until(() => sink.story.includes("started") && heard.includes("unsure")); // the subscription stands
  one.bus.publish(journal.commit("t1", order("o1")));
  await until(() => sink.story.includes("o1@1"));

  const { port } = server;
  await server.kill();
  await until(() => !one.bus.stats().connected && !two.bus.stats().connected);
  one.bus.publish(journal.commit("t1", order("o2")));
  server = await startNats({ port });
  await until(() => sink.story.includes("o2@2"));
  await until(() => one.bus.stats().resyncs === 2);
  const revoked: string[] = [];
  two.bus.onRevocation((credential) => revoked.push(credential));
  one.bus.announceRevocation("key_1");
  await until(() => revoked.length > 0);
  two.hubs.endCredential("key_1");
  await until(() => sink.outcome !== undefined);
  expect(sink.story).toEqual(["started", "o1@1", "o2@2", "bookmark", "end"]);
});
