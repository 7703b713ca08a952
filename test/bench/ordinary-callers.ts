/** A process of ordinary callers: each has a connection of its own and calls now and then, whether others are slow or not. */
import { CallConnection, credential } from "./calls.ts";
import { answer } from "./child.ts";
import { PATHS, requests } from "./messages.ts";
import { randomFrom } from "./random.ts";

export interface Callers {
  readonly ports: readonly number[];
  readonly key: string;
  readonly callers: number;
  readonly orders: number;
}

export interface Calls {
  readonly seconds: number;
  /** Of each caller. */
  readonly perSecond: number;
}

export interface Served {
  /** Milliseconds from when a call was sent to its answer with status 0. It is sent when it is due, whatever is unanswered. */
  readonly latencies: readonly number[];
  readonly failed: number;
}

export type CallerQuestions = { open: { asked: Callers; answered: null }; call: { asked: Calls; answered: Served } };

/** One of so many writes, the others read. */
const WRITERS = 5;
const PATIENCE_MS = 20_000;

const run = Math.random().toString(36).slice(2, 7).padEnd(5, "0");
const callers: { connection: CallConnection; next: () => { message: Uint8Array } }[] = [];
let authorization: Buffer;

answer<CallerQuestions>({
  open: async ({ ports, key, callers: count, orders }) => {
    authorization = credential(key);
    const random = randomFrom(3);
    for (let i = 0; i < count; i++) {
      const kind = i % WRITERS === 0 ? "report" : "get";
      const connection = await CallConnection.open(ports[Math.floor(i / WRITERS) % ports.length] ?? 0, PATHS[kind]);
      callers.push({
        connection,
        next: requests(kind, orders, `${run.slice(0, 2)}${String(i).padStart(3, "0")}`, random),
      });
    }
    return null;
  },
  call: async ({ seconds, perSecond }) => {
    const latencies: number[] = [];
    let failed = 0;
    const begin = performance.now();
    const each = Math.round(seconds * perSecond);
    await Promise.all(
      callers.map(async ({ connection, next }, i) => {
        const calls: Promise<void>[] = [];
        for (let n = 0; n < each; n++) {
          const due = begin + ((n + i / callers.length) / perSecond) * 1_000;
          await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
          calls.push(
            new Promise((resolve) => {
              const patience = setTimeout(resolve, PATIENCE_MS);
              const at = performance.now();
              connection.start(next().message, authorization, (ok) => {
                clearTimeout(patience);
                if (ok) latencies.push(performance.now() - at);
                resolve();
              });
            }),
          );
        }
        await Promise.all(calls);
      }),
    );
    failed = callers.length * each - latencies.length;
    return { latencies, failed };
  },
});
