import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { EventSchema, ReportedSchema } from "../../gen/leadline/v1/event_pb.ts";
import type { Visibility } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { bookingDetailsView, viewFor } from "../../src/wire/event-view.ts";
import { Positions, staffPosition } from "../../src/wire/position.ts";

const positions = new Positions(Buffer.alloc(32, 7));
const ours: Visibility = { class: "carrier", carrier: "MAEU" };
const place = { revision: 424_242n, eventId: "0123456789abc" };

/** An event with a mark in each field that is the shipper's own affair, and in those that are the carrier's to see. */
const event = create(EventSchema, {
  ...{ revision: place.revision, position: staffPosition(place), eventId: place.eventId, version: 3n },
  ...{ subjectId: "B-1", actor: "SECRET-actor" },
  cause: { revision: 424_242n, depth: 1 },
  command: { id: "SECRET-command", index: 2, count: 77_777 },
  before: { orderIds: ["SECRET-before"], carriers: ["MAEU"] },
  after: { case: "booking", value: create(BookingSchema, { id: "B-1", orderIds: ["SECRET-after"] }) },
  change: {
    case: "reported",
    value: create(ReportedSchema, { report: { report: { source: "SECRET-source", status: "SEEN" } } }),
  },
});

describe("what a carrier sees of an event", () => {
  const view = viewFor(event, "acme", ours, positions);

  test("shows nothing that is the shipper's own", () => {
    const said = [toJsonString(EventSchema, view), Buffer.from(toBinary(EventSchema, view)).toString("latin1")].join();
    // Of 77,777 the varint, too, is not there: the field is not.
    for (const secret of ["SECRET", "424242", "77777"]) expect(said).not.toContain(secret);
    expect([view.revision, view.cause, view.command]).toEqual([0n, undefined, undefined]);
    expect(said).toContain("SEEN");
    expect(view).toMatchObject({ subjectId: "B-1", version: 3n, before: { carriers: ["MAEU"] } });
  });

  test("is the whole event for staff, and shows the carrier what it said itself", () => {
    expect(viewFor(event, "acme", { class: "staff" }, positions)).toBe(event);
    const own = create(EventSchema, {
      ...event,
      change: {
        case: "reported",
        value: create(ReportedSchema, { report: { report: { source: "MAEU", status: "SEEN" } } }),
      },
    });
    expect(toJsonString(EventSchema, viewFor(own, "acme", ours, positions))).toContain('"source":"MAEU"');
  });

  test("and of a booking's details neither orders nor the names of other sources", () => {
    const details = create(BookingDetailsSchema, {
      orders: [{}],
      reports: [{ report: { source: "SECRET-1" } }, { report: { source: "MAEU" } }],
      milestones: [{ actual: { source: "SECRET-2" }, history: [{ source: "SECRET-3" }] }],
    });
    const said = toJsonString(BookingDetailsSchema, bookingDetailsView(details, ours));
    expect(said).not.toContain("SECRET");
    expect(said).not.toContain('"orders"');
    expect(said).toContain('"source":"MAEU"');
    expect(bookingDetailsView(details, { class: "staff" })).toBe(details);
  });
});

describe("a carrier's position", () => {
  const places = [0n, 1n, 9n, 10n, 424_242n, 2n ** 63n - 1n].map((revision) => ({ ...place, revision }));
  const texts = places.map((one) => positions.encode("acme", one, ours));

  test("tells nothing of the revision, not by its length either, and is the same each time", () => {
    expect(new Set(texts.map(({ length }) => length)).size).toBe(1);
    for (const text of texts) {
      expect(text).toMatch(/^c[\w-]+$/);
      expect(Buffer.from(text.slice(1), "base64url").toString("latin1")).not.toMatch(/424242|0123456789abc/);
    }
    expect(places.map((one) => positions.encode("acme", one, ours))).toEqual(texts);
    expect(new Set(texts).size).toBe(places.length);
  });

  test("is good for its carrier in its tenant, and for nobody else", () => {
    expect(texts.map((text) => positions.decode("acme", text, ours))).toEqual(places);
    const [text = ""] = texts;
    const refused = (tenant: string, said: string, visibility: Visibility) => {
      try {
        positions.decode(tenant, said, visibility);
      } catch (error) {
        return error instanceof Refusal ? error.reason : error;
      }
      return "taken";
    };
    const others: [string, string, Visibility][] = [
      ["other", text, ours],
      ["acme", text, { class: "carrier", carrier: "HLCU" }],
      ["acme", text, { class: "staff" }],
      ["acme", staffPosition(place), ours],
      ["acme", `${text.slice(0, -2)}AA`, ours],
    ];
    for (const [tenant, said, visibility] of others)
      expect(refused(tenant, said, visibility)).toBe(ErrorReason.POSITION_INVALID);
  });
});
