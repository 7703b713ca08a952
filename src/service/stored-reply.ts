import { toBinary } from "@bufbuild/protobuf";
import { type HistoryCut, HistoryCutSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Output } from "../wire/output.ts";
import { EncodedReply } from "./call.ts";

/*
 * Replies laid together from stored encodings. Nothing is decoded on the way out; the field numbers are those of the
 * responses in the contracts, and the tests read every such reply back through its schema.
 */

/** A subject with its details: `summary` as field 1, `details` as field 2 (GetOrderResponse, GetBookingResponse). */
export function subjectReply(summary: Uint8Array, details: Uint8Array): EncodedReply {
  output.start();
  writeBytes(1, summary);
  writeBytes(2, details);
  return new EncodedReply(output.finishShared());
}

/** Messages as the repeated field 1, texts as field 2: a page with its next token, or rows with the ids that are unknown. */
export function listReply(messages: readonly Uint8Array[], texts: readonly string[]): EncodedReply {
  output.start();
  for (const message of messages) writeBytes(1, message);
  writeTexts(texts);
  return new EncodedReply(output.finishShared());
}

/**
 * Stored events end to end, which are the repeated field 1 already, the next page's token as field 2, and as field 3 where the
 * history was cut.
 */
export function eventsReply(payloads: readonly Uint8Array[], nextPageToken: string, cut?: HistoryCut): EncodedReply {
  const encoded = cut && toBinary(HistoryCutSchema, cut);
  output.start();
  for (const payload of payloads) output.raw(payload);
  writeTexts(nextPageToken === "" ? [] : [nextPageToken]);
  if (encoded) writeBytes(3, encoded);
  return new EncodedReply(output.finishShared());
}

/** Stored events end to end, and the encoding of the rest of the response, which has none. */
export function changesReply(payloads: readonly Uint8Array[], rest: Uint8Array): EncodedReply {
  output.start();
  for (const payload of payloads) output.raw(payload);
  output.raw(rest);
  return new EncodedReply(output.finishShared());
}

const output = new Output();

/** A field number with the wire type of what begins with its length. */
const tag = (field: number) => (field << 3) | 2;

function writeBytes(field: number, bytes: Uint8Array): void {
  output.varint(tag(field));
  output.varint(bytes.length);
  output.raw(bytes);
}

function writeTexts(texts: readonly string[]): void {
  for (const text of texts) {
    output.varint(tag(2));
    output.text(text);
  }
}
