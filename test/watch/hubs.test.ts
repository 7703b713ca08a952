import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingFilterSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { compileBookingFilter } from "../../src/domain/filter.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import { Encoder, WallBreach } from "../../src/watch/encoder.ts";
import { Slot } from "../../src/watch/slot.ts";
import { Instance, order, orders, positions } from "./instance.ts";
import { RecordingSink } from "./recording-sink.ts";

function reasonOf(open: () => unknown): ErrorReason | undefined {
  try {
    open();
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
  return undefined;
}

describe("an instance", () => {
  test("takes no more watches than its bounds, and takes others once some are gone", () => {
    const instance = new Instance({ options: { watchersMax: 3, tenantWatchersMax: 2 } });
    const [first] = [instance.open(), instance.open()];
    expect(reasonOf(() => instance.open())).toBe(ErrorReason.RATE_LIMITED);
    instance.open({ tenant: "t2" });
    expect(reasonOf(() => instance.open({ tenant: "t3" }))).toBe(ErrorReason.RATE_LIMITED);
    first?.cancel();
    expect(reasonOf(() => instance.open({ tenant: "t3" }))).toBeUndefined();
  });

  test("refuses watches once it stops", async () => {
    const instance = new Instance();
    await instance.hubs.drain(0);
    expect(reasonOf(() => instance.open())).toBe(ErrorReason.DRAINING);
  });

  test("follows a tenant for a while after its last watch, and lets go of everything then", async () => {
    const instance = new Instance();
    const visibility = { class: "carrier", carrier: "MAEU" } as const;
    const filter = compileBookingFilter(create(BookingFilterSchema));
    const watches = [
      await instance.started(),
      await instance.started({ filter: orders({ ids: ["o1", "o2"] }) }),
      await instance.started(
        { kind: SubjectKind.BOOKING, visibility, filter },
        new RecordingSink({ kind: SubjectKind.BOOKING }),
      ),
    ];
    instance.commit(order("o1"));
    await instance.clock.settle();
    expect(instance.hubs.stats()).toMatchObject({ tenants: 1, watchers: 3, live: 3, indexEntries: 6 });
    for (const watch of watches) watch.cancel();
    expect(instance.hubs.stats()).toMatchObject({ tenants: 1, watchers: 0, indexEntries: 0 });
    await instance.clock.advance(20_000);
    const again = await instance.started();
    again.cancel();
    expect(instance.hubs.stats().tenants).toBe(1);
    await instance.clock.advance(31_000);
    expect(instance.hubs.stats()).toMatchObject({ tenants: 0, ringBytes: 0 });
  });

  test("has no timer left once it is closed", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.hubs.close();
    await instance.clock.settle();
    expect(instance.clock.pending).toBe(0);
    instance.commit(order("o1"));
    await instance.clock.advance(60_000);
    expect(watch.story).toEqual(["started"]);
    expect(watch.sink.outcome).toBeUndefined();
  });

  test("asks for the heads of all tenants in one query", async () => {
    const instance = new Instance();
    for (let i = 0; i < 50; i += 1) instance.open({ tenant: `t${i}` });
    await instance.clock.settle();
    expect(instance.journal.reads).toEqual(["heads"]);
    await instance.clock.advance(3_100);
    expect(instance.journal.reads).toEqual(["heads", "heads"]);
  });

  test("ends the one watch whose sink throws, and no other", async () => {
    const instance = new Instance();
    let broken = false;
    const onWrite = () => {
      if (broken) throw new Error("the stream is gone");
    };
    const [bad, good] = [await instance.started({}, new RecordingSink({ onWrite })), await instance.started()];
    broken = true;
    instance.commit(order("o1"));
    await instance.clock.settle();
    expect(bad.story).toEqual(["started"]);
    expect(good.story).toEqual(["started", "o1@1"]);
    expect(instance.hubs.stats().watchers).toBe(1);
  });

  test("ends watches that need an event that cannot be read, and no others", async () => {
    const instance = new Instance();
    const whole = await instance.started();
    const filtered = await instance.started({ filter: orders({ statuses: ["BOOKED"] }) });
    const json = await instance.started({}, new RecordingSink({ codec: "json" }));
    const extension = instance.journal.commit("t1", order("o1", "BOOKED"));
    const [event] = extension.events;
    if (!event) throw new Error("no event");
    // One element of field 1, as hints are checked for, that is no event.
    const events = [{ ...event, payload: Uint8Array.of(0x0a, 2, 0xff, 0xff) }];
    whole.cancel();
    instance.hubs.extend({ ...extension, events });
    await instance.clock.settle();
    expect(filtered.story).toEqual(["started", "end"]);
    expect(json.story).toEqual(["started", "end"]);
    const after = await instance.started({ filter: orders({ statuses: ["BOOKED"] }) });
    instance.commit(order("o2", "BOOKED"));
    await instance.clock.settle();
    expect(after.story).toEqual(["started", "o2@2"]);
  });
});

describe("the last wall", () => {
  test("stands between a slot and an audience that is not its own", () => {
    const instance = new Instance();
    const [event] = instance.journal.commit("t1", order("o1")).events;
    if (!event) throw new Error("no event");
    const slot = new Slot("t1", event);
    const encoder = new Encoder(positions, 1_000);
    const audiences = [
      { tenant: "t2", visibility: { class: "staff" }, codec: "proto" },
      { tenant: "t1", visibility: { class: "carrier", carrier: "MAEU" }, codec: "json" },
      { tenant: "t1", visibility: { class: "link", orderId: "o2" }, codec: "proto" },
    ] as const;
    for (const audience of audiences) {
      expect(() => encoder.events([slot], audience)).toThrow(WallBreach);
      expect(() => encoder.left([slot], audience)).toThrow(WallBreach);
    }
    const own = { tenant: "t1", visibility: { class: "link", orderId: "o1" }, codec: "proto" } as const;
    expect(encoder.events([slot], own)).toBe(event.payload);
  });
});
