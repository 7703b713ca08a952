import { describe, expect, test } from "vitest";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { Instance, order } from "./instance.ts";
import { RecordingSink } from "./recording-sink.ts";

/** Both orders were there before the snapshot; the older one changes while it is being sent. */
test("a snapshot has a row that changes while it is sent, and its client misses nothing when that change is lost", async () => {
  const instance = new Instance({ options: { snapshotRows: 1 } });
  instance.commit(order("o1"), order("o2"));
  const watch = await instance.started({ start: { from: "snapshot" } }, new RecordingSink({ window: 2 }));
  instance.commit(order("o1", "BOOKED"));
  watch.read();
  await instance.clock.settle();
  const { synced } = watch.sink.messages.at(-1) ?? {};
  expect(watch.story).toEqual(["started", "=o2", "=o1", "synced"]);
  expect(watch.sink.messages.at(-2)).toMatchObject({ orders: [{ id: "o1", version: 1n, status: "RECEIVED" }] });
  // It breaks here; a failover loses the change, and another instance, which has never had it, takes the client on.
  watch.cancel();
  instance.journal.restore("t1", 2n);
  const other = new Instance({ journal: instance.journal });
  other.commit(order("o2", "READY"));
  const position = synced?.position ?? "";
  const resumed = await other.started({ start: { from: "position", position } });
  expect(resumed.story).toEqual(["started", "o2@3"]);
});

describe("a row that a snapshot left out, as what it was is cut, for a change that nobody here has heard of", () => {
  /** The snapshot has sent the newest row and waits for its reader; the other one changes, and the hint is lost. */
  async function stopped() {
    const instance = new Instance({ options: { snapshotRows: 1 } });
    instance.commit(order("o1"), order("o2"));
    const watch = await instance.started({ start: { from: "snapshot" } }, new RecordingSink({ window: 2 }));
    expect(watch.story).toEqual(["started", "=o2"]);
    instance.journal.commit("t1", order("o1", "BOOKED"));
    instance.journal.raiseFloor("t1", 2n);
    watch.sink.window = 100;
    return { instance, watch };
  }

  test("follows, for the snapshot waits until the change has come here", async () => {
    const { instance, watch } = await stopped();
    watch.read();
    await instance.clock.advance(200);
    expect(watch.story).toEqual(["started", "=o2", "synced", "o1@3"]);
  });

  test.each([0, 1, 2])("resets it, when a failover loses the change and %s others come", async (others) => {
    const { instance, watch } = await stopped();
    const answer = instance.journal.hold();
    watch.read();
    await instance.clock.settle();
    instance.journal.restore("t1", 2n);
    for (let i = 0; i < others; i += 1) instance.journal.commit("t1", order(`x${i}`));
    instance.journal.release();
    answer();
    await instance.clock.advance(5_000);
    expect(watch.story).toEqual(["started", "=o2", "reset"]);
    expect(watch.sink.messages.at(-1)?.reset?.reason).toBe(ResetReason.HISTORY_DIVERGED);
  });
});

describe("when the journal gets another history under running watches", () => {
  test("that is shorter, they are reset as being ahead", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.commit(order("o1"), order("o2"), order("o3"));
    await instance.clock.settle();
    instance.journal.restore("t1", 1n);
    await instance.clock.advance(3_100);
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "o3@3", "reset"]);
    expect(watch.sink.messages.at(-1)?.reset?.reason).toBe(ResetReason.POSITION_AHEAD);
    expect(watch.sink.messages.at(-1)?.reset?.head).toMatch(/^1-/);
  });

  test("that is as long, they are reset", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.commit(order("o1"), order("o2"));
    await instance.clock.settle();
    instance.journal.restore("t1", 1n);
    instance.journal.commit("t1", order("x2"));
    await instance.clock.advance(3_100);
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "reset"]);
    expect(watch.sink.messages.at(-1)?.reset?.reason).toBe(ResetReason.HISTORY_DIVERGED);
  });

  test("that is longer, they are reset before they get anything of it", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.commit(order("o1"), order("o2"));
    await instance.clock.settle();
    instance.journal.restore("t1", 1n);
    instance.commit(order("x2"), order("x3"), order("x4"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "reset"]);
    expect(watch.sink.messages.at(-1)?.reset?.reason).toBe(ResetReason.HISTORY_DIVERGED);
  });

  test("with another id, they are told that it is another journal", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.commit(order("o1"));
    await instance.clock.settle();
    instance.journal.replace("t1");
    await instance.clock.advance(3_100);
    expect(watch.sink.messages.at(-1)?.reset?.reason).toBe(ResetReason.OTHER_JOURNAL);
  });

  test("watches that come afterwards follow the new one", async () => {
    const instance = new Instance();
    await instance.started();
    instance.commit(order("o1"), order("o2"));
    await instance.clock.settle();
    instance.journal.restore("t1", 1n);
    await instance.clock.advance(3_100);
    const watch = await instance.started();
    instance.commit(order("x2"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "x2@2"]);
    expect(instance.hubs.stats().divergences).toBe(1);
  });

  test("a snapshot under way is reset, and a watch that only opens is not", async () => {
    const instance = new Instance({ options: { snapshotRows: 1 } });
    instance.commit(order("o1"), order("o2"));
    const snapshot = await instance.started({ start: { from: "snapshot" } }, new RecordingSink({ window: 2 }));
    expect(snapshot.story).toEqual(["started", "=o2"]);
    instance.journal.restore("t1", 1n);
    instance.journal.commit("t1", order("x2"));
    const opening = instance.open({ start: { from: "snapshot" } });
    await instance.clock.settle();
    expect(snapshot.story).toEqual(["started", "=o2", "reset"]);
    expect(opening.story).toEqual(["started", "=x2", "=o1", "synced"]);
  });

  test("a forged event that fits the head is found out, and whoever got it is reset", async () => {
    const instance = new Instance();
    instance.commit(order("o1"));
    const watch = await instance.started();
    const [event] = instance.journal.all("t1");
    if (!event) throw new Error("no event");
    const forged = { ...event, revision: 2n, eventId: "zzzzzzzzzzzzz" };
    instance.hubs.extend({ tenant: "t1", previous: event, events: [forged] });
    await instance.clock.advance(3_100);
    expect(watch.story).toEqual(["started", "o1@1", "reset"]);
    expect(watch.sink.messages.at(-1)?.reset?.reason).toBe(ResetReason.POSITION_AHEAD);
  });

  test("who says otherwise of what is known has it looked up at once", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.commit(order("o1"), order("o2"));
    await instance.clock.settle();
    const [event] = instance.journal.all("t1");
    if (!event) throw new Error("no event");
    const forged = { ...event, eventId: "zzzzzzzzzzzzz" };
    instance.hubs.extend({ tenant: "t1", previous: { revision: 0n, eventId: "x" }, events: [forged] });
    await instance.clock.settle();
    expect(instance.hubs.stats()).toMatchObject({ doubts: 1, headChecks: 2, divergences: 0 });
    expect(watch.story).toEqual(["started", "o1@1", "o2@2"]);
  });

  test("one tenant's does not touch another's watches", async () => {
    const instance = new Instance();
    const other = await instance.started({ tenant: "t2" });
    await instance.started();
    instance.commit(order("o1"));
    await instance.clock.settle();
    instance.journal.restore("t1", 0n);
    await instance.clock.advance(3_100);
    expect(instance.hubs.stats().resets).toEqual({ POSITION_AHEAD: 1 });
    expect(other.story).toEqual(["started"]);
  });
});
