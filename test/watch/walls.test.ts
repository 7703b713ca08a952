import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingFilterSchema, BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Hint } from "../../src/bus/bus.ts";
import { InProcessBus } from "../../src/bus/in-process.ts";
import { compileBookingFilter } from "../../src/domain/filter.ts";
import type { Place } from "../../src/domain/stored-event.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import type { RowQuery } from "../../src/journal/journal.ts";
import type { WatchOutcome, WatchSpec } from "../../src/watch/spec.ts";
import { Watcher } from "../../src/watch/watcher.ts";
import { Instance, order, positions, specOf, Watch } from "./instance.ts";
import { MemoryJournal } from "./memory-journal.ts";
import { RecordingSink } from "./recording-sink.ts";

/** Something that a test has led astray: the watch as the hub knows it. */
function inside({ subscription }: Watch): Watcher {
  if (subscription instanceof Watcher) return subscription;
  throw new Error("a subscription is a watcher no more");
}

/** A place in the journal of t1. */
async function placeAt({ journal }: Instance, revision: bigint): Promise<Place> {
  const [event] = await journal.events("t1", revision, 1, 1);
  if (revision > 0n) return { revision, eventId: event?.eventId ?? "" };
  const head = (await journal.heads(["t1"])).get("t1") ?? expect.fail("there is no journal");
  return { revision: 0n, eventId: head.journalId };
}

function refusalIn(outcome: WatchOutcome | undefined) {
  return outcome?.how === "refused" ? outcome.refusal : undefined;
}

/** The wall held: the stream got nothing, is over as a fault of ours, and it is counted and logged. */
function expectHeld(instance: Instance, watch: Watch, story: readonly string[]): void {
  expect(watch.story).toEqual(story);
  expect(refusalIn(watch.sink.outcome)?.reason).toBe(ErrorReason.INTERNAL);
  expect(instance.hubs.stats().wallBreaches).toBe(1);
  const loud = instance.logged.filter(({ level }) => level === 60);
  expect(loud).toEqual([expect.objectContaining({ msg: expect.stringMatching(/wall/), err: expect.anything() })]);
}

describe("the last write to a stream", () => {
  test("does not carry another tenant's frame", async () => {
    const instance = new Instance();
    const [ours, theirs] = [await instance.started(), await instance.started({ tenant: "t2" })];
    const message = Buffer.from("another tenant's bytes");
    const at = { revision: 1n, eventId: "e" };
    inside(ours).deliver({ cohort: inside(theirs).cohort, runs: [{ message, at, events: 1 }], upTo: at });
    expectHeld(instance, ours, ["started"]);
    expect(ours.sink.written).not.toContain(message);
    instance.commitTo("t2", order("o1"));
    await instance.clock.settle();
    expect(theirs.story).toEqual(["started", "o1@1"]);
  });

  test("does not carry another carrier's frame", async () => {
    const instance = new Instance();
    const [maersk, hapag] = [
      await instance.started(carrier("MAEU"), sink()),
      await instance.started(carrier("HLCU"), sink()),
    ];
    const at = { revision: 1n, eventId: "e" };
    const runs = [{ message: Buffer.from("of MAEU"), at, events: 1 }];
    inside(hapag).deliver({ cohort: inside(maersk).cohort, runs, upTo: at });
    expectHeld(instance, hapag, ["started"]);
    instance.commit({ booking: "b1", carrier: "MAEU", state: BookingState.RECEIVED });
    await instance.clock.settle();
    expect(maersk.story).toEqual(["started", expect.stringMatching(/^b1@/)]);
  });

  test("does not carry a row that a read has brought to the wrong reader", async () => {
    const journal = new MemoryJournal();
    const instance = new Instance({ journal });
    instance.commit({ booking: "b1", carrier: "MAEU", state: BookingState.RECEIVED });
    const read = journal.rows.bind(journal);
    journal.rows = (query) => read({ ...query, carriers: undefined });
    const watch = instance.open({ ...carrier("HLCU"), start: { from: "snapshot" } }, sink());
    await instance.clock.settle();
    expectHeld(instance, watch, ["started"]);
  });

  test.each([
    ["another order than the link's", { visibility: { class: "link", orderId: "o1" } }, { ids: undefined }],
    ["a booking where orders are watched", {}, { kind: SubjectKind.BOOKING }],
  ] as const)("does not carry a row of %s", async (_what, spec: Partial<WatchSpec>, astray: Partial<RowQuery>) => {
    const journal = new MemoryJournal();
    const instance = new Instance({ journal });
    instance.commit(order("o2"), { booking: "b1", carrier: "MAEU", state: BookingState.RECEIVED });
    const read = journal.rows.bind(journal);
    journal.rows = (query) => read({ ...query, ...astray });
    const watch = instance.open({ ...spec, start: { from: "snapshot" } });
    await instance.clock.settle();
    expectHeld(instance, watch, ["started"]);
  });

  // From its first event on it is copied as it is stored; before that it is looked into, event by event.
  test.each([0n, 1n])("does not carry what was read after %d to a watch that came from another tenant", async (at) => {
    const instance = new Instance();
    for (let i = 0; i < 20; i += 1) instance.commit(order(`o${i}`));
    const start = {
      from: "position",
      position: positions.encode("t1", await placeAt(instance, at), { class: "staff" }),
    };
    const { hubs } = instance;
    const spec = specOf({ start: start as WatchSpec["start"] });
    // The hub is found by one tenant's name, and what joins it has another's.
    let asked = 0;
    const led = {
      ...spec,
      get tenant() {
        return ++asked <= 3 ? "t1" : "t2";
      },
    };
    const recording = new RecordingSink();
    const watch = new Watch(recording, hubs.open(led, recording));
    await instance.clock.settle();
    expect(inside(watch).tenant).toBe("t2");
    expectHeld(instance, watch, ["started"]);
  });

  test("is not even thought of for events that the bus has brought to the wrong hub", async () => {
    const bus = new InProcessBus();
    const follow = bus.follow.bind(bus);
    let hear: (hint: Hint) => void = () => {};
    bus.follow = (tenant, listener) => {
      hear = listener;
      return follow(tenant, listener);
    };
    const instance = new Instance({ bus });
    const watch = await instance.started();
    hear({ say: "events", extension: instance.journal.commit("t2", order("theirs")) });
    await instance.clock.settle();
    expect(watch.story).toEqual(["started"]);
    expect(instance.hubs.stats().wallBreaches).toBe(1);
    instance.commit(order("o1"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1"]);
  });
});

function carrier(code: string): Partial<WatchSpec> {
  return {
    kind: SubjectKind.BOOKING,
    visibility: { class: "carrier", carrier: code },
    filter: compileBookingFilter(create(BookingFilterSchema)),
  };
}

const sink = () => new RecordingSink({ kind: SubjectKind.BOOKING });

describe("bounds with names", () => {
  test("snapshot_rows: a snapshot within them is whole, a larger one is refused with what is allowed", async () => {
    const instance = new Instance({ options: { snapshotRows: 2, messageBytes: 16_384 } });
    for (let i = 0; i < 5; i += 1) instance.commit(order(`o${i}`));
    const whole = await instance.started({ start: { from: "snapshot" }, snapshotRowsMax: 5 });
    expect(whole.story.filter((word) => word.startsWith("=") || word === "synced")).toHaveLength(6);
    expect(whole.sink.outcome).toBeUndefined();
    const large = await instance.started({ start: { from: "snapshot" }, snapshotRowsMax: 4 });
    expect(large.story.filter((word) => word.startsWith("="))).toHaveLength(4);
    expect(refusalIn(large.sink.outcome)).toMatchObject({
      reason: ErrorReason.LIMIT_EXCEEDED,
      metadata: { limit: "snapshot_rows", allowed: "4", used: "more than 4" },
    });
  });

  const padded = { order: "o1", status: "RECEIVED", padding: 3_000 } as const;

  test("tenant_buffered_bytes: the reader that adds too much to what others have not taken is ended", async () => {
    const instance = new Instance({ options: { tenantBufferedBytes: 8_000, instanceBufferedBytes: 1e9 } });
    const slow: Watch[] = [];
    for (let i = 0; i < 3; i += 1) slow.push(await instance.started({}, new RecordingSink({ window: 2 })));
    const other = await instance.started({ tenant: "t2" }, new RecordingSink({ window: 2 }));
    instance.commit(padded);
    instance.commitTo("t2", padded);
    await instance.clock.settle();
    const ended = slow.filter(({ sink: { outcome } }) => outcome);
    expect(ended).toHaveLength(1);
    expect(ended[0]?.story).toEqual(["started", "o1@1", "end"]);
    expect(ended[0]?.sink.outcome).toMatchObject({
      reason: EndReason.SLOW_READER,
      limit: { limit: "tenant_buffered_bytes", allowed: 8_000, used: expect.any(Number) },
    });
    expect(other.sink.outcome).toBeUndefined();
    const before = instance.hubs.stats().bufferedBytes;
    expect(before).toBeGreaterThan(9_000);
    for (const watch of [...slow, other]) watch.read();
    await instance.clock.settle();
    expect(instance.hubs.stats().bufferedBytes).toBe(0);
  });

  test.each([
    ["key_buffered_bytes", "keyBufferedBytes", { credential: "key_2" }],
    ["address_buffered_bytes", "addressBufferedBytes", { network: "198.51.100.1" }],
  ] as const)("%s: in whatever tenant its watches are, and none of another", async (limit, option, another) => {
    const instance = new Instance({ options: { [option]: 8_000 } });
    const same = { network: "192.0.2.1" };
    const open = (spec: Partial<WatchSpec>) => instance.started({ ...same, ...spec }, new RecordingSink({ window: 2 }));
    const first = [await open({}), await open({ tenant: "t2" })];
    const other = [await open(another), await open({ ...another, tenant: "t2" })];
    instance.commit(padded);
    instance.commitTo("t2", padded);
    await instance.clock.settle();
    expect(instance.hubs.stats().bufferedBytes).toBeGreaterThan(8_000);
    const last = await open({});
    instance.commit(padded);
    await instance.clock.settle();
    expect(last.sink.outcome).toMatchObject({
      reason: EndReason.SLOW_READER,
      limit: { limit, allowed: 8_000, used: expect.any(Number) },
    });
    for (const watch of [...first, ...other]) expect(watch.sink.outcome).toBeUndefined();
    for (const watch of first) watch.cancel();
    const again = await open({});
    instance.commit(padded);
    await instance.clock.settle();
    expect(again.sink.outcome).toBeUndefined();
    for (const watch of [...other, again]) watch.read();
    await instance.clock.settle();
    expect(instance.hubs.stats().bufferedBytes).toBe(0);
  });

  test("instance_buffered_bytes: the same over all tenants; who leaves no longer counts", async () => {
    const instance = new Instance({ options: { tenantBufferedBytes: 1e9, instanceBufferedBytes: 5_000 } });
    const first = await instance.started({}, new RecordingSink({ window: 2 }));
    const second = await instance.started({ tenant: "t2" }, new RecordingSink({ window: 2 }));
    instance.commit(padded);
    await instance.clock.settle();
    instance.commitTo("t2", padded);
    await instance.clock.settle();
    expect(first.sink.outcome).toBeUndefined();
    expect(second.sink.outcome).toMatchObject({ limit: { limit: "instance_buffered_bytes", allowed: 5_000 } });
    first.cancel();
    expect(instance.hubs.stats().bufferedBytes).toBe(0);
  });

  test("watch_buffered_bytes: one reader alone", async () => {
    const instance = new Instance({ options: { slowReaderBytes: 1_000 } });
    const slow = await instance.started({}, new RecordingSink({ window: 2 }));
    instance.commit(padded);
    await instance.clock.advance(20_000);
    expect(slow.sink.outcome).toMatchObject({ limit: { limit: "watch_buffered_bytes", allowed: 1_000 } });
  });
});
