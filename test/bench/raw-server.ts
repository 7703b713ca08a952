/**
 * The references for streams and for calls, each the fastest honest form of what it stands for, in a process of its own:
 * node:http2 that writes one shared buffer to all streams, and grpc-js with serializers that pass ready bytes through.
 */
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { Server, ServerCredentials, type ServerWritableStream, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { answer } from "./child.ts";
import { collectedMemory } from "./memory.ts";
import { PATHS } from "./messages.ts";

export const RAW_WATCH_PATH = "/bench.Reference/Watch";
export const RAW_EMIT_PATH = "/bench.Reference/Emit";

export type RawQuestions = {
  /** Starts node:http2. Calls of RAW_EMIT_PATH write `count` messages of so many bytes to every stream, each by itself. */
  http2: { asked: { messageBytes: number; count: number }; answered: number };
  /** Starts grpc-js: unary calls are answered with so many bytes; streams get one message of them and stay open. */
  grpc: { asked: { messageBytes: number }; answered: number };
  /** This process', after garbage collections. */
  memory: { asked: undefined; answered: NodeJS.MemoryUsage };
};

/** A message of so many bytes in its envelope that reads as one event. */
function enveloped(messageBytes: number): Buffer {
  const bytes = Buffer.alloc(5 + messageBytes);
  bytes.writeUInt32BE(messageBytes, 1);
  bytes.set(filled(messageBytes), 5);
  return bytes;
}

/** One field with the number 1 and a length, which fills the message. */
function filled(messageBytes: number): Buffer {
  const long = messageBytes - 2 > 127;
  const length = messageBytes - (long ? 3 : 2);
  const head = long ? [0x0a, (length & 127) | 128, length >> 7] : [0x0a, length];
  return Buffer.concat([Buffer.from(head), Buffer.alloc(length, 0x78)]);
}

answer<RawQuestions>({
  memory: collectedMemory,
  http2: async ({ messageBytes, count }) => {
    const event = enveloped(messageBytes);
    const streams = new Set<ServerHttp2Stream>();
    const server = createServer({ settings: { maxConcurrentStreams: 1_000 } });
    server.on("stream", (stream, headers) => {
      stream.on("error", () => undefined);
      stream.once("close", () => streams.delete(stream));
      const type = headers["content-type"];
      if (headers[":path"] === RAW_WATCH_PATH) {
        stream.respond({ ":status": 200, "content-type": type });
        stream.write(Buffer.alloc(5)); // an empty message: it has started
        streams.add(stream);
        return;
      }
      for (let i = 0; i < count; i++) for (const each of streams) each.write(event);
      stream.respond({ ":status": 200, "content-type": type }, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(5));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  },
  grpc: async ({ messageBytes }) => {
    const ready = filled(messageBytes);
    const pass = (bytes: Buffer) => bytes;
    const method = (path: string, responseStream: boolean) => ({
      ...{ path, requestStream: false, responseStream },
      ...{ requestDeserialize: pass, requestSerialize: pass, responseSerialize: pass, responseDeserialize: pass },
    });
    const implementation: UntypedServiceImplementation = {
      ready: (_call: unknown, callback: (error: null, answer: Buffer) => void) => callback(null, ready),
      watch: (call: ServerWritableStream<Buffer, Buffer>) => void call.write(ready),
    };
    const server = new Server({ "grpc.max_concurrent_streams": 1_000 });
    server.addService({ ready: method(PATHS.ready, false), watch: method(RAW_WATCH_PATH, true) }, implementation);
    return new Promise((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
  },
});
