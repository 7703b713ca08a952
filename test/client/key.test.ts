import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { OrderService, WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { createLeadlineWebClient } from "../../src/client/browser.ts";
import { KeyReplaced, type KeySource, keyNow } from "../../src/client/key.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import { Status } from "../../src/client/status.ts";
import type { OrdersWatch, WatchOrdersOptions } from "../../src/client/watch.ts";
import { GrpcServer } from "./grpc-server.ts";
import { events, positionAt, settled, started } from "./scripted-streams.ts";
import { watching } from "./watching.ts";

const opened: { close(): void }[] = [];

afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

const nowhere = "127.0.0.1:1";
const split = "lead_owner_a\nlead_owner_b";

/** What `run` fails with. A throw before there is a promise is another failure. */
async function failureOf(run: () => Promise<unknown>): Promise<unknown> {
  const call = run();
  return await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}

function nodeClient(key: KeySource, address = nowhere) {
  const client = createLeadlineClient({ address, key });
  opened.push(client);
  return client;
}

function webClient(key: KeySource, baseUrl = `http://${nowhere}`) {
  return createLeadlineWebClient({ baseUrl, key });
}

const soon = { backoff: { firstMs: 1, maxMs: 1 } };

describe.each([
  ["over gRPC", (key: KeySource) => nodeClient(key)],
  ["over fetch", (key: KeySource) => webClient(key)],
])("a key that cannot be used, %s", (_, clientOf) => {
  const failing = (): string => {
    throw new TypeError(`no such file, and no ${split}`);
  };

  test.each<[string, KeySource, RegExp]>([
    ["has a line end in it", split, /line end .* one word/],
    ["has a blank in it", "lead_owner_a lead_owner_b", /blank/],
    ["is not ASCII", "lead_owner_\u00e9", /ASCII/],
    ["comes with a line end from a function", () => split, /line end/],
    ["comes from a function that throws", failing, /function that gives the key threw/],
    // As calls from JavaScript may have it.
    ["is a Buffer", Buffer.from("lead_owner_a") as unknown as string, /no text/],
    ["is a promise", (async () => "lead_owner_a") as unknown as () => string, /no text/],
  ])("one that %s ends watches, rejects calls, and is not shown", async (_what, key, message) => {
    const client = clientOf(key);
    const states: string[] = [];
    const onConnection = ({ state }: { readonly state: string }) => void states.push(state);
    for (const watch of [client.watchOrders({ onConnection, ...soon }), client.watchBookings(soon)]) {
      const error = await failureOf(() => watch.next());
      expect(error).toBeInstanceOf(LeadlineError);
      expect(error).toMatchObject({ code: Status.UNAUTHENTICATED, message: expect.stringMatching(message) });
      expect(String(error)).not.toContain("lead_");
    }
    expect(states).toEqual(["connecting"]);
    const error = await failureOf(() => client.orders.getOrder({ orderId: "po-1" }));
    expect(error).toMatchObject({ code: Status.UNAUTHENTICATED, message: expect.stringMatching(message) });
    expect(String(error)).not.toContain("lead_");
  });

  test("what the function threw is the cause", async () => {
    const error = await failureOf(() => clientOf(failing).watchOrders().next());
    expect(error).toMatchObject({ cause: expect.any(TypeError) });
  });
});

test("calls over gRPC reject with a LeadlineError where the key cannot be used", async () => {
  expect(await failureOf(() => nodeClient(split).orders.getOrder({}))).toBeInstanceOf(LeadlineError);
});

test("blanks and line ends around a key are no part of it", () => {
  expect([" lead_owner_a\r\n", () => "lead_owner_a\n", "\n", "", undefined].map(keyNow)).toEqual([
    "lead_owner_a",
    "lead_owner_a",
    "",
    "",
    "",
  ]);
});

test.each([
  ["a certificate", { address: `https://${nowhere}`, certificate: { cert: "none", key: "none" } }],
  ["an address", { address: "" }],
])("%s that cannot be used ends watches and rejects calls", async (_, options) => {
  const client = createLeadlineClient(options);
  opened.push(client);
  for (const run of [() => client.watchOrders(soon).next(), () => client.orders.getOrder({})]) {
    const error = await failureOf(run);
    expect(error).toBeInstanceOf(LeadlineError);
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT, message: expect.stringContaining("cannot be used") });
  }
});

describe("a refused key with another in its place", () => {
  /** A server that takes one key, which the test may change; and what it was asked with. */
  interface Door {
    readonly asked: string[];
    accepted: string;
    /** Refuses the key that it has taken, in the middle of the stream. */
    expire(): void;
    watch(key: KeySource, options: WatchOrdersOptions): OrdersWatch;
  }

  const told = (revision: number) => create(WatchOrdersResponseSchema, events(revision));
  const head = create(WatchOrdersResponseSchema, started(positionAt(1)));

  async function grpcDoor(): Promise<Door> {
    const asked: string[] = [];
    const refusal = { code: Status.UNAUTHENTICATED, details: "expired" };
    const server = new GrpcServer({
      watchOrders(call) {
        const word = String(call.metadata.get("authorization")[0]);
        asked.push(word);
        if (word !== `Bearer ${door.accepted}`) {
          call.emit("error", refusal);
          return;
        }
        call.write(head);
        call.write(told(asked.length + 1));
        door.expire = () => call.emit("error", refusal);
      },
    });
    opened.push({ close: () => server.cut() });
    const address = await server.listen();
    const door: Door = {
      asked,
      accepted: "",
      expire: () => undefined,
      watch: (key, options) => nodeClient(key, address).watchOrders(options),
    };
    return door;
  }

  async function connectDoor(): Promise<Door> {
    const asked: string[] = [];
    const handler = connectNodeAdapter({
      routes: (router) =>
        router.service(OrderService, {
          async *watchOrders(_request, { requestHeader }) {
            const word = String(requestHeader.get("authorization"));
            asked.push(word);
            if (word === `Bearer ${door.accepted}`) {
              const { promise, resolve } = Promise.withResolvers<void>();
              door.expire = resolve;
              yield head;
              yield told(asked.length + 1);
              await promise;
            }
            throw new ConnectError("expired", Code.Unauthenticated);
          },
        }),
    });
    const server = createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    opened.push({
      close: () => {
        server.close();
        server.closeAllConnections();
      },
    });
    const { port } = server.address() as AddressInfo;
    const door: Door = {
      asked,
      accepted: "",
      expire: () => undefined,
      watch: (key, options) => webClient(key, `http://127.0.0.1:${port}`).watchOrders(options),
    };
    return door;
  }

  describe.each([
    ["over gRPC", grpcDoor],
    ["over fetch", connectDoor],
  ])("%s", (_, open) => {
    test("is no end of the watch: it goes on with that one, each time", async () => {
      const door = await open();
      door.accepted = "lead_1";
      let key = "lead_1";
      const watch = door.watch(() => key, { position: positionAt(1), ...soon });
      const seen: string[] = [];
      for await (const item of watch) {
        if (item.type !== "event") continue;
        seen.push(item.event.position);
        if (seen.length === 3) break;
        key = `lead_${seen.length + 1}`;
        door.accepted = key;
        door.expire();
      }
      expect(seen).toEqual([2, 3, 4].map(positionAt));
      expect(door.asked).toEqual(["Bearer lead_1", "Bearer lead_2", "Bearer lead_3"]);
    });

    test("is refused but once more, however many the function has", async () => {
      const door = await open();
      door.accepted = "lead_another";
      let given = 0;
      const next = (): string => {
        given += 1;
        return `lead_${given}`;
      };
      const watch = door.watch(next, soon);
      const error = await failureOf(() => watch.next());
      expect(error).toMatchObject({ name: "LeadlineError", code: Status.UNAUTHENTICATED, message: "expired" });
      expect(door.asked).toHaveLength(2);
    });

    test("must be another: the same is not tried again", async () => {
      const door = await open();
      const error = await failureOf(() => door.watch(() => "lead_1", soon).next());
      expect(error).toMatchObject({ code: Status.UNAUTHENTICATED, message: "expired" });
      expect(door.asked).toEqual(["Bearer lead_1"]);
    });

    test("a throw in place of another is told", async () => {
      const door = await open();
      let given = 0;
      const once = (): string => {
        given += 1;
        if (given === 1) return "lead_1";
        throw new Error("logged out");
      };
      const error = await failureOf(() => door.watch(once, soon).next());
      expect(error).toMatchObject({ code: Status.UNAUTHENTICATED, cause: { message: "logged out" } });
      expect(door.asked).toEqual(["Bearer lead_1"]);
    });
  });

  test("waits as any other stream does, and tells why", async () => {
    const { server, clock, states, over } = watching({ position: positionAt(1) });
    await settled();
    const refused = new LeadlineError(Status.UNAUTHENTICATED, "expired", { reason: "CREDENTIAL_EXPIRED" });
    server.stream(1).fail(new KeyReplaced(refused));
    await settled();
    expect(states.at(-1)).toMatchObject({ state: "waiting", delayMs: 100, error: { reason: "CREDENTIAL_EXPIRED" } });
    await clock.advance(100);
    server.stream(2).fail(new KeyReplaced(refused));
    await expect(over).rejects.toMatchObject({ code: Status.UNAUTHENTICATED, reason: "CREDENTIAL_EXPIRED" });
    expect(server.streams).toHaveLength(2);
  });
});
