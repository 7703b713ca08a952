import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { headPosition, Instance, order, orders, specOf, type Watch } from "./instance.ts";
import { RecordingSink } from "./recording-sink.ts";

const minutes = 60_000;

function bookmarks(watch: Watch) {
  return watch.sink.messages.flatMap((message) => message.bookmark ?? []);
}

function msOf(time: Timestamp | undefined): number {
  if (!time) throw new Error("not verified");
  return timestampMs(time);
}

function endOf(watch: Watch) {
  expect(watch.story.at(-1)).toBe("end");
  return watch.sink.messages.at(-1)?.end;
}

describe("a quiet watch", () => {
  test("gets a bookmark every 15 to 25 seconds, not all watches at once", async () => {
    const instance = new Instance();
    const watches = await Promise.all(Array.from({ length: 40 }, () => instance.started()));
    const times = watches.map((): number[] => []);
    for (let second = 0; second < 300; second += 1) {
      await instance.clock.advance(1_000);
      for (const [i, watch] of watches.entries()) {
        if (bookmarks(watch).length > (times[i]?.length ?? 0)) times[i]?.push(second);
      }
    }
    const gaps = times.flatMap((seconds) => seconds.slice(1).map((second, i) => second - (seconds[i] ?? 0)));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(14);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(25);
    expect(new Set(times.map(([first]) => first)).size).toBeGreaterThan(5);
  });

  test("learns from them how far its tenant's journal has come, and when that was checked", async () => {
    const instance = new Instance();
    const watch = await instance.started({ filter: orders({ ids: ["other"] }) });
    await instance.clock.advance(5_000);
    instance.commit(order("o1"));
    await instance.clock.advance(21_000);
    const bookmark = bookmarks(watch)[0];
    expect(bookmark?.position).toBe(headPosition(instance.journal));
    const age = instance.clock.wallMs() - msOf(bookmark?.verifiedAt);
    expect(age).toBeGreaterThan(0);
    expect(age).toBeLessThan(15_000);
  });

  test("gets none while events come", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    for (let i = 0; i < 20; i += 1) {
      instance.commit(order("o1"));
      await instance.clock.advance(10_000);
    }
    expect(bookmarks(watch)).toHaveLength(0);
  });

  test("gets none that its stream would not take", async () => {
    const instance = new Instance();
    const watch = await instance.started({}, new RecordingSink({ window: 1 }));
    await instance.clock.advance(40_000);
    expect(watch.story).toEqual(["started"]);
  });
});

describe("a bookmark", () => {
  test("is at the watch's own place while it is behind", async () => {
    const instance = new Instance();
    const watch = await instance.started({}, new RecordingSink({ window: 2 }));
    instance.commit(order("o1"));
    await instance.clock.settle();
    const reached = headPosition(instance.journal);
    instance.commit(order("o2"));
    await instance.clock.settle();
    instance.hubs.endCredential("key_1");
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "bookmark", "end"]);
    expect(bookmarks(watch)[0]?.position).toBe(reached);
    expect(endOf(watch)?.position).toBe(reached);
  });

  test("is not given for a position that was not seen in the journal", async () => {
    const instance = new Instance();
    instance.commit(order("o1"), order("o2"));
    await instance.started();
    instance.journal.outage = true;
    const watch = await instance.started({ start: { from: "position", position: "1-zzzzzzzzzzzzz" } });
    await instance.clock.advance(26_000);
    expect(watch.story).toEqual(["started"]);
  });

  test("does not claim a comparison whose events are still missing", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    await instance.clock.advance(10_000);
    const release = instance.journal.hold();
    instance.journal.commit("t1", order("o1"));
    await instance.clock.advance(1_000);
    release(); // a head check goes through; the read of the events does not
    const releaseEvents = instance.journal.hold();
    await instance.clock.advance(14_000);
    const bookmark = bookmarks(watch).at(-1);
    expect(bookmark?.position).toMatch(/^0-/);
    const age = instance.clock.wallMs() - msOf(bookmark?.verifiedAt);
    expect(age).toBeGreaterThanOrEqual(13_000);
    releaseEvents();
  });
});

describe("a watch is ended", () => {
  test("at about its age, with its position, spread over half of it", async () => {
    const instance = new Instance();
    const watches = await Promise.all(Array.from({ length: 20 }, () => instance.started()));
    await instance.clock.advance(29 * minutes);
    expect(instance.hubs.stats().watchers).toBe(20);
    await instance.clock.advance(16 * minutes);
    const left = instance.hubs.stats().watchers;
    expect(left).toBeGreaterThan(2);
    expect(left).toBeLessThan(18);
    await instance.clock.advance(16 * minutes);
    for (const watch of watches) {
      expect(watch.story.slice(-2)).toEqual(["bookmark", "end"]);
      expect(endOf(watch)?.reason).toBe(EndReason.MAX_AGE);
      expect(endOf(watch)?.position).toBe(headPosition(instance.journal));
    }
  });

  test("when its credential expires", async () => {
    const instance = new Instance();
    const watch = await instance.started({ expiresAtMs: instance.clock.wallMs() + 7_000 });
    await instance.clock.advance(6_900);
    expect(watch.sink.outcome).toBeUndefined();
    await instance.clock.advance(600);
    expect(watch.sink.outcome).toEqual({ how: "ended", reason: EndReason.CREDENTIAL, retryAfterMs: 0 });
  });

  test("when its credential is revoked, here or on another instance, and no other watch is", async () => {
    const instance = new Instance();
    const one = await instance.started({ credential: "key_1" });
    const other = await instance.started({ credential: "key_2" });
    instance.hubs.endCredential("key_1");
    await instance.clock.settle();
    expect(one.sink.outcome).toMatchObject({ reason: EndReason.CREDENTIAL });
    expect(other.sink.outcome).toBeUndefined();
  });

  test("when the caller's deadline passes", async () => {
    const instance = new Instance();
    const sink = new RecordingSink();
    instance.hubs.open(specOf({}), sink, instance.clock.wallMs() + 5_000);
    await instance.clock.advance(4_900);
    expect(sink.story).toEqual(["started"]);
    await instance.clock.advance(600);
    expect(sink.story).toEqual(["started", "bookmark", "end"]);
    expect(sink.outcome).toMatchObject({ how: "ended", reason: EndReason.DEADLINE });
  });

  test("when its instance drains, with a time to wait that is spread, and no new one is taken", async () => {
    const instance = new Instance();
    const watches = await Promise.all(Array.from({ length: 30 }, () => instance.started()));
    let drained = false;
    const draining = instance.hubs.drain(10_000).then(() => {
      drained = true;
    });
    expect(() => instance.open()).toThrow("stopping");
    expect(drained).toBe(false);
    await instance.clock.settle();
    await draining;
    const waits = watches.map((watch) => Number(endOf(watch)?.retryAfter?.seconds));
    expect(Math.min(...waits)).toBeLessThan(3);
    expect(Math.max(...waits)).toBeGreaterThan(6);
    expect(Math.max(...waits)).toBeLessThan(10);
    for (const watch of watches) expect(endOf(watch)?.reason).toBe(EndReason.DRAINING);
  });
});

describe("when the database is away", () => {
  test("watches hold out for a while, and are ended with their position then", async () => {
    const instance = new Instance();
    instance.commit(order("o1"));
    const watch = await instance.started();
    instance.journal.outage = true;
    await instance.clock.advance(29_000);
    expect(watch.sink.outcome).toBeUndefined();
    await instance.clock.advance(5_000);
    expect(endOf(watch)?.reason).toBe(EndReason.UNVERIFIED);
    expect(endOf(watch)?.position).toBe(headPosition(instance.journal));
    const age = instance.clock.wallMs() - msOf(endOf(watch)?.verifiedAt);
    expect(age).toBeGreaterThan(29_000);
  });

  test("those that opened meanwhile are ended with the position they came with", async () => {
    const instance = new Instance();
    instance.commit(order("o1"));
    const position = headPosition(instance.journal);
    instance.journal.outage = true;
    const watch = instance.open({ start: { from: "position", position } });
    await instance.clock.advance(31_000);
    expect(watch.story).toEqual(["end"]);
    expect(endOf(watch)?.position).toBe(position);
  });

  test("a read that never answers does not hold up those after it", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    const release = instance.journal.hold();
    instance.journal.commit("t1", order("o1"));
    await instance.clock.advance(9_000);
    instance.journal.release(); // but what was asked stays unanswered
    await instance.clock.advance(6_000);
    expect(watch.story).toEqual(["started", "o1@1"]);
    release();
    await instance.clock.advance(60_000);
    expect(watch.sink.outcome).toBeUndefined();
  });

  test("a short absence passes unnoticed", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.journal.outage = true;
    await instance.clock.advance(10_000);
    instance.commit(order("o1"));
    instance.journal.commit("t1", order("o2"));
    instance.journal.outage = false;
    await instance.clock.advance(4_000);
    expect(watch.story).toEqual(["started", "o1@1", "o2@2"]);
    await instance.clock.advance(60_000);
    expect(watch.sink.outcome).toBeUndefined();
  });
});

describe("after the process stood still", () => {
  test("heads are compared at once, and watches live on", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    await instance.clock.advance(1_000);
    instance.journal.commit("t1", order("o1"));
    instance.clock.freeze(45_000);
    await instance.clock.advance(300);
    expect(watch.story).toContain("o1@1");
    expect(watch.sink.outcome).toBeUndefined();
  });

  test("watches are ended if the database does not answer then either", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.journal.outage = true;
    instance.clock.freeze(45_000);
    await instance.clock.advance(29_000);
    expect(watch.sink.outcome).toBeUndefined();
    await instance.clock.advance(3_000);
    expect(watch.sink.outcome).toMatchObject({ reason: EndReason.UNVERIFIED });
  });
});
