import { type Fields, FrameConnection, type FrameReader, literals } from "./frames.ts";

/** Told of a call's end. @param body what was answered, envelope included, if it was asked for */
export type Done = (ok: boolean, body: Buffer | undefined) => void;

interface Waiting {
  readonly done: Done;
  readonly parts: Buffer[] | undefined;
}

/** The header fields of a gRPC call, all but `authorization`. */
export function grpcFields(path: string, contentType = "application/grpc+proto"): Fields {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "127.0.0.1"],
    ["content-type", contentType],
    ["te", "trailers"],
  ];
}

/** A header block with the credential, for `FrameConnection.request`. */
export function credential(key: string): Buffer {
  return literals(key === "" ? [] : [["authorization", `Bearer ${key}`]]);
}

/**
 * Unary gRPC calls of one method on one connection. Only answers with status 0 count as good: the trailers of the first
 * such answer are read, later ones are compared with them.
 */
export class CallConnection implements FrameReader {
  readonly #waiting = new Map<number, Waiting>();
  #connection: FrameConnection | undefined;
  #good: Buffer | undefined;
  #lost = false;

  /** @param path `/leadline.v1.OrderService/GetOrder` */
  static async open(port: number, path: string): Promise<CallConnection> {
    const calls = new CallConnection();
    calls.#connection = await FrameConnection.open(port, grpcFields(path), calls);
    return calls;
  }

  /**
   * Makes one call.
   * @param message an encoded request
   * @param authorization see `credential`
   * @param keep whether `done` wants the answer
   */
  start(message: Uint8Array, authorization: Uint8Array, done: Done, keep = false): void {
    if (this.#lost || !this.#connection) {
      done(false, undefined);
      return;
    }
    const stream = this.#connection.request(message, authorization);
    this.#waiting.set(stream, { done, parts: keep ? [] : undefined });
  }

  /** The same, with the message of the answer. Rejects when the status is not 0. */
  call(message: Uint8Array, authorization: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const done: Done = (ok, body) =>
        ok && body ? resolve(body.subarray(5)) : reject(new Error("a call was not answered with status 0"));
      this.start(message, authorization, done, true);
    });
  }

  close(): void {
    this.#connection?.close();
  }

  headers(stream: number, bytes: Buffer, start: number, end: number, last: boolean): void {
    if (last) this.#settle(stream, this.#isGood(bytes, start, end));
  }

  data(stream: number, bytes: Buffer, start: number, end: number, last: boolean): void {
    const parts = this.#waiting.get(stream)?.parts;
    if (parts) parts.push(Buffer.from(bytes.subarray(start, end))); // a copy: the chunk may be long
    if (last) this.#settle(stream, false); // gRPC ends with trailers
  }

  reset(stream: number): void {
    this.#settle(stream, false);
  }

  closed(): void {
    this.#lost = true;
    for (const stream of [...this.#waiting.keys()]) this.#settle(stream, false);
  }

  #isGood(bytes: Buffer, start: number, end: number): boolean {
    if (this.#good) return bytes.compare(this.#good, 0, this.#good.length, start, end) === 0;
    if (!saysOk(bytes.subarray(start, end))) return false;
    this.#good = Buffer.from(bytes.subarray(start, end));
    return true;
  }

  #settle(stream: number, ok: boolean): void {
    const waiting = this.#waiting.get(stream);
    if (!waiting) return;
    this.#waiting.delete(stream);
    waiting.done(ok, waiting.parts && Buffer.concat(waiting.parts));
  }
}

// `grpc-status` in HPACK's Huffman code (RFC 7541, appendix B), and as it is.
const STATUS_NAMES = [Buffer.from("9acac8b21234da8f", "hex"), Buffer.from("grpc-status")];

/** Whether a header block has the literal field `grpc-status` with the value `0`, plain (0x30) or Huffman-coded (0x07). */
function saysOk(block: Buffer): boolean {
  return STATUS_NAMES.some((name) => {
    const at = block.indexOf(name);
    if (at < 0) return false;
    const value = block.subarray(at + name.length, at + name.length + 2);
    return (value[0] === 1 && value[1] === 0x30) || (value[0] === 0x81 && value[1] === 0x07);
  });
}
