import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { EncodedReply } from "./call.ts";

/*
 * Replies laid together from stored encodings. Nothing is decoded on the way out; the field numbers are those of the
 * responses in the contracts, and the tests read every such reply back through its schema.
 */

/** A subject with its details: `summary` as field 1, `details` as field 2 (GetOrderResponse, GetBookingResponse). */
export function subjectReply(summary: Uint8Array, details: Uint8Array): EncodedReply {
  const writer = new BinaryWriter();
  writeBytes(writer, 1, summary);
  writeBytes(writer, 2, details);
  return new EncodedReply(writer.finish());
}

/** Messages as the repeated field 1, texts as field 2: a page with its next token, or rows with the ids that are unknown. */
export function listReply(messages: readonly Uint8Array[], texts: readonly string[]): EncodedReply {
  const writer = new BinaryWriter();
  for (const message of messages) writeBytes(writer, 1, message);
  writeTexts(writer, texts);
  return new EncodedReply(writer.finish());
}

/** Stored events end to end, which are the repeated field 1 already, and the next page's token as field 2. */
export function eventsReply(payloads: readonly Uint8Array[], nextPageToken: string): EncodedReply {
  const writer = new BinaryWriter();
  for (const payload of payloads) writer.raw(payload);
  writeTexts(writer, nextPageToken === "" ? [] : [nextPageToken]);
  return new EncodedReply(writer.finish());
}

function writeBytes(writer: BinaryWriter, field: number, bytes: Uint8Array): void {
  writer.tag(field, WireType.LengthDelimited).bytes(bytes);
}

function writeTexts(writer: BinaryWriter, texts: readonly string[]): void {
  for (const text of texts) writer.tag(2, WireType.LengthDelimited).string(text);
}
