import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { faultsOf, type WatchMessage } from "../guarantees/messages.ts";
import {
  carrierSeats,
  filterSeats,
  latestSeats,
  linkSeats,
  playStage,
  type Seat,
  type Stage,
  staffSeats,
} from "./stage.ts";

const seats = [...staffSeats, ...filterSeats, ...carrierSeats, ...linkSeats, ...latestSeats];

let stage: Stage;
beforeAll(async () => {
  stage = await playStage(seats);
});
afterAll(() => stage[Symbol.asyncDispose]());

function watched(seat: Seat): { messages: readonly WatchMessage[]; faults: string[] } {
  const recording = stage.recordings.get(seat);
  if (recording === undefined) throw new Error(`nobody sat on ${seat.name}`);
  const { messages } = recording;
  return { messages, faults: faultsOf(recording.trace(stage.readerOf(seat), stage.head), stage.truth) };
}

/** The kinds of messages, neighbours of one kind once. */
function shape(messages: readonly WatchMessage[]): string {
  const kinds = messages.map((message) => {
    const { started, synced, bookmark, events, left } = message;
    const rows = "orders" in message ? message.orders : message.bookings;
    const fields = { started, synced, bookmark, rows: rows[0], event: events[0], left: left[0] };
    const set = Object.entries(fields).filter(([, value]) => value !== undefined);
    return set.map(([field]) => field).join("+");
  });
  return kinds.filter((kind, i) => kind !== kinds[i - 1]).join(" ");
}

const named = (list: readonly Seat[]) => list.map((seat) => [seat.name, seat] as const);

describe("a watch starts at once, sends the snapshot, and then every change once and in order", () => {
  test.each(named(staffSeats))("%s", (_name, seat) => {
    const { messages, faults } = watched(seat);
    expect(faults).toEqual([]);
    // Before the first event too there may be time for a bookmark.
    expect(shape(messages)).toMatch(/^started rows synced( bookmark)? event( bookmark( event)?)*$/);
  });
});

describe("a filter decides what comes and what has left", () => {
  test.each(named(filterSeats))("%s", (_name, seat) => {
    const { messages, faults } = watched(seat);
    expect(faults).toEqual([]);
    expect(messages.flatMap(({ events }) => events).length).toBeGreaterThan(0);
    expect(messages.some(({ left }) => left.length > 0)).toBe(seat.wish.loses);
  });
});

describe("a carrier sees its own bookings and no more", () => {
  test.each(named(carrierSeats))("%s", (_name, seat) => {
    const { messages, faults } = watched(seat);
    expect(faults).toEqual([]);
    const ids = new Set(messages.flatMap(({ events }) => events.map(({ subjectId }) => subjectId)));
    const own = seat.as === "rival" ? ["BKG-RIVAL"] : ["BKG-AIR", "BKG-OCEAN", "BKG-ROAD-1", "BKG-ROAD-2"];
    expect([...ids].sort()).toEqual(own);
  });

  test.each(named(carrierSeats))("and cannot read revisions off its positions: %s", (_name, seat) => {
    const { messages } = watched(seat);
    const positions = messages.flatMap(({ started, synced, events, bookmark }) => [
      ...[started?.head, synced?.position, bookmark?.position].filter((position) => position !== undefined),
      ...events.map(({ position }) => position),
    ]);
    expect(stage.head).toBeGreaterThan(100n);
    for (const position of positions) expect(position).toMatch(/^c[0-9A-Za-z_-]+$/);
    // A longer position would tell of a revision with more digits.
    expect(new Set(positions.map(({ length }) => length)).size).toBe(1);
  });

  test("and nobody's positions but its own", async () => {
    const positionOf = (as: Seat["as"]) => {
      const seat = seats.find((one) => one.as === as && one.wish.of === "bookings");
      const { messages } = watched(seat ?? expect.fail(`nobody sat as ${as}`));
      return messages.flatMap(({ events }) => events).at(-1)?.position ?? "";
    };
    const readers = ["viewer", "carrier", "rival"] as const;
    for (const reader of readers) {
      const { wish } = staffSeats[1] ?? expect.fail("there are no seats");
      for (const other of readers) {
        const decode = () => {
          const { tenant, visibility } = stage.readerOf({ wish, as: reader });
          return stage.truth.positions.decode(tenant, positionOf(other), visibility);
        };
        if (reader === other) expect(decode().revision).toBeGreaterThan(0n);
        else expect(decode).toThrow(/was not given out to this caller/);
      }
    }
  });
});

describe("a link sees its order and no other", () => {
  test.each(named(linkSeats))("%s", (_name, seat) => {
    const { messages, faults } = watched(seat);
    expect(faults).toEqual([]);
    const ids = new Set(messages.flatMap(({ events }) => events.map(({ subjectId }) => subjectId)));
    expect([...ids]).toEqual([stage.linked]);
  });
});

describe("mode LATEST ends in the same state", () => {
  test.each(named(latestSeats))("%s", (_name, seat) => {
    const { messages, faults } = watched(seat);
    expect(faults).toEqual([]);
    expect(messages.flatMap(({ events }) => events).length).toBeGreaterThan(0);
  });
});
