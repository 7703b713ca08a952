import { describe, expect, test } from "vitest";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { headPosition, Instance, order, orders } from "./instance.ts";
import { RecordingSink } from "./recording-sink.ts";

describe("a reader that stops", () => {
  test("is left where it is, and gets what it missed once it reads again", async () => {
    const instance = new Instance();
    const slow = await instance.started({}, new RecordingSink({ window: 1 }));
    const quick = await instance.started();
    for (let i = 1; i <= 5; i += 1) {
      instance.commit(order(`o${i}`));
      await instance.clock.settle();
    }
    expect(slow.story).toEqual(["started"]);
    expect(quick.story.at(-1)).toBe("o5@5");
    slow.read();
    await instance.clock.settle();
    expect(slow.story).toEqual(["started", "o1@1", "o2@2", "o3@3", "o4@4", "o5@5"]);
    instance.commit(order("o6"));
    await instance.clock.settle();
    expect(slow.story.at(-1)).toBe("o5@5");
    slow.read();
    await instance.clock.settle();
    expect(slow.story.at(-1)).toBe("o6@6");
  });

  test("gets from the journal what has left the ring", async () => {
    const instance = new Instance({ options: { ringEvents: 4, stretchEvents: 3 } });
    const slow = await instance.started({}, new RecordingSink({ window: 2 }));
    for (let i = 1; i <= 20; i += 1) {
      instance.commit(order(`o${i}`));
      await instance.clock.settle();
    }
    expect(instance.journal.reads).toEqual(["heads"]);
    slow.sink.window = Number.POSITIVE_INFINITY;
    slow.read();
    await instance.clock.settle();
    expect(slow.story.slice(1)).toEqual(Array.from({ length: 20 }, (_, i) => `o${i + 1}@${i + 1}`));
    expect(instance.journal.reads.filter((what) => what === "stretch").length).toBeGreaterThan(1);
  });

  test("stops between the messages of one delivery without losing or repeating any", async () => {
    const instance = new Instance();
    const filter = orders({ statuses: ["BOOKED"] });
    const slow = await instance.started({ filter }, new RecordingSink({ window: 2 }));
    instance.commit(order("o1", "BOOKED"), order("o1", "READY"), order("o2", "BOOKED"), order("o2", "READY"));
    await instance.clock.settle();
    for (let i = 0; i < 8; i += 1) {
      slow.read();
      await instance.clock.settle();
    }
    expect(slow.story).toEqual(["started", "o1@1", "-o1@2", "o2@3", "-o2@4"]);
  });

  test.each([
    ["live", { from: "now" }],
    ["behind", { from: "position" }],
  ] as const)(
    "that is ended between them, %s, has the position of what was written, and misses nothing when it resumes",
    async (_where, { from }) => {
      const instance = new Instance({ options: { tenantBufferedBytes: 1 } });
      const filter = orders({ statuses: ["BOOKED"] });
      const changes = ["o1", "o2"].flatMap((id) => [order(id, "BOOKED"), order(id, "READY")]);
      const start = from === "now" ? { from } : { from, position: headPosition(instance.journal) };
      if (from === "position") instance.commit(...changes);
      const slow = await instance.started({ filter, start }, new RecordingSink({ window: 2 }));
      if (from === "now") instance.commit(...changes);
      await instance.clock.settle();
      expect(slow.story).toEqual(["started", "o1@1", "end"]);
      expect(slow.sink.outcome).toMatchObject({ reason: EndReason.SLOW_READER });
      const position = slow.sink.messages.at(-1)?.end?.position ?? "";
      expect(position).toBe(slow.sink.messages[1]?.events[0]?.position);
      const again = await instance.started({ filter, start: { from: "position", position } });
      expect(again.story).toEqual(["started", "-o1@2", "o2@3", "-o2@4"]);
    },
  );

  test("is ended once, whatever it was about to be told", async () => {
    const instance = new Instance({ options: { tenantBufferedBytes: 1 } });
    const slow = await instance.started({}, new RecordingSink({ window: 2 }));
    void instance.hubs.drain(0);
    await instance.clock.settle();
    expect(slow.story.filter((word) => word === "end")).toHaveLength(1);
    expect(slow.sink.outcome).toBeDefined();
  });

  test("is ended with its position when it takes nothing for too long", async () => {
    const instance = new Instance();
    const slow = await instance.started({}, new RecordingSink({ window: 2 }));
    instance.commit(order("o1"));
    await instance.clock.settle();
    const position = headPosition(instance.journal);
    instance.commit(order("o2"));
    await instance.clock.advance(59_000);
    expect(slow.sink.outcome).toBeUndefined();
    await instance.clock.advance(15_000);
    expect(slow.story).toEqual(["started", "o1@1", "end"]);
    expect(slow.sink.messages.at(-1)?.end?.position).toBe(position);
    expect(slow.sink.outcome).toMatchObject({ how: "ended", reason: EndReason.SLOW_READER });
  });

  test("is not ended while bytes still go out", async () => {
    const instance = new Instance();
    const slow = await instance.started({}, new RecordingSink({ window: 2 }));
    instance.commit(order("o1"));
    for (let i = 0; i < 20; i += 1) {
      slow.sink.trickle(1);
      await instance.clock.advance(20_000);
    }
    expect(slow.sink.outcome).toBeUndefined();
  });

  test("is ended when it leaves too many bytes unsent", async () => {
    const instance = new Instance({ options: { slowReaderBytes: 1_000 } });
    const slow = await instance.started({}, new RecordingSink({ window: 2 }));
    instance.commit({ order: "o1", status: "RECEIVED", padding: 2_000 });
    await instance.clock.advance(20_000);
    expect(slow.sink.outcome).toMatchObject({ how: "ended", reason: EndReason.SLOW_READER });
  });

  test("costs the hub no memory: what it missed is kept once, within the ring's bounds", async () => {
    const instance = new Instance({ options: { ringBytes: 10_000 } });
    for (let i = 0; i < 50; i += 1) await instance.started({}, new RecordingSink({ window: 2 }));
    for (let i = 0; i < 100; i += 1) {
      instance.commit({ order: `o${i}`, status: "RECEIVED", padding: 1_000 });
      await instance.clock.settle();
    }
    const { ringBytes, blocked } = instance.hubs.stats();
    expect(blocked).toBe(50);
    expect(ringBytes).toBeLessThanOrEqual(10_000);
    expect(ringBytes).toBeGreaterThan(5_000);
  });

  test("a burst of large events reaches live watches without ever being held whole", async () => {
    const instance = new Instance({ options: { ringBytes: 10_000, messageBytes: 4_000 } });
    const watch = await instance.started();
    for (let i = 1; i <= 40; i += 1) {
      instance.commit({ order: `o${i}`, status: "RECEIVED", padding: 3_000 });
      expect(instance.hubs.stats().ringBytes).toBeLessThan(14_000);
    }
    await instance.clock.settle();
    expect(watch.story.slice(1)).toEqual(Array.from({ length: 40 }, (_, i) => `o${i + 1}@${i + 1}`));
  });

  test("a burst larger than the ring reaches live watches all the same", async () => {
    const instance = new Instance({ options: { ringEvents: 8 } });
    const watch = await instance.started();
    for (let i = 1; i <= 50; i += 1) instance.commit(order(`o${i}`));
    expect(instance.hubs.stats().ringBytes).toBeLessThan(1_000);
    instance.commit(...Array.from({ length: 50 }, (_, i) => order(`o${i + 51}`)));
    await instance.clock.settle();
    expect(watch.story.slice(1)).toEqual(Array.from({ length: 100 }, (_, i) => `o${i + 1}@${i + 1}`));
  });
});

describe("a stream that is filled by a bookmark", () => {
  test("gets nothing before its reader has read", async () => {
    const instance = new Instance();
    const watch = await instance.started({}, new RecordingSink({ window: 2 }));
    await instance.clock.advance(26_000);
    expect(watch.story).toEqual(["started", "bookmark"]);
    instance.commit(order("o1"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "bookmark"]);
    watch.read();
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "bookmark", "o1@1"]);
  });
});

describe("many watchers", () => {
  test("are served in turns, and none is told more than it was given", async () => {
    const instance = new Instance({ options: { turnWork: 10 } });
    const sink = () => new RecordingSink({ onWrite: () => instance.clock.freeze(1) });
    const watches = Array.from({ length: 50 }, () => instance.open({}, sink()));
    await instance.clock.settle();
    instance.commit(order("o1"));
    await instance.clock.turn();
    const served = () => watches.filter((watch) => watch.story.includes("o1@1")).length;
    expect(served()).toBeGreaterThan(0);
    expect(served()).toBeLessThan(50);
    // Ended in the middle of a fan-out: each has the event before its position says so.
    instance.hubs.endCredential("key_1");
    await instance.clock.settle();
    for (const watch of watches) expect(watch.story).toEqual(["started", "o1@1", "bookmark", "end"]);
  });

  test("with many filters are brought over a few events at a time, and miss none", async () => {
    const instance = new Instance({ options: { turnWork: 1 } });
    const filters = Array.from({ length: 10 }, (_, i) => orders({ statuses: ["RECEIVED", `OTHER${i}`] }));
    const watches = await Promise.all(filters.map((filter) => instance.started({ filter })));
    instance.commit(...Array.from({ length: 12 }, (_, i) => order(`o${i + 1}`)));
    await instance.clock.settle();
    const all = Array.from({ length: 12 }, (_, i) => `o${i + 1}@${i + 1}`);
    for (const watch of watches) expect(watch.story).toEqual(["started", ...all]);
    expect(watches[0]?.sink.messages.length).toBeGreaterThan(2);
  });

  test("of one tenant do not hold up another's", async () => {
    const instance = new Instance({ options: { turnWork: 10 } });
    const sink = () => new RecordingSink({ onWrite: () => instance.clock.freeze(1) });
    const crowd = Array.from({ length: 200 }, () => instance.open({}, sink()));
    const lone = instance.open({ tenant: "t2" });
    await instance.clock.settle();
    instance.commit(order("o1"));
    instance.commitTo("t2", order("o2"));
    await instance.clock.turn();
    await instance.clock.turn();
    const served = crowd.filter((watch) => watch.story.includes("o1@1")).length;
    expect(lone.story).toEqual(["started", "o2@1"]);
    expect(served).toBeLessThan(200);
  });
});
