import {
  type DescMessage,
  fromBinary,
  fromJsonString,
  type Message,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import { EncodedReply, type Reply } from "../service/call.ts";
import type { Codec } from "../watch/spec.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** A parser's complaint can quote the whole value. */
const MAX_COMPLAINT_CHARS = 300;

/** Decodes a request. Throws a Refusal MESSAGE_MALFORMED; in JSON, a field that the contract does not have is one too. */
export function decodeRequest(schema: DescMessage, bytes: Uint8Array, codec: Codec): Message {
  try {
    if (codec === "proto") return fromBinary(schema, bytes);
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
  if (!(reply instanceof EncodedReply)) return encode(schema, reply, codec);
  return codec === "proto" ? reply.bytes : encode(schema, fromBinary(schema, reply.bytes), codec);
}

function encode<D extends DescMessage>(schema: D, message: MessageShape<D>, codec: Codec): Uint8Array {
  return codec === "proto" ? toBinary(schema, message) : encoder.encode(toJsonString(schema, message));
}

/** The refusal of a request that cannot be read. */
export function malformed(message: string, metadata: Record<string, string> = {}): Refusal {
  return new Refusal(ErrorReason.MESSAGE_MALFORMED, message, { metadata });
}

/** The refusal of a request that is larger than `maxBytes`. */
export function tooLarge(maxBytes: number): Refusal {
  return new Refusal(ErrorReason.MESSAGE_TOO_LARGE, `the request is larger than ${maxBytes} bytes`, {
    metadata: { max_bytes: String(maxBytes) },
  });
}
