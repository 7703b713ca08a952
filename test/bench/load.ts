/** A process that calls one method as often as it is answered: so many calls are always in flight. */
import { CallConnection, credential } from "./calls.ts";
import { answer } from "./child.ts";
import { quantile } from "./measure.ts";
import { type CallKind, itemsOf, PATHS, requests, taken } from "./messages.ts";
import { randomFrom } from "./random.ts";

export interface Load {
  readonly kind: CallKind;
  readonly port: number;
  /** Credentials. The n-th order belongs to the one at n modulo their number. */
  readonly keys: readonly string[];
  readonly connections: number;
  readonly inFlight: number;
  /** How many orders there are. */
  readonly orders: number;
  /** For so long; or */
  readonly seconds?: number;
  /** so many calls. */
  readonly calls?: number;
}

export interface LoadResult {
  /** Answers with status 0; of a batch its items that were taken. */
  readonly answered: number;
  readonly failed: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly latency: { readonly p50: number; readonly p99: number };
}

// A type, not an interface: only types fit into `Questions`.
export type LoadQuestions = { run: { asked: Load; answered: LoadResult } };

const run = Math.random().toString(36).slice(2, 7).padEnd(5, "0");
const random = randomFrom(1);
const connections = new Map<string, Promise<CallConnection[]>>();
const makers = new Map<string, ReturnType<typeof requests>>();

/** Connections and the sequence of requests live on from round to round. */
async function open(load: Load) {
  const name = `${load.kind} ${load.port} ${load.connections}`;
  const opened =
    connections.get(name) ??
    Promise.all(Array.from({ length: load.connections }, () => CallConnection.open(load.port, PATHS[load.kind])));
  connections.set(name, opened);
  const ofKind = `${load.kind} ${load.port} ${load.orders} ${load.keys.length}`;
  const next = makers.get(ofKind) ?? requests(load.kind, load.orders, `${makers.size}${run.slice(1)}`, random);
  makers.set(ofKind, next);
  return { calls: await opened, next };
}

answer<LoadQuestions>({
  run: async (load) => {
    const { calls, next } = await open(load);
    const keys = load.keys.map(credential);
    const latencies: number[] = [];
    let [started, answered, failed] = [0, 0, 0];
    const begin = performance.now();
    const end = begin + (load.seconds ?? Number.POSITIVE_INFINITY) * 1_000;
    const most = load.calls ?? Number.POSITIVE_INFINITY;
    const expected = itemsOf(load.kind);
    const keep = expected > 1;

    const caller = (connection: CallConnection) =>
      new Promise<void>((resolve) => {
        const again = () => {
          const at = performance.now();
          if (at >= end || started >= most) return resolve();
          started += 1;
          const { message, order } = next();
          const key = keys[order % keys.length] ?? new Uint8Array();
          const done = (ok: boolean, body: Buffer | undefined) => {
            const now = performance.now();
            const good = ok ? (body ? taken(body) : 1) : 0;
            failed += expected - good;
            if (now <= end) {
              answered += good;
              if (good > 0) latencies.push(now - at);
            }
            if (ok) again();
            else setImmediate(again); // a lost connection answers at once
          };
          connection.start(message, key, done, keep);
        };
        again();
      });
    const each = Array.from({ length: load.inFlight }, (_, i) => calls[i % calls.length]).filter(
      (c) => c !== undefined,
    );
    await Promise.all(each.map(caller));
    const seconds = (Math.min(performance.now(), end) - begin) / 1_000;
    const latency = { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
    return { answered, failed, seconds, perSecond: answered / seconds, latency };
  },
});
