import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingFilterSchema, BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import { compileBookingFilter } from "../../src/domain/filter.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import type { Codec, WatchSpec } from "../../src/watch/spec.ts";
import { Instance, order, orders, positions } from "./instance.ts";
import type { Change } from "./memory-journal.ts";
import { RecordingSink } from "./recording-sink.ts";

const carrier = (code: string): Partial<WatchSpec> => ({
  kind: SubjectKind.BOOKING,
  visibility: { class: "carrier", carrier: code },
});

function booking(id: string, code: string, state: BookingState = BookingState.RECEIVED): Change {
  return { booking: id, carrier: code, state };
}

const sinkFor = (codec: Codec) => new RecordingSink({ codec, kind: SubjectKind.BOOKING });

describe("a watch of orders", () => {
  test("gets no booking, and one of bookings no order", async () => {
    const instance = new Instance();
    const ofOrders = await instance.started();
    const ofBookings = await instance.started({ kind: SubjectKind.BOOKING }, sinkFor("proto"));
    instance.commit(order("o1"), booking("b1", "MAEU"));
    await instance.clock.settle();
    expect(ofOrders.story).toEqual(["started", "o1@1"]);
    expect(ofBookings.story).toEqual(["started", "b1@2"]);
  });
});

describe.each(["proto", "json"] as const)("a carrier, in %s,", (codec) => {
  test("gets its own bookings and nothing else", async () => {
    const instance = new Instance();
    const maersk = await instance.started(carrier("MAEU"), sinkFor(codec));
    const hapag = await instance.started(carrier("HLCU"), sinkFor(codec));
    instance.commit(booking("b1", "MAEU"), order("o1"), booking("b2", "HLCU"), booking("b3", "MAEU"));
    await instance.clock.settle();
    const idsOf = (sink: RecordingSink) => sink.messages.flatMap(({ events }) => events.map((e) => e.subjectId));
    expect(idsOf(maersk.sink)).toEqual(["b1", "b3"]);
    expect(idsOf(hapag.sink)).toEqual(["b2"]);
  });

  test("sees neither revisions nor orders nor who acted, and its positions are good for it alone", async () => {
    const instance = new Instance();
    const watch = await instance.started(carrier("MAEU"), sinkFor(codec));
    instance.commit(booking("b1", "MAEU"));
    await instance.clock.settle();
    const event = watch.sink.messages.at(-1)?.events[0];
    expect(event?.revision).toBe(0n);
    expect(event?.actor).toBe("");
    expect(event?.after.case === "booking" && event.after.value.orderIds).toEqual([]);
    expect(event?.position).toMatch(/^c/);
    expect(Buffer.from(watch.sink.written.at(-1) ?? []).includes("ord_secret")).toBe(false);
    const spec = { ...carrier("MAEU"), start: { from: "position", position: event?.position ?? "" } } as const;
    instance.commit(booking("b2", "MAEU"));
    await instance.clock.settle();
    const resumed = await instance.started(spec, sinkFor(codec));
    expect(resumed.sink.messages.flatMap(({ events }) => events.map((e) => e.subjectId))).toEqual(["b2"]);
    expect(() => instance.open({ ...spec, ...carrier("HLCU") }, sinkFor(codec))).toThrow("position");
    expect(() => instance.open({ ...spec, tenant: "t2" }, sinkFor(codec))).toThrow("position");
  });

  test("does not share the bytes of staff that get the same events", async () => {
    const instance = new Instance();
    const staff = await instance.started({ kind: SubjectKind.BOOKING }, sinkFor(codec));
    const watch = await instance.started(carrier("MAEU"), sinkFor(codec));
    instance.commit(booking("b1", "MAEU"), booking("b2", "MAEU"));
    instance.commit(booking("b3", "MAEU"));
    await instance.clock.settle();
    const [whole, view] = [staff, watch].map(({ sink }) => sink.messages.flatMap(({ events }) => events));
    expect(whole?.map(({ actor }) => actor)).toEqual(["key_test", "key_test", "key_test"]);
    expect(view?.map(({ actor }) => actor)).toEqual(["", "", ""]);
  });

  test("gets bookmarks at places that show no revision", async () => {
    const instance = new Instance();
    const watch = await instance.started(carrier("MAEU"), sinkFor(codec));
    instance.commit(order("o1"));
    await instance.clock.advance(26_000);
    const position = watch.sink.messages.at(-1)?.bookmark?.position ?? "";
    expect(position).toMatch(/^c/);
    const place = positions.decode("t1", position, { class: "carrier", carrier: "MAEU" });
    expect(place.revision).toBe(1n);
  });

  test("gets a snapshot of its own bookings without their orders", async () => {
    const instance = new Instance();
    instance.commit(booking("b1", "MAEU"), booking("b2", "HLCU"), booking("b3", "MAEU"));
    const watch = await instance.started({ ...carrier("MAEU"), start: { from: "snapshot" } }, sinkFor(codec));
    expect(watch.story).toEqual(["started", "=b3", "=b1", "synced"]);
    for (const message of watch.sink.messages) {
      if (message.$typeName !== "leadline.v1.WatchBookingsResponse") throw new Error("not of bookings");
      for (const row of message.bookings) expect(row.orderIds).toEqual([]);
    }
  });

  test("hears that its booking left its filter", async () => {
    const instance = new Instance();
    const filter = compileBookingFilter(create(BookingFilterSchema, { states: [BookingState.CONFIRMED] }));
    const watch = await instance.started({ ...carrier("MAEU"), filter }, sinkFor(codec));
    instance.commit(booking("b1", "MAEU", BookingState.CONFIRMED), booking("b2", "HLCU", BookingState.CONFIRMED));
    instance.commit(booking("b1", "MAEU", BookingState.COMPLETED), booking("b2", "HLCU", BookingState.COMPLETED));
    await instance.clock.settle();
    expect(watch.sink.messages.flatMap(({ left }) => left.map(({ id }) => id))).toEqual(["b1"]);
  });
});

describe("a link", () => {
  const link: Partial<WatchSpec> = { visibility: { class: "link", orderId: "o1" } };

  test("gets its order and no other, live and as a snapshot", async () => {
    const instance = new Instance();
    instance.commit(order("o1"), order("o2"));
    const watch = await instance.started({ ...link, start: { from: "snapshot" } });
    instance.commit(order("o2"), order("o1", "BOOKED"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "=o1", "synced", "o1@4"]);
  });

  test("gets nothing through a filter for another order", async () => {
    const instance = new Instance();
    instance.commit(order("o1"), order("o2"));
    const filter = orders({ ids: ["o2"] });
    const watch = await instance.started({ ...link, filter, start: { from: "snapshot" } });
    instance.commit(order("o2"), order("o1"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "synced"]);
  });
});
