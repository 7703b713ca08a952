import { create, type DescField, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import {
  EventSchema,
  OrderCreatedSchema,
  OrderHeldSchema,
  type PersonalDataRedacted,
  RedactedTextSchema,
} from "../../gen/leadline/v1/event_pb.ts";
import { OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { evolve } from "../../src/domain/evolve.ts";
import {
  chosenIn,
  everything,
  naming,
  type PersonalText,
  personalDataRedacted,
  redactEvent,
  redactOrder,
  standsIn,
  TEXTS,
} from "../../src/domain/redaction.ts";
import { standardOnly } from "../../src/domain/standard-flow.ts";
import { type Change, orderRef, type Subject, SubjectKind } from "../../src/domain/subject.ts";

/** Every field that holds text or bytes, in messages that can be reached from these. */
function textsIn(roots: readonly DescMessage[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const seen = new Set<DescMessage>();
  const walk = (desc: DescMessage): void => {
    if (seen.has(desc)) return;
    seen.add(desc);
    for (const field of desc.fields) {
      const inner = messageOf(field);
      if (inner) walk(inner);
      else if (isText(field)) found.set(desc.name, (found.get(desc.name) ?? new Set()).add(field.name));
    }
  };
  for (const root of roots) walk(root);
  return found;
}

function messageOf(field: DescField): DescMessage | undefined {
  if (field.fieldKind === "message") return field.message;
  if (field.fieldKind === "list" && field.listKind === "message") return field.message;
  return field.fieldKind === "map" && field.mapKind === "message" ? field.message : undefined;
}

const STRING = 9;
const BYTES = 12;

function isText(field: DescField): boolean {
  if (field.fieldKind === "map") return true;
  if (field.fieldKind !== "scalar" && !(field.fieldKind === "list" && field.listKind === "scalar")) return false;
  return field.scalar === STRING || field.scalar === BYTES;
}

describe("every text of an order or a booking is personal or is not", () => {
  const changes = EventSchema.fields.filter((field) => field.oneof?.name === "change" && field.name !== "administered");
  const subjects = [OrderSchema, OrderDetailsSchema, BookingSchema, BookingDetailsSchema];
  const roots = [...subjects, ...changes.flatMap((field) => messageOf(field) ?? [])];
  const facets = EventSchema.field.before.message;

  test("and the table says which, of each and of nothing else", () => {
    const texts = textsIn([...roots, ...(facets ? [facets] : [])]);
    expect(changes.length).toBeGreaterThanOrEqual(15);
    const table = Object.fromEntries(
      Object.entries(TEXTS).map(([message, fields]) => [message, Object.keys(fields).sort()]),
    );
    const contract = Object.fromEntries([...texts].map(([message, fields]) => [message, [...fields].sort()]));
    expect(table).toEqual(contract);
  });

  test("what the contract of a party calls personal is", () => {
    const personal = Object.entries(TEXTS).flatMap(([message, fields]) =>
      Object.entries(fields).flatMap(([field, is]) => (is === "personal" ? [`${message}.${field}`] : [])),
    );
    expect(personal.sort()).toEqual([
      ...["BookingActed.reason", "BookingDetails.reason", "BookingRequest.remark", "Confirmation.remark"],
      ...["Feedback.message"],
      ...["Order.hold_reason", "OrderCancelled.reason", "OrderDetails.cancel_reason", "OrderHeld.reason"],
      ...["OrderReleased.remark", "Party.address", "Party.code", "Party.contact", "Party.name", "Place.address"],
      ...["Report.remark", "ReportRetracted.reason"],
    ]);
  });
});

describe("an order without its personal data", () => {
  const created: Change = {
    case: "orderCreated",
    value: create(OrderCreatedSchema, {
      references: [{ type: "PO", value: "1" }],
      destination: { unlocode: "NLRTM", address: "12 Elm Street" },
      parties: [
        { role: "CONSIGNEE", name: "Jane Doe", contact: "jane@example.com" },
        { role: "NOTIFY", name: "Bob Roe", code: "7", codeList: "GLEIF" },
      ],
    }),
  };
  const held: Change = { case: "orderHeld", value: create(OrderHeldSchema, { reason: "Jane is away" }) };
  const ref = orderRef("o1");
  const at = (version: bigint) => ({ version, recordedAt: timestampFromMs(Number(version)) });
  const fold = (changes: readonly Change[]) =>
    changes.reduce<Subject | undefined>(
      (s, change, i) => evolve(s, change, at(BigInt(i + 1)), ref, standardOnly),
      undefined,
    );
  const bytesOf = (subject: Subject | undefined) => {
    if (subject?.kind !== SubjectKind.ORDER) throw new Error("there is no order");
    return [toBinary(OrderSchema, subject.order), toBinary(OrderDetailsSchema, subject.details)];
  };

  const emptiedIn = (said: Partial<PersonalDataRedacted>) => {
    const change = personalDataRedacted({ events: 2, reason: "asked", ...said, fields: ["x"] });
    const last: Change = { case: "personalDataRedacted", value: change };
    const rewritten = [created, held].map((one, i) => {
      const event = create(EventSchema, { change: one, version: BigInt(i + 1) });
      return redactEvent(event, chosenIn(change, event.version)).change as Change;
    });
    const row = bytesOf(fold([created, held, last]));
    expect(row).toEqual(bytesOf(fold([...rewritten, last])));
    return Buffer.concat(row).toString("latin1");
  };

  test("all of it is what its rewritten events fold to", () => {
    const text = emptiedIn({});
    expect(text).not.toMatch(/Bob Roe|Jane|Elm/);
    expect(text).toContain("GLEIF");
  });

  test("one party's is", () => {
    for (const partial of [true, false]) {
      const text = emptiedIn({ parties: [1], partial });
      expect(text).not.toContain("Bob Roe");
      expect(text).toMatch(/Jane Doe.*Elm|Elm.*Jane Doe/s);
      expect(text).toContain("Jane is away");
    }
  });

  test("single texts are, in the events of the versions that are named", () => {
    const path = "order_held.reason";
    const texts = [
      create(RedactedTextSchema, { path, versions: [2n] }),
      create(RedactedTextSchema, { path: "hold_reason" }),
    ];
    const text = emptiedIn({ texts, partial: true });
    expect(text).not.toContain("Jane is away");
    expect(text).toContain("Jane Doe");
    const said = personalDataRedacted({ fields: [], texts, partial: true });
    const other = create(EventSchema, { change: held, version: 3n });
    expect(redactEvent(other, chosenIn(said, 3n))).toBe(other);
  });

  test("nothing is where nothing was left to be emptied in it", () => {
    expect(emptiedIn({ partial: true })).toMatch(/Jane is away/);
  });

  test("is itself when there is none, and nothing is touched", () => {
    const before = fold([created, held]);
    if (before?.kind !== SubjectKind.ORDER) throw new Error("there is no order");
    const was = bytesOf(before);
    const emptied: string[] = [];
    const clean = redactOrder(before, everything, ({ path, text }) => emptied.push(`${path}=${text}`));
    expect(bytesOf(before)).toEqual(was);
    expect(redactOrder(clean, everything)).toBe(clean);
    expect(emptied.sort()).toEqual([
      ...["destination.address=12 Elm Street", "hold_reason=Jane is away"],
      ...["parties[0].contact=jane@example.com", "parties[0].name=Jane Doe"],
      ...["parties[1].code=7", "parties[1].name=Bob Roe"],
    ]);
  });
});

describe("what names a party", () => {
  test.each([
    ["Ann", "asked by Ann", true],
    ["Ann", "Ann, of the gate", true],
    ["Ann", "ask (Ann)", true],
    ["Ann", "Annabel", false],
    ["Ann", "Joann and Ann", true],
    ["Ann", "JoAnn", false],
    ["Łódź", "w Łodzi", false],
    ["Ann", "Anné", false],
    ["Ann (Ltd)", "of Ann (Ltd)2", true],
    ["Ann", "ann", false],
    ["😀 Ann", "x😀 Ann", true],
    ["", "anything", false],
  ])("%j in %j: %j", (name, text, is) => {
    expect(standsIn(name, text)).toBe(is);
  });

  test("is everything that is said of it, and other texts in which it stands", () => {
    const said = (party: string | undefined, text: string): PersonalText => ({ path: "x", text, party });
    const chosen = naming("Ann");
    expect(chosen(said("Ann", "1 Elm Street"))).toBe(true);
    expect(chosen(said("Bob", "1 Elm Street"))).toBe(false);
    expect(chosen(said("Bob", "c/o Ann"))).toBe(true);
    expect(chosen(said(undefined, "left with Ann"))).toBe(true);
    expect(chosen(said(undefined, "left with Annabel"))).toBe(false);
  });
});
