import { toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type WatchBookingsResponse, WatchBookingsResponseSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { type WatchOrdersResponse, WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { EndReasonSchema, ResetReasonSchema } from "../../gen/leadline/v1/watch_pb.ts";
import { contentOf, rowContentOf } from "./history.ts";
import type { Place, Reader, ResetName, Step } from "./trace.ts";
import { foreignTo, historyOf, placeOf, type Truth } from "./truth.ts";
import { validate } from "./validators.ts";

export type WatchMessage = WatchOrdersResponse | WatchBookingsResponse;

/** What a watcher received, over one stream or over several of which each resumed where the one before had ended. */
export interface MessageTrace {
  readonly reader: Reader;
  /** How the first stream started. */
  readonly start: "now" | "snapshot" | { readonly position: string };
  readonly mode: "ALL" | "LATEST";
  /** When it was opened, milliseconds since the epoch. */
  readonly openedAtMs: number;
  readonly messages: readonly WatchMessage[];
  /** The revision up to which the watcher was waited for. */
  readonly upTo: bigint;
}

/** What one message tells, as steps of a trace. `at`: the place that a position names to the reader. */
export function* stepsOfMessage(
  message: WatchMessage,
  { visibility }: Reader,
  at: (position: string) => Place,
  atMs: number,
): Generator<Step> {
  const { started, synced, bookmark, end, reset } = message;
  yield { what: "message", bytes: bytesOf(message), atMs };
  yield { what: "words", words: wordsIn(message), atMs };
  if (started) yield { what: "started", head: at(started.head), messageMaxBytes: started.messageMaxBytes, atMs };
  for (const row of message.$typeName === "leadline.v1.WatchOrdersResponse" ? message.orders : message.bookings) {
    yield { what: "row", id: row.id, version: Number(row.version), content: rowContentOf(row), atMs };
  }
  if (synced) yield { what: "synced", at: at(synced.position), atMs };
  for (const event of message.events) {
    const { subjectId: id, version } = event;
    const told = { at: at(event.position), id, version: Number(version) };
    yield { what: "event", ...told, content: contentOf(event, visibility), shows: shownBy(event), atMs };
  }
  for (const { id, position } of message.left) yield { what: "left", at: at(position), id, atMs };
  if (bookmark) yield { what: "bookmark", at: at(bookmark.position), verifiedAtMs: ms(bookmark.verifiedAt), atMs };
  if (end) {
    const reason = EndReasonSchema.value[end.reason]?.localName ?? String(end.reason);
    const place = end.position === "" ? undefined : at(end.position);
    yield { what: "end", reason, at: place, verifiedAtMs: ms(end.verifiedAt), atMs };
  }
  if (reset) {
    const reason = (ResetReasonSchema.value[reset.reason]?.localName ?? "UNSPECIFIED") as ResetName;
    yield { what: "reset", reason, head: reset.head === "" ? undefined : at(reset.head), atMs };
  }
}

/** The steps of a recorded trace. */
function* stepsOf({ reader, start, openedAtMs, messages, upTo }: MessageTrace, truth: Truth): Generator<Step> {
  const at = (position: string) => placeOf(truth, reader, position);
  const atMs = Date.now();
  yield { what: "open", from: typeof start === "string" ? start : at(start.position), atMs: openedAtMs };
  let greetings = 0;
  for (const message of messages) {
    // A second greeting is that of a stream that resumed.
    if (message.started && greetings++ > 0) yield { what: "cut", atMs };
    yield* stepsOfMessage(message, reader, at, atMs);
  }
  yield { what: "done", upTo: Number(upTo), atMs };
}

/** All that is wrong with a recorded trace, a line each. */
export function faultsOf(trace: MessageTrace, truth: Truth): string[] {
  const { reader, mode } = trace;
  const steps = stepsOf(trace, truth);
  return validate({ reader, mode, steps }, historyOf(truth, reader.tenant), foreignTo(reader, truth)).faults;
}

/** What an event shows that only the shipper's side may see. */
function shownBy(event: Event): string[] {
  const { after } = event;
  const shown = {
    revision: event.revision !== 0n,
    command: event.command !== undefined,
    cause: event.cause !== undefined,
    position: /^[0-9]/.test(event.position),
    actor: event.actor !== "",
    orders: after.case === "booking" && after.value.orderIds.length > 0,
  };
  return Object.entries(shown).flatMap(([what, shows]) => (shows ? [what] : []));
}

function bytesOf(message: WatchMessage): number {
  return message.$typeName === "leadline.v1.WatchOrdersResponse"
    ? toBinary(WatchOrdersResponseSchema, message).length
    : toBinary(WatchBookingsResponseSchema, message).length;
}

/** Every text in a message. */
function wordsIn(message: WatchMessage): string[] {
  const words: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value === "string") words.push(value);
    else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
      for (const inner of Object.values(value)) walk(inner);
    }
  };
  walk(message);
  return words;
}

function ms(time: Timestamp | undefined): number | undefined {
  return time && timestampMs(time);
}
