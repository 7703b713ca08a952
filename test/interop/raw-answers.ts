import type { ClientHttp2Session } from "node:http2";
import { type DescMethod, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import type { Reachable } from "../doors/callers.ts";
import { frame, rawAnswer, rawSession } from "../doors/raw.ts";
import { fetchOf } from "../support/own-fetch.ts";

/** One way to call, without any RPC library: the answer is every byte that came, headers and trailers too. */
export interface RawWay {
  readonly name: string;
  readonly codec: "proto" | "json";
  /** Sends these bytes as the one message of a call. */
  send(path: string, message: Buffer, bearer: string | undefined): Promise<Buffer>;
}

/** The ways of both doors: gRPC, gRPC-Web and Connect, in both codecs, over HTTP/1.1 and HTTP/2. */
export function rawWays(world: Reachable): RawWay[] {
  const grpc = rawSession(world, world.grpcPort);
  const http = rawSession(world, world.httpPort);
  return [
    overHttp2("gRPC on the gRPC door", grpc, "application/grpc", "proto"),
    overHttp2("gRPC on the HTTP door", http, "application/grpc+json", "json"),
    overHttp2("Connect over HTTP/2", http, "application/proto", "proto"),
    overHttp1("Connect over HTTP/1.1", world, "application/json", "json"),
    overHttp1("gRPC-Web over HTTP/1.1", world, "application/grpc-web+proto", "proto"),
  ];
}

/** A request as a way sends it. */
export function encoded({ codec }: Pick<RawWay, "codec">, { input }: DescMethod, request: Message): Buffer {
  return Buffer.from(codec === "proto" ? toBinary(input, request) : toJsonString(input, request));
}

function overHttp2(name: string, session: ClientHttp2Session, type: string, codec: RawWay["codec"]): RawWay {
  return {
    name,
    codec,
    async send(path, message, bearer) {
      const enveloped = type.includes("grpc");
      const stream = session.request({
        ...{ ":method": "POST", ":path": path, "content-type": type, te: "trailers" },
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      });
      stream.on("error", () => {});
      const answer = rawAnswer(stream);
      stream.end(enveloped ? frame(message) : message);
      const { headers, trailers, body } = await answer;
      return Buffer.concat([Buffer.from(JSON.stringify([headers, trailers])), body]);
    },
  };
}

function overHttp1(name: string, world: Reachable, type: string, codec: RawWay["codec"]): RawWay {
  return {
    name,
    codec,
    async send(path, message, bearer) {
      const response = await fetchOf(world)(`http://127.0.0.1:${world.httpPort}${path}`, {
        method: "POST",
        headers: { "content-type": type, ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }) },
        body: type.includes("grpc") ? frame(message) : message,
      });
      const headers = JSON.stringify([...response.headers]);
      return Buffer.concat([Buffer.from(headers), Buffer.from(await response.arrayBuffer())]);
    },
  };
}

/** One way to open a stream: every byte that came so far, headers and trailers too. */
export interface RawStreamWay {
  readonly name: string;
  readonly codec: "proto" | "json";
  open(path: string, message: Buffer, bearer: string | undefined): { readonly chunks: Buffer[]; close(): void };
}

/** The ways of both doors to open a stream. */
export function rawStreamWays(world: Reachable): RawStreamWay[] {
  const grpc = rawSession(world, world.grpcPort);
  const http = rawSession(world, world.httpPort);
  return [
    streamOverHttp2("gRPC on the gRPC door", grpc, "application/grpc", "proto"),
    streamOverHttp2("gRPC on the HTTP door", http, "application/grpc+json", "json"),
    streamOverHttp2("Connect over HTTP/2", http, "application/connect+json", "json"),
    streamOverHttp1("Connect over HTTP/1.1", world, "application/connect+proto", "proto"),
    streamOverHttp1("gRPC-Web over HTTP/1.1", world, "application/grpc-web+json", "json"),
  ];
}

function streamOverHttp2(
  name: string,
  session: ClientHttp2Session,
  type: string,
  codec: RawWay["codec"],
): RawStreamWay {
  return {
    name,
    codec,
    open(path, message, bearer) {
      const stream = session.request({
        ...{ ":method": "POST", ":path": path, "content-type": type, te: "trailers" },
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      });
      const chunks: Buffer[] = [];
      const note = (headers: unknown) => chunks.push(Buffer.from(JSON.stringify(headers)));
      stream.on("response", note).on("trailers", note);
      stream.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => {});
      stream.end(frame(message));
      return { chunks, close: () => stream.close() };
    },
  };
}

function streamOverHttp1(name: string, world: Reachable, type: string, codec: RawWay["codec"]): RawStreamWay {
  return {
    name,
    codec,
    open(path, message, bearer) {
      const leaving = new AbortController();
      const chunks: Buffer[] = [];
      const authorization = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
      const headers = { "content-type": type, ...authorization };
      const read = async () => {
        const url = `http://127.0.0.1:${world.httpPort}${path}`;
        const response = await fetchOf(world)(url, {
          method: "POST",
          headers,
          body: frame(message),
          signal: leaving.signal,
        });
        chunks.push(Buffer.from(JSON.stringify([...response.headers])));
        for await (const chunk of response.body ?? []) chunks.push(Buffer.from(chunk));
      };
      read().catch(() => undefined); // it was left
      return { chunks, close: () => leaving.abort() };
    },
  };
}

/** All that an answer says: its bytes, and what stands in them in base64 or with percent signs. */
export function allThatIsSaid(answer: Buffer): string {
  const plain = answer.toString("latin1");
  const hidden = [...plain.matchAll(/[A-Za-z0-9+/_-]{24,}/g)].map(([text]) =>
    Buffer.from(text, "base64").toString("latin1"),
  );
  const spelled = plain.includes("%")
    ? plain.replace(/%([0-9A-F]{2})/gi, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    : "";
  return [plain, ...hidden, spelled].join("\n");
}
