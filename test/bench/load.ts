/** A process that calls one method as often as it is answered: so many calls are always in flight. */
import { CallConnection, credential } from "./calls.ts";
import { answer } from "./child.ts";
import { quantile } from "./measure.ts";
import { type CallKind, itemsOf, PATHS, requests, taken } from "./messages.ts";
import { randomFrom } from "./random.ts";

export interface Load {
  readonly kind: CallKind;
  readonly port: number;
  /** Connections and requests of its own; without, those of the other rounds of this kind. */
  readonly name?: string;
  /** Credentials. The n-th order belongs to the one at n modulo their number. */
  readonly keys: readonly string[];
  readonly connections: number;
  readonly inFlight: number;
  /** How many orders there are. */
  readonly orders: number;
  /** See `requests`. */
  readonly round?: number;
  /** For so long; or */
  readonly seconds?: number;
  /** so many calls. */
  readonly calls?: number;
  /**
   * Calls that are due in a second, evenly spread, whatever is answered when; without, a call begins when the one before it
   * is answered. Latency then counts from when a call was due, so that a server that stands still is not spared its calls.
   */
  readonly perSecond?: number;
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
  const name = `${load.kind} ${load.port} ${load.connections} ${load.name ?? ""}`;
  const opened =
    connections.get(name) ??
    Promise.all(Array.from({ length: load.connections }, () => CallConnection.open(load.port, PATHS[load.kind])));
  connections.set(name, opened);
  const ofKind = `${load.kind} ${load.port} ${load.orders} ${load.keys.length} ${load.name ?? ""}`;
  const next =
    makers.get(ofKind) ??
    requests(load.kind, load.orders, `${makers.size.toString(36)}${run.slice(1)}`, random, load.round);
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

    /** @param due when the call was due to begin */
    const call = (connection: CallConnection, due: number, then: (ok: boolean) => void) => {
      started += 1;
      const { message, order } = next();
      const key = keys[order % keys.length] ?? new Uint8Array();
      const done = (ok: boolean, body: Buffer | undefined) => {
        const now = performance.now();
        const good = ok ? (body ? taken(body) : 1) : 0;
        failed += expected - good;
        if (now <= end) answered += good;
        // A call that is late is late, whether or not the round has ended meanwhile.
        if (good > 0 && (now <= end || load.perSecond !== undefined)) latencies.push(now - due);
        then(ok);
      };
      connection.start(message, key, done, keep);
    };
    const caller = (connection: CallConnection) =>
      new Promise<void>((resolve) => {
        const again = () => {
          const at = performance.now();
          if (at >= end || started >= most) return resolve();
          call(connection, at, (ok) => {
            if (ok) again();
            else setImmediate(again); // a lost connection answers at once
          });
        };
        again();
      });
    const paced = (perSecond: number) =>
      new Promise<void>((resolve) => {
        const total = Math.round((perSecond * (end - begin)) / 1_000);
        let settled = 0;
        const timer = setInterval(() => {
          const now = performance.now();
          for (; started < total; ) {
            const due = begin + (started * 1_000) / perSecond;
            if (due > now) return;
            const connection = calls[started % calls.length];
            if (!connection) throw new Error("paced calls need a connection");
            call(connection, due, () => {
              settled += 1;
              if (settled === total) resolve();
            });
          }
          clearInterval(timer);
        }, 1);
      });
    const each = Array.from({ length: load.inFlight }, (_, i) => calls[i % calls.length]).filter(
      (c) => c !== undefined,
    );
    if (load.perSecond !== undefined) await paced(load.perSecond);
    else await Promise.all(each.map(caller));
    const seconds = (Math.min(performance.now(), end) - begin) / 1_000;
    const latency = { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
    return { answered, failed, seconds, perSecond: answered / seconds, latency };
  },
});
