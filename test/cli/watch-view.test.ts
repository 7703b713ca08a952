import { stripVTControlCharacters } from "node:util";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { type Order, OrderSchema, Phase } from "../../gen/leadline/v1/order_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { type Item, jsonOf, lineOf } from "../../src/cli/watch-text.ts";
import { WatchView } from "../../src/cli/watch-view.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { Status } from "../../src/client/status.ts";

function order(id: string, fields: { status?: string; onHold?: boolean } = {}): Order {
  const order = create(OrderSchema, {
    id,
    version: 2n,
    status: "IN_TRANSIT",
    phase: Phase.IN_TRANSIT,
    origin: { unlocode: "NLRTM" },
    destination: { name: "Pier 7" },
    updatedAt: timestampFromMs(Date.parse("2026-11-22T10:00:00Z")),
  });
  return { ...order, ...fields };
}

function reported(after: Order): Item {
  const event = create(EventSchema, {
    position: "9-x",
    subjectId: after.id,
    recordedAt: timestampFromMs(Date.parse("2026-11-22T10:00:00Z")),
    change: {
      case: "reported",
      value: {
        report: {
          report: {
            status: "IN_TRANSIT",
            classifier: Classifier.ACTUAL,
            occurredAt: {
              instant: timestampFromMs(Date.parse("2026-11-22T09:00:00Z")),
              utcOffsetMinutes: 60,
            },
          },
        },
      },
    },
    after: { case: "order", value: after },
  });
  return { type: "event", event };
}

function rendered(view: WatchView, nowMs = 0, columns = 160, rows = 24): string[] {
  return stripVTControlCharacters(view.render(columns, rows, nowMs)).split("\n");
}

describe("the live view", () => {
  test("shows each subject once, the one that changed last first", () => {
    const view = new WatchView("orders", "here:1", 0);
    view.take({ type: "snapshot", order: order("po-1", { status: "READY" }) }, undefined);
    view.take({ type: "snapshot", order: order("po-2") }, undefined);
    view.take(reported(order("po-1", { onHold: true })), "9-x");
    const [, counts, , header, ...lines] = rendered(view);
    expect(counts).toBe("2 orders, 1 events");
    expect(header).toMatch(/^ORDER +STATUS +PHASE +ETA +ROUTE +CHANGED +LAST CHANGE$/);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(
      /^po-1 +IN_TRANSIT, on hold +IN_TRANSIT +- +NLRTM → Pier 7 .* actual IN_TRANSIT, 2026-11-22 10:00\+01:00$/,
    );
    expect(lines[1]).toMatch(/^po-2 /);
  });

  test("puts what was there already in the order of its changes, and leaves out the oldest", () => {
    const view = new WatchView("orders", "here:1", 0);
    for (const minute of ["30", "50", "10", "40"]) {
      const updatedAt = timestampFromMs(Date.parse(`2026-11-22T10:${minute}:00Z`));
      view.take({ type: "snapshot", order: { ...order(`po-${minute}`), updatedAt } }, undefined);
    }
    view.take({ type: "synced", position: "9-x" }, "9-x");
    expect(rendered(view, 0, 160, 8).slice(4)).toEqual(
      ["50", "40", "30"].map((n) => expect.stringMatching(`^po-${n} `)),
    );
  });

  test("tells the state of the connection, with position and the age of the last comparison", () => {
    const view = new WatchView("orders", "here:1", 0);
    expect(rendered(view)[0]).toBe("○ connecting to here:1");
    view.connection({ state: "open", head: "9-x", heartbeatMs: 1 }, 0);
    view.take({ type: "bookmark", position: "9-x", verifiedAt: new Date(10_000) }, "9-x");
    expect(rendered(view, 13_900)[0]).toBe("● live  here:1  position 9-x  verified 3 s ago");
    const error = new LeadlineError(Status.UNAVAILABLE, "gone");
    view.connection({ state: "waiting", delayMs: 5_000, error, end: undefined }, 20_000);
    expect(rendered(view, 22_000)[0]).toBe("○ again in 3 s  here:1  position 9-x: gone (UNAVAILABLE)");
  });

  test("takes away what left, and everything on a reset", () => {
    const view = new WatchView("orders", "here:1", 0);
    view.take({ type: "snapshot", order: order("po-1") }, undefined);
    view.take({ type: "snapshot", order: order("po-2") }, undefined);
    view.take({ type: "left", id: "po-1", position: "3-x" }, "3-x");
    expect(rendered(view).slice(4)).toHaveLength(1);
    view.take({ type: "reset", reason: ResetReason.POSITION_AHEAD }, undefined);
    expect(rendered(view).slice(4)).toEqual([]);
  });

  test("fits the terminal and says what it leaves out", () => {
    const view = new WatchView("orders", "here:1", 0);
    for (let n = 0; n < 50; n += 1) view.take({ type: "snapshot", order: order(`po-${n}`) }, undefined);
    const lines = rendered(view, 0, 40, 12);
    expect(lines.length).toBeLessThan(12);
    expect(lines[1]).toMatch(/^50 orders, 0 events {2}\(43 that/);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(40);
  });

  test("lets no escape sequence of a message through to the terminal", () => {
    const view = new WatchView("orders", "here:1", 0);
    const status = "\u001b]0;title\u0007RE\u001b[2JADY\r\n\u009b31m";
    view.take({ type: "snapshot", order: order("po-1", { status }) }, undefined);
    expect(rendered(view)[4]).toMatch(/^po-1 +READY/);
    const drawn = view.render(160, 24, 0);
    for (const harmful of ["\u001b[2J", "\u001b]0", "\u0007", "\u009b", "\r"]) expect(drawn).not.toContain(harmful);
  });
});

describe("lines and JSON", () => {
  test("an event is one line with time, id, version, status and what happened", () => {
    expect(lineOf(reported(order("po-1")))).toBe(
      "2026-11-22T10:00:00Z  po-1  v2  IN_TRANSIT (IN_TRANSIT)  actual IN_TRANSIT, 2026-11-22 10:00+01:00",
    );
  });

  test("a bookmark is no line, but a JSON object", () => {
    const bookmark: Item = { type: "bookmark", position: "9-x", verifiedAt: new Date(0) };
    expect(lineOf(bookmark)).toBeUndefined();
    expect(JSON.parse(JSON.stringify(jsonOf(bookmark)))).toEqual({
      type: "bookmark",
      position: "9-x",
      verifiedAt: "1970-01-01T00:00:00.000Z",
    });
  });

  test("an event is its protobuf JSON form beside its position", () => {
    expect(jsonOf(reported(order("po-1")))).toMatchObject({
      type: "event",
      position: "9-x",
      event: { subjectId: "po-1", order: { id: "po-1", version: "2", phase: "PHASE_IN_TRANSIT" } },
    });
  });

  test("a reset names its reason", () => {
    expect(jsonOf({ type: "reset", reason: ResetReason.HISTORY_DIVERGED })).toEqual({
      type: "reset",
      reason: "HISTORY_DIVERGED",
    });
  });
});
