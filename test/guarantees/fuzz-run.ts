import { Agent, request as requestHttp1 } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import { type DescMethod, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { SERVICE_OWNER, type TestApp, type TestTenant } from "../support/app.ts";
import { documentsOf, modelsOf } from "./fuzz-messages.ts";
import { framed, mutate } from "./mutations.ts";
import type { Draw } from "./random-requests.ts";

/*
 * Mutated messages at every method of every door, in every protocol. The seed decides everything that is sent.
 */

/** What a run counts, and what it must not see. */
export interface FuzzCounts {
  cases: number;
  /** By way and method, by mutation, by what came back. */
  readonly of: Record<string, number>;
  readonly how: Record<string, number>;
  readonly answers: Record<string, number>;
  /** Answers that tell of a fault of ours, with the case that had it. */
  readonly faults: string[];
}

export interface FuzzOptions {
  readonly app: TestApp;
  readonly tenant: TestTenant;
  readonly draw: Draw;
  readonly atOnce: number;
  /** Whether to go on with another round. */
  more(counts: FuzzCounts): boolean;
}

export const ways = {
  "gRPC on the gRPC door": { door: "grpc", type: "application/grpc", http: 2, frames: true },
  "gRPC on the HTTP door": { door: "http", type: "application/grpc+proto", http: 2, frames: true },
  "gRPC with JSON": { door: "http", type: "application/grpc+json", http: 2, frames: true },
  "gRPC-Web": { door: "http", type: "application/grpc-web+proto", http: 1, frames: true },
  "gRPC-Web with JSON": { door: "http", type: "application/grpc-web+json", http: 2, frames: true },
  Connect: { door: "http", type: "application/proto", http: 1, frames: false },
  "Connect with JSON": { door: "http", type: "application/json", http: 1, frames: false },
  "Connect with GET": { door: "http", type: "application/proto", http: 1, frames: false, get: "proto" },
  "Connect with GET and JSON": { door: "http", type: "application/json", http: 1, frames: false, get: "json" },
  "Connect stream": { door: "http", type: "application/connect+proto", http: 2, frames: true },
  "Connect stream with JSON": { door: "http", type: "application/connect+json", http: 1, frames: true },
} as const satisfies Record<string, Way>;

export type WayName = keyof typeof ways;

/** A protocol at a door. */
interface Way {
  readonly door: "grpc" | "http";
  readonly type: string;
  readonly http: 1 | 2;
  readonly frames: boolean;
  /** The message goes in the URL. */
  readonly get?: "proto" | "json";
}

/** Streams that were opened are left after so long; a call that has no answer by then is one that hangs. */
const STREAM_MS = 60;
/** ReadChanges may wait for a minute. */
const PATIENCE_MS = 75_000;

interface Shot {
  readonly way: Way;
  readonly wayName: string;
  readonly method: DescMethod;
  readonly bearer: string;
  readonly how: string;
  readonly body: Buffer;
}

export async function fuzz({ app, tenant, draw, atOnce, more }: FuzzOptions): Promise<FuzzCounts> {
  const counts: FuzzCounts = { cases: 0, of: {}, how: {}, answers: {}, faults: [] };
  const models = await modelsOf(app, tenant);
  const documents = documentsOf(await flowsInYaml(app, tenant));
  const methods = [...models.keys()];
  const pairs = pairsOf(methods);
  const sessions = { grpc: lasting(`http://127.0.0.1:${app.grpcPort}`), http: lasting(app.httpUrl) };
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  const pick = <T>(all: readonly T[]): T => all[Math.floor(draw() * all.length)] as T;
  const bearers = [...Object.values(tenant.keys), SERVICE_OWNER, await tenant.link("PO-1"), "no key"];
  const drawn = (n: number): Shot => {
    // Every way meets every method in turn; what is drawn is what becomes of the message.
    const [wayName, method] = pairs[n % pairs.length] as [WayName, DescMethod];
    const way: Way = ways[wayName];
    const encode = (message: Message, { input }: DescMethod) =>
      Buffer.from(way.type.endsWith("json") ? jsonOf(input, message) : toBinary(input, message));
    const { message, bearer } = pick(models.get(method) ?? []);
    const other = pick(methods);
    // Half of the time it is the document that is broken, within a call that is whole.
    const readable = documents.filter((document) => document.method === method);
    const document = readable.length > 0 && draw() < 0.5 ? pick(readable) : undefined;
    const spare = document ? Buffer.from(pick(documents).text) : encode(pick(models.get(other) ?? []).message, other);
    const { how, bytes } = mutate(document ? Buffer.from(document.text) : encode(message, method), draw, spare);
    const sent = document ? encode(document.call(bytes, draw), method) : bytes;
    const body = way.frames ? framed(sent, draw) : sent;
    return { way, wayName, method, how, body, bearer: draw() < 0.85 ? bearer : pick(bearers) };
  };
  let next = 0;
  // What is sent, and in which order, is the seed's; several are on their way at a time.
  const sender = async (): Promise<void> => {
    while (more(counts)) {
      const shot = drawn(next++);
      note(counts, shot, await fire(shot, sessions, agent, app));
    }
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, sender));
  } finally {
    agent.destroy();
    for (const session of Object.values(sessions)) session.close();
  }
  return counts;
}

/** Every method in every way in which it can be called, and, once in a round, each in a way in which it cannot. */
function pairsOf(methods: readonly DescMethod[]): [WayName, DescMethod][] {
  const names = Object.keys(ways) as WayName[];
  const all = methods.flatMap((method) => names.map((name): [WayName, DescMethod] => [name, method]));
  const taken = all.filter(([name, method]) => fits(ways[name], method));
  const refused = all.filter(([name, method]) => !fits(ways[name], method));
  return [...taken, ...refused, ...Array.from({ length: ROUNDS - 1 }, () => taken).flat()];
}

/** Rounds of what is taken for one of what is not. */
const ROUNDS = 10;

function fits({ get, frames, http, type }: Way, { idempotency, methodKind }: DescMethod): boolean {
  if (get) return methodKind === "unary" && idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
  if (methodKind === "bidi_streaming" && http === 1) return false;
  if (!frames) return methodKind === "unary";
  return type.includes("connect") ? methodKind !== "unary" : true;
}

/** The flows that ship with the service, as people edit them. */
function flowsInYaml(app: TestApp, tenant: TestTenant): Promise<string[]> {
  const { flows } = app.client(tenant.keys.owner);
  return Promise.all(
    ["ocean", "air", "road", "parcel"].map(async (mode) => {
      const { yaml } = await flows.exportStatusFlow({ flowId: `template-${mode}` });
      return yaml.replace(`template-${mode}`, `own-${mode}`);
    }),
  );
}

interface Answer {
  readonly code: string;
  readonly text: string;
}

/** Codes that say that the fault is ours. */
const FAULTS = new Set(["2", "13", "14", "15", "internal", "unknown", "unavailable", "data_loss", "none"]);

function note(counts: FuzzCounts, { wayName, method, how, body }: Shot, { code, text }: Answer): void {
  counts.cases += 1;
  const name = `${wayName}, ${method.parent.typeName}.${method.name}`;
  counts.of[name] = (counts.of[name] ?? 0) + 1;
  counts.how[how] = (counts.how[how] ?? 0) + 1;
  counts.answers[code] = (counts.answers[code] ?? 0) + 1;
  // Batches and imports tell of each item. Reflection tells the names of all reasons.
  const told = /(?<![A-Z_])INTERNAL(?![A-Z_])/.test(text);
  if (FAULTS.has(code) || /^50[0-4]$/.test(code) || told) {
    counts.faults.push(`${name}, ${how}: ${code} ${text.slice(0, 300)} for ${body.toString("base64").slice(0, 2_000)}`);
  }
}

function lasting(url: string): { get(): ClientHttp2Session; close(): void } {
  let session: ClientHttp2Session | undefined;
  return {
    get() {
      if (!session || session.closed || session.destroyed) {
        session = connect(url);
        session.on("error", () => {});
      }
      return session;
    },
    close: () => session?.destroy(),
  };
}

type Sessions = Readonly<Record<"grpc" | "http", ReturnType<typeof lasting>>>;

function fire(shot: Shot, sessions: Sessions, agent: Agent, app: TestApp): Promise<Answer> {
  return shot.way.http === 2 ? overHttp2(shot, sessions[shot.way.door].get()) : overHttp1(shot, agent, app);
}

function headersOf({ way, bearer, body }: Shot): Record<string, string> {
  const gzip = way.type.includes("connect+") ? "connect-content-encoding" : "grpc-encoding";
  const compressed = way.frames && (body[0] ?? 0) === 1 ? { [gzip]: "gzip" } : {};
  return { "content-type": way.type, authorization: `Bearer ${bearer}`, ...compressed };
}

/** Streams are left once they have begun; the rest is answered, or hangs. */
const patienceOf = ({ method }: Shot) => (method.methodKind === "unary" ? PATIENCE_MS : STREAM_MS);

function overHttp2(shot: Shot, session: ClientHttp2Session): Promise<Answer> {
  return new Promise((resolve) => {
    const path = `/${shot.method.parent.typeName}/${shot.method.name}`;
    const stream = session.request({ ":method": "POST", ":path": path, te: "trailers", ...headersOf(shot) });
    const chunks: Buffer[] = [];
    let head: Record<string, unknown> = {};
    const timer = setTimeout(() => stream.close(8), patienceOf(shot));
    stream.on("response", (headers) => (head = { ...head, ...headers }));
    stream.on("trailers", (headers) => (head = { ...head, ...headers }));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => {});
    stream.on("close", () => {
      clearTimeout(timer);
      resolve(answerOf(head, Buffer.concat(chunks), shot));
    });
    stream.end(shot.body);
  });
}

function overHttp1(shot: Shot, agent: Agent, app: TestApp): Promise<Answer> {
  return new Promise((resolve) => {
    const { way, method, body } = shot;
    const query = way.get && `?connect=v1&encoding=${way.get}&base64=1&message=${body.toString("base64url")}`;
    const url = `${app.httpUrl}/${method.parent.typeName}/${method.name}${query ?? ""}`;
    const chunks: Buffer[] = [];
    let head: Record<string, unknown> = {};
    const done = () => {
      clearTimeout(timer);
      resolve(answerOf(head, Buffer.concat(chunks), shot));
    };
    const { "content-type": _, ...bare } = headersOf(shot);
    const posted = { ...headersOf(shot), "content-length": body.length };
    const options = way.get ? { method: "GET", headers: bare } : { method: "POST", headers: posted };
    const sent = requestHttp1(url, { ...options, agent }, (response) => {
      head = { ":status": response.statusCode, ...response.headers };
      response
        .on("data", (chunk: Buffer) => chunks.push(chunk))
        .on("close", done)
        .on("error", () => {});
    });
    const timer = setTimeout(() => sent.destroy(), patienceOf(shot));
    sent.on("error", done).end(way.get ? undefined : body);
  });
}

/** The code of an answer in any protocol; for streams that were left, `open`. */
function answerOf(head: Record<string, unknown>, body: Buffer, { method }: Shot): Answer {
  const text = body.toString("latin1");
  const details = Buffer.from(String(head["grpc-status-details-bin"] ?? ""), "base64").toString("latin1");
  const all = `${text} ${details} ${head["grpc-message"] ?? ""}`;
  const [, inTrailer] = /grpc-status:\s*(\d+)/i.exec(text) ?? [];
  const grpc = head["grpc-status"] ?? inTrailer;
  if (grpc !== undefined) return { code: String(grpc), text: all };
  const [, connectCode] = /"code":\s*"(\w+)"/.exec(text.slice(-4_000)) ?? [];
  const status = Number(head[":status"]);
  if (status >= 400) return { code: connectCode ?? String(status), text: all };
  if (method.methodKind !== "unary" && status === 200) return { code: connectCode ?? "open", text: all };
  if (status === 200) return { code: "0", text: all };
  return { code: method.methodKind === "unary" ? "none" : "left", text: all };
}

function jsonOf(input: DescMethod["input"], message: Message): string {
  try {
    return toJsonString(input, message);
  } catch {
    return "{}";
  }
}
