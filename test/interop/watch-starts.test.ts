import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ResetReason, WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import { type CallerKind, callerKinds } from "../doors/callers.ts";
import { faultsOf, type WatchMessage } from "../guarantees/messages.ts";
import { type Asked, Recording } from "../guarantees/recording.ts";
import type { Reader } from "../guarantees/trace.ts";
import { historyOf } from "../guarantees/truth.ts";
import { carrierSeats, filterSeats, playStage, type Seat, type Stage, staffSeats } from "./stage.ts";
import { ALL_BOOKINGS, ALL_ORDERS, askFor, FILTERED } from "./wishes.ts";

/* Where a watch can start, on every client. */

const seats = [
  ...staffSeats.slice(0, 2),
  ...filterSeats.filter((_seat, i) => i % 2 === 0),
  ...carrierSeats.slice(0, 1),
];
const kinds = callerKinds.map((kind) => [kind.name, kind] as const);

let stage: Stage;
/** Positions that watches of the stage were told, by what told them. */
let told: Readonly<Record<"head" | "synced" | "event" | "left" | "bookmark" | "first", string>>;

beforeAll(async () => {
  stage = await playStage(seats);
  const messages = [...stage.recordings]
    .filter(([seat]) => seat.as === "viewer")
    .flatMap(([, { messages }]) => messages);
  const [sql] = await stage.world.database.sql<{ id: string }>(
    "select journal_id as id from journal_head where tenant_id = 'acme'",
  );
  const some = (of: (message: WatchMessage) => string | undefined) => messages.map(of).find((text) => text) ?? "";
  told = {
    head: some(({ started }) => started?.head),
    synced: some(({ synced }) => synced?.position),
    event: some(({ events }) => events.at(-1)?.position),
    left: some(({ left }) => left.at(-1)?.position),
    bookmark: some(({ bookmark }) => bookmark?.position),
    first: `0-${sql?.id}`,
  };
});
afterAll(() => stage[Symbol.asyncDispose]());

interface Resumed {
  readonly reader: Reader;
  readonly messages: readonly WatchMessage[];
  readonly faults: readonly string[];
}

/** Watches from a position until everything up to the head is told. */
async function resume(
  { kind, wish, as, mode = WatchMode.ALL }: Omit<Seat, "name">,
  position: string,
): Promise<Resumed> {
  const asked = askFor(wish, { position, mode });
  await using recording = new Recording(stage.callerOf(kind), stage.bearerOf(as), asked);
  const reader = stage.readerOf({ wish, as });
  await recording.bookmarked(reader, stage.truth, stage.head);
  const faults = faultsOf(recording.trace(reader, stage.head), stage.truth);
  return { faults, reader, messages: recording.messages };
}

/** From every position that was told, with a filter that has nothing to do with who was told it. */
function asStaff(kind: CallerKind): Promise<Resumed>[] {
  const wishes = [ALL_ORDERS, ALL_BOOKINGS, ...FILTERED];
  return Object.values(told).map((position, i) => {
    const wish = wishes[(i + callerKinds.indexOf(kind)) % wishes.length] ?? ALL_ORDERS;
    return resume({ kind, wish, as: "viewer" }, position);
  });
}

/** From a carrier's own positions. */
function asCarrier(kind: CallerKind): Promise<Resumed>[] {
  const seat = carrierSeats[0] ?? expect.fail("there are no seats");
  const { messages = [] } = stage.recordings.get(seat) ?? {};
  const positions = [messages[0]?.started?.head, messages.findLast(({ events }) => events[0])?.events[0]?.position];
  return positions.map((position = "") => resume({ kind, wish: ALL_BOOKINGS, as: "carrier" }, position));
}

function latest(kind: CallerKind): Promise<Resumed>[] {
  return [resume({ kind, wish: ALL_ORDERS, as: "viewer", mode: WatchMode.LATEST }, told.first)];
}

describe("a watch continues", () => {
  /** All at a time, because each waits for a bookmark. */
  let resumed: ReadonlyMap<CallerKind, Promise<Resumed[]>[]>;
  beforeAll(async () => {
    resumed = new Map(
      callerKinds.map((kind) => [kind, [asStaff, asCarrier, latest].map((of) => Promise.all(of(kind)))]),
    );
    await Promise.allSettled([...resumed.values()].flat());
  });

  test.each(kinds)("from every position that was told, with whatever filter, over %s", async (_name, kind) => {
    expect(Object.values(told)).not.toContain("");
    const all = (await resumed.get(kind)?.[0]) ?? [];
    expect(all.map(({ faults }) => faults)).toEqual(Array.from({ length: 6 }, () => []));
  });

  test.each(kinds)("from a carrier's opaque positions over %s", async (_name, kind) => {
    const all = (await resumed.get(kind)?.[1]) ?? [];
    expect(all.map(({ faults }) => faults)).toEqual([[], []]);
    expect(all.map(({ messages }) => messages.some(({ events }) => events.length > 0))).toContain(true);
  });

  test.each(kinds)("in mode LATEST with the newest state of each order over %s", async (_name, kind) => {
    const [one] = (await resumed.get(kind)?.[2]) ?? [];
    expect(one?.faults).toEqual([]);
    const events = one?.messages.flatMap((message) => message.events) ?? [];
    expect(new Set(events.map(({ subjectId }) => subjectId)).size).toBe(events.length);
    const due = one ? historyOf(stage.truth, "acme").now.dueAll(one.reader) : [];
    expect(events.length).toBeLessThan(due.length / 5);
  });
});

describe.concurrent("a watch is reset, as its last word,", () => {
  const cases = (head: bigint): readonly (readonly [position: string, reason: ResetReason])[] => [
    [`${head}-0000000000000`, ResetReason.HISTORY_DIVERGED],
    ["5-0000000000000", ResetReason.HISTORY_DIVERGED],
    [`${head + 1n}-0000000000000`, ResetReason.POSITION_AHEAD],
    ["0-0000000000000", ResetReason.OTHER_JOURNAL],
  ];

  test.each(kinds)("when its position is of another history, or ahead: over %s", async (_name, kind) => {
    for (const mode of [WatchMode.ALL, WatchMode.LATEST]) {
      for (const [position, reason] of cases(stage.head)) {
        const asked = { of: "orders", request: { position, mode } } as const;
        await using recording = new Recording(stage.callerOf(kind), stage.bearerOf("viewer"), asked);
        expect(await recording.end(), position).toBeUndefined();
        const kept = recording.messages.filter(({ bookmark }) => bookmark === undefined);
        expect(kept.map(({ started, reset }) => reset?.reason ?? started?.$typeName)).toEqual([
          "leadline.v1.WatchStarted",
          reason,
        ]);
        expect(kept[1]?.reset?.head).toMatch(new RegExp(`^${stage.head}-`));
      }
    }
  });

  test("when its position lies below the floor, and not when it lies on it", async () => {
    const tenant = await stage.world.app.makeTenant("floored");
    const { orders } = stage.world.app.client(tenant.keys.operator);
    for (let i = 1; i <= 5; i++) await orders.createOrder({ orderId: `PO-${i}` });
    const positions = await Promise.all(
      [1, 2, 3].map(async (i) => (await orders.listOrderEvents({ orderId: `PO-${i}` })).events[0]?.position ?? ""),
    );
    await stage.world.database.sql("update journal_head set floor = 3 where tenant_id = 'floored'");
    for (const [name, kind] of kinds) {
      const watch = (position: string) =>
        new Recording(stage.callerOf(kind), tenant.keys.viewer, { of: "orders", request: { position } });
      for (const position of positions.slice(0, 2)) {
        await using below = watch(position);
        expect(await below.end(), name).toBeUndefined();
        expect(below.messages.at(-1)?.reset?.reason, name).toBe(ResetReason.POSITION_TOO_OLD);
      }
      await using on = watch(positions[2] ?? "");
      await on.until("PO-5", (messages) => messages.flatMap(({ events }) => events).length === 2);
      expect(on.messages.flatMap(({ events }) => events.map(({ subjectId }) => subjectId))).toEqual(["PO-4", "PO-5"]);
    }
  });
});

describe.concurrent("a watch of what the reader may not see is empty", () => {
  test.each(kinds)("over %s", async (_name, kind) => {
    const caller = stage.callerOf(kind);
    // Links may not call often.
    const link = await stage.tenant.link(stage.linked);
    const asked: readonly (readonly [as: Seat["as"], asked: Asked])[] = [
      ["link", { of: "orders", request: { filter: { ids: ["PO-4712"] }, includeSnapshot: true } }],
      ["carrier", { of: "bookings", request: { filter: { ids: ["BKG-RIVAL"] }, includeSnapshot: true } }],
      ["carrier", { of: "bookings", request: { filter: { carriers: ["HLCU"] }, includeSnapshot: true } }],
      ["viewer", { of: "orders", request: { filter: { ids: ["FOREIGN-1"] }, includeSnapshot: true } }],
    ];
    for (const [as, request] of asked) {
      await using recording = new Recording(caller, as === "link" ? link : stage.bearerOf(as), request);
      await recording.synced();
      expect(recording.messages.map(({ started, synced }) => [started, synced].map((one) => one?.$typeName))).toEqual([
        ["leadline.v1.WatchStarted", undefined],
        [undefined, "leadline.v1.WatchSynced"],
      ]);
    }
  });
});
