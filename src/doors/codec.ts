import { type DescMessage, fromJsonString, type Message, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import { EncodedReply, type Reply } from "../service/call.ts";
import type { Codec } from "../watch/spec.ts";
import { decode } from "../wire/decode.ts";
import { encode } from "../wire/encode.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** A parser's complaint can quote the whole value. */
const MAX_COMPLAINT_CHARS = 300;

/** Decodes a request. Throws a Refusal MESSAGE_MALFORMED; in JSON, a field that the contract does not have is one too. */
export function decodeRequest(schema: DescMessage, bytes: Uint8Array, codec: Codec): Message {
  try {
    if (codec === "proto") return decode(schema, bytes);
    // Connect takes an empty body for an empty message, and so do curl users.
    const text = bytes.length === 0 ? "{}" : utf8.decode(bytes);
    return fromJsonString(schema, text, { ignoreUnknownFields: false });
  } catch (error) {
    const complaint = error instanceof Error ? error.message : String(error);
    throw malformed(`the request is not a ${schema.name} in ${codec}: ${complaint.slice(0, MAX_COMPLAINT_CHARS)}`);
  }
}

/** Encodes a reply; bytes that are encoded already pass through. */
export function encodeReply(schema: DescMessage, reply: Reply<DescMessage>, codec: Codec): Uint8Array {
  const encoded = reply instanceof EncodedReply;
  if (codec === "proto") return encoded ? reply.bytes : encode(schema, reply);
  return encodeJson(schema, encoded ? decode(schema, reply.bytes) : reply);
}

function encodeJson<D extends DescMessage>(schema: D, message: MessageShape<D>): Uint8Array {
  return encoder.encode(toJsonString(schema, message));
}

/** The refusal of a request that cannot be read. */
export function malformed(message: string, metadata: Record<string, string> = {}): Refusal {
  return new Refusal(ErrorReason.MESSAGE_MALFORMED, message, { metadata });
}

/** The refusal of a request that is larger than `maxBytes`. */
export function tooLarge(maxBytes: number): Refusal {
  return new Refusal(ErrorReason.MESSAGE_TOO_LARGE, `the request is larger than ${maxBytes} bytes`, {
    metadata: { limit: "message_bytes", allowed: String(maxBytes) },
  });
}
