import { Server, ServerCredentials, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CallConnection, credential } from "./calls.ts";
import { EventCounter } from "./event-counter.ts";
import { fairness } from "./fairness.ts";
import { hostile } from "./hostile.ts";
import { hop } from "./latency.ts";
import { type BenchOptions, pairRatio, quantile } from "./measure.ts";
import { orderId, PATHS, requests, taken } from "./messages.ts";
import { randomFrom } from "./random.ts";
import { summarised, TARGETS } from "./report.ts";
import { VarintReader, WatchConnection, WatchCounts } from "./streams.ts";
import { read, write } from "./unary.ts";

/** Benches run whole, but with next to nothing to measure: they must not rot. */
const tiny: BenchOptions = { seconds: 2, pairs: 1, scale: 500, profile: undefined, say: () => undefined };

const pass = (bytes: Buffer) => bytes;
const method = (path: string, responseStream: boolean) => ({
  ...{ path, requestStream: false, responseStream },
  ...{ requestDeserialize: pass, requestSerialize: pass, responseSerialize: pass, responseDeserialize: pass },
});
/** Of a message: two events, of which the second begins with the number 300, and another field. */
const EVENTS = Buffer.from("0a0208010a0308ac021a0178", "hex");

describe("the frames", () => {
  let server: Server;
  let port: number;
  beforeAll(async () => {
    server = new Server();
    const implementation: UntypedServiceImplementation = {
      echo: (call: { request: Buffer; metadata: { get(name: string): unknown[] } }, callback: Callback) => {
        const [key] = call.metadata.get("authorization");
        if (key !== "Bearer right") callback({ code: status.UNAUTHENTICATED, details: "no" });
        else if (call.request.length === 0) callback({ code: status.INVALID_ARGUMENT, details: "empty" });
        else callback(null, call.request);
      },
      watch: (call: { write(bytes: Buffer): void; end(): void }) => {
        for (let i = 0; i < 3; i++) call.write(EVENTS);
        call.end();
      },
    };
    server.addService({ echo: method("/test/Echo", false), watch: method("/test/Watch", true) }, implementation);
    port = await new Promise((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
  });
  afterAll(() => server.forceShutdown());

  it("count an answer with status 0, and no other", async () => {
    const calls = await CallConnection.open(port, "/test/Echo");
    const ask = (message: string, key: string) =>
      new Promise<boolean>((resolve) => calls.start(Buffer.from(message), credential(key), resolve));
    expect(await ask("one", "wrong")).toBe(false);
    expect(await ask("two", "right")).toBe(true);
    expect(await ask("", "right")).toBe(false);
    expect(await ask("three", "wrong")).toBe(false);
    expect(await Promise.all(["four", "five"].map((word) => ask(word, "right")))).toEqual([true, true]);
    calls.close();
  });

  it("carry messages of several frames whole, both ways", async () => {
    const calls = await CallConnection.open(port, "/test/Echo");
    const message = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 251));
    const answer = await calls.call(message, credential("right"));
    expect(answer.equals(message)).toBe(true);
    calls.close();
  });

  it("fail the calls of a method that is not there, and of a connection that is lost", async () => {
    const calls = await CallConnection.open(port, "/test/Missing");
    await expect(calls.call(Buffer.from("x"), credential("right"))).rejects.toThrow("status 0");
    calls.close();
    const lost = await CallConnection.open(port, "/test/Echo");
    const asked = lost.call(Buffer.from("x"), credential("right"));
    lost.close();
    await expect(asked).rejects.toThrow("status 0");
    await expect(lost.call(Buffer.from("x"), credential("right"))).rejects.toThrow("status 0");
  });

  it("count the events of streams", async () => {
    const counts = new WatchCounts();
    const seen: number[] = [];
    counts.onEvent = (revision) => seen.push(revision);
    const target = { port, path: "/test/Watch", protocol: "grpc" as const, eventsField: 1, open: false };
    const ended = new Promise<void>((resolve) => {
      counts.onRead = () => {
        if (counts.ended === 2) resolve();
      };
    });
    const watches = await WatchConnection.open(target, counts);
    watches.watch(new Uint8Array(), credential(""));
    watches.watch(new Uint8Array(), credential(""));
    await ended;
    watches.close();
    const { events, messages, started } = counts;
    expect({ events, messages, started }).toEqual({ events: 12, messages: 6, started: 2 });
    expect(seen.filter((revision) => revision === 300)).toHaveLength(6);
  });
});

describe("the count of events", () => {
  const event = (revision: number, rest: string) => Buffer.from([8, revision | 128, 1, ...Buffer.from(rest)]);
  const field = (tag: number, content: Buffer) => Buffer.concat([Buffer.from([tag, content.length]), content]);
  const message = (flags: number, ...fields: Buffer[]) => {
    const content = Buffer.concat(fields);
    const head = Buffer.alloc(5);
    head[0] = flags;
    head.writeUInt32BE(content.length, 1);
    return Buffer.concat([head, content]);
  };
  const other = field(26, Buffer.from("not an event"));
  const stream = Buffer.concat([
    message(0, field(10, event(44, "one")), other, Buffer.from([16, 200, 1]), field(10, Buffer.from([18, 0]))),
    message(0),
    message(0, field(10, event(45, "")), field(10, Buffer.alloc(0)), field(26, Buffer.alloc(0))),
    message(2, field(10, event(46, "in a trailer"))),
  ]);
  const counted = (pieces: Buffer[]) => {
    const counts = new WatchCounts();
    const seen: number[] = [];
    counts.onEvent = (revision) => seen.push(revision);
    const counter = new EventCounter(counts, 1);
    for (const piece of pieces) counter.take(piece, 0, piece.length);
    return { seen, events: counts.events, messages: counts.messages, started: counts.started };
  };

  it("is the same wherever the stream is cut", () => {
    const whole = { seen: [172, 0, 173, 0], events: 4, messages: 4, started: 1 };
    expect(counted([stream])).toEqual(whole);
    expect(counted(Array.from(stream, (byte) => Buffer.of(byte)))).toEqual(whole);
    for (let at = 1; at < stream.length; at++) {
      expect(counted([stream.subarray(0, at), stream.subarray(at)])).toEqual(whole);
    }
  });
});

describe("the requests", () => {
  const next = requests("batch", 1_000, "abcde", randomFrom(1));

  it("are all different and of one length", () => {
    const [one, two] = [next(), next()].map(({ message }) => Buffer.from(message));
    expect(one?.length).toBe(two?.length);
    const ids = [one, two].flatMap((m) => m?.toString("latin1").match(/abcde\d{11}/g) ?? []);
    expect(new Set(ids).size).toBe(400);
  });

  it("name orders all over", () => {
    const get = requests("get", 100, "", randomFrom(2));
    const drawn = Array.from({ length: 2_000 }, get);
    expect(new Set(drawn.map(({ order }) => order)).size).toBe(100);
    expect(drawn.every(({ message, order }) => Buffer.from(message).includes(orderId(order)))).toBe(true);
    expect(PATHS.get).toContain("GetOrder");
  });

  it("count the items of a batch that were taken", () => {
    const results = Buffer.from("0a030a01780a0312017a0a030a0179", "hex"); // taken, refused, taken
    expect(taken(Buffer.concat([Buffer.alloc(5), results]))).toBe(2);
  });

  it("read numbers of any length", () => {
    expect(new VarintReader(Buffer.from("ac02", "hex")).read()).toBe(300);
    expect(new VarintReader(Buffer.from("ffffffffff3f", "hex")).read()).toBe(2 ** 41 - 1);
  });
});

describe("the figures", () => {
  it("are medians and quantiles", () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([1, 2, 3, 4, 5], 1)).toBe(5);
    expect(pairRatio([10, 30, 8], [10, 10, 10])).toBe(1);
  });

  it("replace those of an earlier run and leave the others", () => {
    const readme = "# Benches\n<!-- summary -->\n<!-- /summary -->\nend\n";
    const with1 = summarised(readme, { bench: "write", ratios: { vs_pgbench: 0.5 }, figures: {} });
    const with2 = summarised(with1, { bench: "read", ratios: { vs_grpc_js: 0.7 }, figures: {} });
    const with3 = summarised(with2, { bench: "write", ratios: { vs_pgbench: 1.4 }, figures: {} });
    expect(with3.match(/\| write \|/g)).toHaveLength(1);
    expect(with3).toMatch(/\| write \| vs_pgbench \| 1.4 \| >= 0.9 \| >= 1.3 \| aim reached \|/);
    expect(with3.indexOf("| write |")).toBeLessThan(with3.indexOf("| read |"));
    expect(with3.startsWith("# Benches\n") && with3.endsWith("\nend\n")).toBe(true);
  });
});

describe("the benches", { timeout: 120_000 }, () => {
  it.each([
    ["write", write],
    ["read", read],
    ["hop", hop],
    ["fairness", fairness],
    // Its rounds are many.
    ["hostile", (options: BenchOptions) => hostile({ ...options, seconds: 0.4 })],
  ] as const)("measure %s", async (name, bench) => {
    const { ratios, figures } = await bench(tiny);
    expect(Object.keys(ratios)).toEqual(Object.keys(TARGETS[name] ?? {}));
    expect(Object.values(ratios).every((ratio) => ratio > 0)).toBe(true);
    expect(Object.keys(figures)).not.toEqual([]);
  });
});

type Callback = (error: { code: number; details: string } | null, answer?: Buffer) => void;
