import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { encode, fieldsOf, lengthTag, writerOf, written } from "./encode.ts";
import type { Output } from "./output.ts";

/** A message and the encoding that it was read from. */
export interface Encoded<D extends DescMessage> {
  readonly message: MessageShape<D>;
  readonly bytes: Uint8Array;
}

/** Where the elements of repeated fields lie in an encoding: start and end of each, tags included, by field number. */
type Spans = ReadonlyMap<number, readonly number[]>;

/**
 * The encoding of a message that was made from another one: elements of repeated fields that both share, as objects, are
 * copied from the other's encoding, and only the rest is encoded. A subject with many reports changes by one at a time. It
 * is for use at once, as `encode`'s.
 */
export function encodeChanged<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  before: Encoded<D> | undefined,
): Uint8Array {
  const after = fieldsOf(message);
  const writer = writerOf(schema);
  const isOurs = writer.fields.length > 0 && after.$unknown === undefined;
  const spans = before && isOurs ? spansOf(before.bytes) : undefined;
  if (before === undefined || spans === undefined) return encode(schema, message);
  const old = fieldsOf(before.message);
  return written((out) => {
    for (const { desc, write } of writer.fields) {
      const places = spans.get(desc.number);
      if (desc.fieldKind !== "list" || desc.message === undefined || places === undefined) {
        write(out, after);
        continue;
      }
      const [is, was] = [after[desc.localName], old[desc.localName]] as readonly (readonly object[])[]; // lists of messages
      if (is === undefined || was === undefined || was.length * 2 !== places.length) write(out, after);
      else writeElements(out, is, { was, places, bytes: before.bytes, number: desc.number, type: desc.message });
    }
  }).finishShared();
}

interface Kept {
  readonly was: readonly object[];
  readonly places: readonly number[];
  readonly bytes: Uint8Array;
  readonly number: number;
  readonly type: DescMessage;
}

function writeElements(out: Output, elements: readonly object[], kept: Kept): void {
  const { was, places, bytes, number, type } = kept;
  const writer = writerOf(type);
  let next = 0;
  let run = { start: 0, end: 0 }; // copied when something else follows: mostly all that was there is one run
  for (const element of elements) {
    const at = was[next] === element ? next : was.indexOf(element, next);
    if (at >= 0) {
      const [start = 0, end = 0] = [places[at * 2], places[at * 2 + 1]];
      if (start !== run.end) {
        out.raw(bytes.subarray(run.start, run.end));
        run = { start, end };
      } else run.end = end;
      next = at + 1;
      continue;
    }
    out.raw(bytes.subarray(run.start, run.end));
    run = { start: 0, end: 0 };
    out.varint(lengthTag(number));
    const start = out.open();
    writer.write(out, fieldsOf(element as MessageShape<DescMessage>));
    out.close(start);
  }
  out.raw(bytes.subarray(run.start, run.end));
}

/** Undefined: the encoding has fields whose values have no length before them, beside varints, which are passed over. */
function spansOf(bytes: Uint8Array): Spans | undefined {
  const spans = new Map<number, number[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const start = at;
    const tag = varint();
    const wireType = tag & 7;
    const size = varint();
    if (wireType === 0) continue;
    if (wireType !== 2) return undefined;
    at += size;
    const number = Math.floor(tag / 8);
    const known = spans.get(number);
    if (known) known.push(start, at);
    else spans.set(number, [start, at]);
  }
  return spans;
}
