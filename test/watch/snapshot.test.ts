import { describe, expect, test } from "vitest";
import type { WatchSpec } from "../../src/watch/spec.ts";
import { headPosition, Instance, order, orders } from "./instance.ts";
import { RecordingSink } from "./recording-sink.ts";

const snapshot: Partial<WatchSpec> = { start: { from: "snapshot" } };

describe("a snapshot", () => {
  test("sends every row newest first, says where it stands, and goes on with what follows", async () => {
    const instance = new Instance();
    instance.commit(order("o1"), order("o2"), order("o1", "BOOKED"));
    const watch = await instance.started(snapshot);
    const synced = watch.sink.messages.find((message) => message.synced)?.synced;
    expect(synced?.position).toBe(headPosition(instance.journal));
    instance.commit(order("o3"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "=o2", "=o1", "synced", "o3@4"]);
  });

  test("of nothing is complete at once", async () => {
    const watch = await new Instance().started(snapshot);
    expect(watch.story).toEqual(["started", "synced"]);
  });

  test("holds a write that another instance answered before it was asked for", async () => {
    const instance = new Instance();
    await instance.started();
    instance.journal.commit("t1", order("o1")); // and its hint was lost
    const watch = await instance.started(snapshot);
    expect(watch.story).toEqual(["started", "=o1", "synced"]);
  });

  test.each(["proto", "json"] as const)("sends only rows that match, in %s", async (codec) => {
    const instance = new Instance();
    instance.commit(order("o1", "BOOKED"), order("o2"), order("o3", "BOOKED"), order("o4", "BOOKED"));
    const filter = orders({ statuses: ["BOOKED"], ids: ["o1", "o2", "o3"] });
    const watch = await instance.started({ ...snapshot, filter }, new RecordingSink({ codec }));
    expect(watch.story).toEqual(["started", "=o3", "=o1", "synced"]);
  });

  test("has a row that changes meanwhile as it was, and sends its event after it", async () => {
    const instance = new Instance({ options: { snapshotRows: 2 } });
    for (const id of ["o1", "o2", "o3", "o4"]) instance.commit(order(id, "BOOKED"));
    const filter = orders({ statuses: ["BOOKED"] });
    const watch = await instance.started({ ...snapshot, filter }, new RecordingSink({ window: 2 }));
    expect(watch.story).toEqual(["started", "=o4", "=o3"]);
    // One that was sent, one that was not, one that stops matching unsent, and a new one.
    instance.commit(order("o4", "READY"), order("o2", "BOOKED"), order("o1", "READY"), order("o5", "BOOKED"));
    watch.sink.window = 100;
    watch.read();
    await instance.clock.settle();
    const rows = ["=o4", "=o3", "=o2", "=o1"];
    expect(watch.story).toEqual(["started", ...rows, "synced", "-o4@5", "o2@6", "-o1@7", "o5@8"]);
    // What is asked for once a page, for all that have changed.
    expect(instance.journal.reads.filter((what) => what === "before")).toHaveLength(1);
  });

  test("waits for its reader between pages", async () => {
    const instance = new Instance({ options: { snapshotRows: 3 } });
    instance.commit(...Array.from({ length: 9 }, (_, i) => order(`o${i}`)));
    const watch = await instance.started(snapshot, new RecordingSink({ window: 2 }));
    const rows = () => watch.story.filter((word) => word.startsWith("=")).length;
    expect([rows(), instance.journal.reads.filter((what) => what === "rows").length]).toEqual([3, 1]);
    watch.read();
    await instance.clock.settle();
    expect(rows()).toBe(9);
    expect(watch.story.filter((word) => word === "synced")).toHaveLength(0);
    watch.read();
    await instance.clock.settle();
    expect(watch.story.at(-1)).toBe("synced");
  });

  test("splits a page into messages and repeats no row when the reader stops in between", async () => {
    const instance = new Instance({ options: { messageBytes: 60 } });
    instance.commit(...Array.from({ length: 7 }, (_, i) => order(`order-number-${i}`)));
    const watch = await instance.started(snapshot, new RecordingSink({ window: 2 }));
    for (let i = 0; i < 10; i += 1) {
      watch.read();
      await instance.clock.settle();
    }
    const rows = Array.from({ length: 7 }, (_, i) => `=order-number-${6 - i}`);
    expect(watch.story).toEqual(["started", ...rows, "synced"]);
  });

  test("promises nothing before it is complete", async () => {
    const instance = new Instance({ options: { snapshotRows: 1 } });
    instance.commit(order("o1"), order("o2"));
    const release = instance.journal.hold();
    const watch = instance.open(snapshot);
    await instance.clock.settle();
    release(); // the head; the rows are held again
    const releaseRows = instance.journal.hold();
    await instance.clock.settle();
    await instance.clock.advance(26_000);
    expect(watch.story).toEqual(["started"]);
    const drained = instance.hubs.drain(0);
    await instance.clock.settle();
    await drained;
    expect(watch.story).toEqual(["started", "end"]);
    expect(watch.sink.messages.at(-1)?.end?.position).toBe("");
    releaseRows();
  });

  test("reads on after the database was away", async () => {
    const instance = new Instance({ options: { snapshotRows: 1 } });
    instance.commit(order("o1"), order("o2"));
    const watch = await instance.started(snapshot, new RecordingSink({ window: 2 }));
    instance.journal.outage = true;
    watch.sink.window = 100;
    watch.read();
    await instance.clock.advance(1_000);
    expect(watch.story).toEqual(["started", "=o2"]);
    instance.journal.outage = false;
    await instance.clock.advance(1_000);
    expect(watch.story).toEqual(["started", "=o2", "=o1", "synced"]);
  });
});
