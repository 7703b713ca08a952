/**
 * A process with many watches that makes events itself, so that it knows when each was sent and when everybody had it
 * without asking another process.
 */
import { setTimeout as delay } from "node:timers/promises";
import { CallConnection, credential } from "./calls.ts";
import { answer } from "./child.ts";
import { quantile } from "./measure.ts";
import { encodeWatch, orderId, PATHS, requests } from "./messages.ts";
import { randomFrom } from "./random.ts";
import { WatchConnection, WatchCounts, type WatchTarget } from "./streams.ts";

export interface OpenWatches extends WatchTarget {
  /** A name for these watches. */
  readonly group: string;
  readonly key: string;
  readonly connections: number;
  readonly perConnection: number;
  /** The encoded request; absent: the n-th watch asks for the n-th order. */
  readonly message?: Uint8Array;
  /** Write down when each event arrives. */
  readonly timed?: boolean;
  /** Read nothing any more once they have started. */
  readonly stalled?: boolean;
  readonly streamWindow?: number;
}

/** Where events are made. `path` and `message`: a call that is always the same; without: Leadline's ReportStatus. */
export interface Source {
  readonly port: number;
  readonly key: string;
  readonly orders: number;
  readonly kind?: "report" | "burst";
  readonly path?: string;
  readonly message?: Uint8Array;
  /** Events that one call makes. */
  readonly perCall: number;
}

export interface Fanout {
  readonly group: string;
  readonly source: Source;
  readonly seconds: number;
  /** Events that are on their way at most. 1 call: each is awaited by all watchers before the next. */
  readonly window: number;
  readonly callers: number;
}

export interface FanoutResult {
  readonly seconds: number;
  readonly events: number;
  readonly deliveries: number;
  readonly messages: number;
  /** Milliseconds from a call until all watchers had what it made; only with one caller. */
  readonly toAll: { readonly p50: number; readonly p99: number };
}

export interface Paced {
  readonly source: Source;
  readonly seconds: number;
  readonly perSecond: number;
}

/** An event's arrival at one watcher. */
export interface Arrivals {
  /** Pairs: a revision, and when it arrived, in milliseconds since the epoch. */
  readonly pairs: Float64Array;
}

export type WatcherQuestions = {
  open: { asked: OpenWatches; answered: { seconds: number } };
  fanout: { asked: Fanout; answered: FanoutResult };
  /** So many calls a second, whether or not the earlier ones are answered. @returns calls that were answered with status 0 */
  paced: { asked: Paced; answered: { answered: number; failed: number } };
  /** What arrived in a group since it was last asked. */
  arrivals: { asked: string; answered: Arrivals };
  /** Waits until a group has had so many events in all, or for `patienceMs`. */
  received: { asked: { group: string; events: number; patienceMs: number }; answered: { events: number; ms: number } };
  close: { asked: string; answered: undefined };
};

class Group {
  readonly connections: WatchConnection[] = [];
  readonly counts = new WatchCounts();
  arrivals: number[] = [];
}

const groups = new Map<string, Group>();
const random = randomFrom(7);
const run = Math.random().toString(36).slice(2, 7).padEnd(5, "0");
const callers = new Map<string, Promise<CallConnection>>();
const makers = new Map<string, ReturnType<typeof requests>>();

function group(name: string): Group {
  const found = groups.get(name);
  if (!found) throw new Error(`no watches "${name}"`);
  return found;
}

const pending = new Set<() => void>();

/** Has everybody look who waits for something. */
function wake(): void {
  for (const look of pending) look();
}

/** Waits until something is so, looking whenever something was read. @returns whether it became so in time */
function until(isSo: () => boolean, patienceMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (became: boolean) => {
      pending.delete(look);
      clearTimeout(timer);
      resolve(became);
    };
    const look = () => {
      if (isSo()) settle(true);
    };
    const timer = setTimeout(() => settle(false), patienceMs);
    pending.add(look);
    look();
  });
}

/** No more than that are opened in a second: a credential may open 10,000, and a part of them is kept for those that resume. */
const OPENS_PER_SECOND = 5_000;

async function open(asked: OpenWatches): Promise<{ seconds: number }> {
  const begin = performance.now();
  const made = new Group();
  groups.set(asked.group, made);
  made.counts.onRead = wake;
  if (asked.timed) {
    made.counts.onEvent = (revision) => made.arrivals.push(revision, performance.timeOrigin + performance.now());
  }
  const key = credential(asked.key);
  for (let c = 0; c < asked.connections; c++) {
    const connection = await WatchConnection.open(asked, made.counts, asked.streamWindow);
    made.connections.push(connection);
    for (let i = 0; i < asked.perConnection; i++) {
      const order = c * asked.perConnection + i;
      connection.watch(asked.message ?? encodeWatch({ ids: [orderId(order)] }), key);
    }
    const all = (c + 1) * asked.perConnection;
    if (!(await until(() => made.counts.started >= all, 30_000))) {
      throw new Error(`${made.counts.started} of ${all} watches have started`);
    }
    if (asked.stalled) connection.stall();
    const early = begin + (all / OPENS_PER_SECOND) * 1_000 - performance.now();
    if (early > 0) await delay(early);
  }
  return { seconds: (performance.now() - begin) / 1_000 };
}

async function emitter(source: Source): Promise<(done: (ok: boolean) => void) => void> {
  const path = source.path ?? PATHS[source.kind ?? "report"];
  const name = `${source.port} ${path}`;
  const opening = callers.get(name) ?? CallConnection.open(source.port, path);
  callers.set(name, opening);
  const connection = await opening;
  const key = credential(source.key);
  const ready = source.message;
  if (ready) return (done) => connection.start(ready, key, done);
  const next =
    makers.get(name) ?? requests(source.kind ?? "report", source.orders, `${makers.size}${run.slice(1)}`, random);
  makers.set(name, next);
  return (done) => connection.start(next().message, key, done);
}

async function fanout({ group: name, source, seconds, window, callers }: Fanout): Promise<FanoutResult> {
  const { counts } = group(name);
  const watchers = counts.started - counts.ended;
  const emit = await emitter(source);
  const first = { events: counts.events, messages: counts.messages };
  const begin = performance.now();
  const end = begin + seconds * 1_000;
  const toAll: number[] = [];
  let [emitted, failed] = [0, 0];
  const had = (events: number) => counts.events - first.events >= events * watchers;
  const wait = async (events: () => number) => {
    if (await until(() => had(events()), 20_000)) return;
    throw new Error(`watchers had ${counts.events - first.events} of ${events() * watchers} events in 20 s`);
  };
  const caller = async () => {
    while (performance.now() < end) {
      await wait(() => emitted + source.perCall - window);
      const at = performance.now();
      emitted += source.perCall;
      if (!(await new Promise<boolean>((resolve) => emit(resolve)))) {
        failed += 1;
        emitted -= source.perCall;
        wake();
      }
      if (callers > 1) continue;
      await wait(() => emitted);
      toAll.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const [ended, deliveries] = [performance.now(), counts.events - first.events];
  if (failed > 0) throw new Error(`${failed} calls failed`);
  await wait(() => emitted);
  return {
    seconds: (ended - begin) / 1_000,
    ...{ events: emitted, deliveries, messages: counts.messages - first.messages },
    toAll: { p50: quantile(toAll, 0.5), p99: quantile(toAll, 0.99) },
  };
}

async function paced({ source, seconds, perSecond }: Paced): Promise<{ answered: number; failed: number }> {
  const emit = await emitter(source);
  const [begin, total] = [performance.now(), Math.round(seconds * perSecond)];
  let [sent, answered, failed] = [0, 0, 0];
  await new Promise<void>((resolve) => {
    const done = (ok: boolean) => {
      if (ok) answered += 1;
      else failed += 1;
      if (answered + failed === total) resolve();
    };
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - begin) / 1_000) * perSecond) + 1);
      for (; sent < due; sent++) emit(done);
      if (sent === total) clearInterval(timer);
    }, 1);
  });
  return { answered, failed };
}

answer<WatcherQuestions>({
  open,
  fanout,
  paced,
  arrivals: (name) => {
    const asked = group(name);
    const pairs = new Float64Array(asked.arrivals);
    asked.arrivals = [];
    return { pairs };
  },
  received: async ({ group: name, events, patienceMs }) => {
    const begin = performance.now();
    const asked = group(name);
    await until(() => asked.counts.events >= events, patienceMs);
    return { events: asked.counts.events, ms: performance.now() - begin };
  },
  close: (name) => {
    for (const connection of groups.get(name)?.connections ?? []) connection.close();
    groups.delete(name);
    return undefined;
  },
});
