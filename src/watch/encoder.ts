import { create, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type WatchOrdersResponse, WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import type { Visibility } from "../domain/principal.ts";
import type { Place } from "../domain/stored-event.ts";
import { SubjectKind } from "../domain/subject.ts";
import { encodeEvents, eventJson, viewFor } from "../wire/event-view.ts";
import type { Positions } from "../wire/position.ts";
import type { Slot } from "./slot.ts";
import type { Codec } from "./spec.ts";

/** Who is written to, and how. */
export interface Audience {
  readonly tenant: string;
  readonly visibility: Visibility;
  readonly codec: Codec;
}

/** The fields of a watch message beside events and rows: the same, under the same numbers and names, in every watch. */
export type Notice = Pick<
  MessageInitShape<typeof WatchOrdersResponseSchema> & object,
  Extract<keyof WatchOrdersResponse, "started" | "synced" | "left" | "bookmark" | "reset" | "end">
>;

/** The field of a snapshot's rows, in the messages that have one. */
const ROWS_FIELD = 3;
const ROWS_NAME: Partial<Record<SubjectKind, string>> = {
  [SubjectKind.ORDER]: "orders",
  [SubjectKind.BOOKING]: "bookings",
};

/**
 * Bytes of one tenant that would have gone to another, or of one carrier to another. The watches that would have had them are
 * ended, and nothing of the kind is written; it is counted and logged as a fault of the gravest kind.
 */
export class WallBreach extends Error {
  override readonly name = "WallBreach";
}

/**
 * Makes the messages of one tenant's watches. An event is encoded once for each codec and class of readers (staff and
 * links, its carrier), and watchers that get the same events share the same message.
 */
export class Encoder {
  readonly #positions: Positions;
  readonly #cacheBytes: number;
  readonly #shared = new Map<string, Uint8Array>();
  #sharedBytes = 0;

  /** @param cacheBytes how much the messages shared within one round of work may take */
  constructor(positions: Positions, cacheBytes: number) {
    this.#positions = positions;
    this.#cacheBytes = cacheBytes;
  }

  /** One event as its audience sees it: an element of field 1, or JSON. */
  piece(slot: Slot, audience: Audience): Uint8Array {
    assertOwn(slot, audience);
    const { visibility, codec } = audience;
    if (visibility.class === "carrier") return slot.piece(`carrier/${codec}`, () => this.#view(slot, audience));
    if (codec === "proto") return slot.event.payload;
    return slot.piece("staff/json", () => utf8(eventJson(slot.decode())));
  }

  /** A message of events. */
  events(slots: readonly Slot[], audience: Audience): Uint8Array {
    const { codec, visibility } = audience;
    const pieces = slots.map((slot) => this.piece(slot, audience));
    const [only] = pieces;
    if (only && pieces.length === 1 && codec === "proto") return only;
    // Only readers of one class and codec, and of one carrier, see the same events alike.
    const seen = visibility.class === "carrier" ? `carrier ${visibility.carrier}` : "staff";
    return this.#share(`${codec} ${revisionsOf(slots)} ${seen}`, () => join(pieces, codec, "events"));
  }

  /** A message of subjects that no longer match. */
  left(slots: readonly Slot[], audience: Audience): Uint8Array {
    for (const slot of slots) assertOwn(slot, audience);
    const left = slots.map(({ event, place }) => ({ id: event.subjectId, position: this.position(place, audience) }));
    return notice({ left }, audience.codec);
  }

  /** A message of a snapshot's rows, each as `row` makes it. */
  rows(rows: readonly Uint8Array[], kind: SubjectKind, codec: Codec): Uint8Array {
    const name = ROWS_NAME[kind];
    if (name === undefined) throw new Error(`subjects of kind ${kind} have no rows`);
    return join(rows, codec, name);
  }

  position(place: Place, { tenant, visibility }: Audience): string {
    return this.#positions.encode(tenant, place, visibility);
  }

  /** Lets go of shared messages. */
  forget(): void {
    this.#shared.clear();
    this.#sharedBytes = 0;
  }

  #view(slot: Slot, { tenant, visibility, codec }: Audience): Uint8Array {
    const view = viewFor(slot.decode(), tenant, visibility, this.#positions);
    return codec === "proto" ? encodeEvents([view]) : utf8(eventJson(view));
  }

  #share(key: string, make: () => Uint8Array): Uint8Array {
    const known = this.#shared.get(key);
    if (known) return known;
    const message = make();
    if (this.#sharedBytes + message.length > this.#cacheBytes) this.forget();
    this.#shared.set(key, message);
    this.#sharedBytes += message.length;
    return message;
  }
}

/** A message with one field other than events and rows. */
export function notice(fields: Notice, codec: Codec): Uint8Array {
  const message = create(WatchOrdersResponseSchema, fields);
  return codec === "proto"
    ? toBinary(WatchOrdersResponseSchema, message)
    : utf8(toJsonString(WatchOrdersResponseSchema, message));
}

/** One row as an element of the rows' field. */
export function rowElement(row: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(ROWS_FIELD, WireType.LengthDelimited).bytes(row).finish();
}

export function utf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}

/** Throws unless the slot's bytes may go to the audience: the last check of three. */
function assertOwn(slot: Slot, { tenant, visibility }: Audience): void {
  if (slot.tenant !== tenant) throw new WallBreach(`an event of "${slot.tenant}" was about to go to "${tenant}"`);
  if (visibility.class === "carrier" && visibility.carrier !== slot.event.carrier) {
    throw new WallBreach(`an event of carrier "${slot.event.carrier}" was about to go to "${visibility.carrier}"`);
  }
  if (visibility.class === "link" && visibility.orderId !== slot.event.subjectId) {
    throw new WallBreach(`an event of "${slot.event.subjectId}" was about to go to a link of "${visibility.orderId}"`);
  }
}

/** Elements of a repeated field as one message: laid end to end, or joined by commas. */
function join(pieces: readonly Uint8Array[], codec: Codec, field: string): Uint8Array {
  if (codec === "proto") return Buffer.concat(pieces);
  const parts: Uint8Array[] = [utf8(`{"${field}":[`)];
  for (const [i, piece] of pieces.entries()) {
    if (i > 0) parts.push(COMMA);
    parts.push(piece);
  }
  return Buffer.concat([...parts, END]);
}

const COMMA = utf8(",");
const END = utf8("]}");

/** Names a run of events: `4-9`, or `4,7,9` where some in between are left out. */
function revisionsOf(slots: readonly Slot[]): string {
  const first = slots[0]?.place.revision ?? 0n;
  const last = slots.at(-1)?.place.revision ?? 0n;
  if (last - first + 1n === BigInt(slots.length)) return `${first}-${last}`;
  return slots.map((slot) => slot.place.revision).join(",");
}
