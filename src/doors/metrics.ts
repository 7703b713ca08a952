import { Counter, Gauge, Histogram, type Registry } from "prom-client";

export type DoorName = "grpc" | "http";

/** What the doors count. */
export interface DoorMetrics {
  /** A call is over: a unary call is answered, or a watch was refused or has ended. `code` is a gRPC code's name. */
  called(method: string, door: DoorName, code: string, durationMs: number): void;
  watchOpened(method: string, door: DoorName): void;
  watchClosed(method: string, door: DoorName): void;
  /** A call was refused, or a watch ended, past a limit. `limit` is its name. */
  limited(limit: string): void;
  /** One message of `bytes` was written to one watcher. */
  sent(door: DoorName, bytes: number): void;
  connectionOpened(door: DoorName): void;
  connectionClosed(door: DoorName): void;
  /** One was closed at once. `limit` is the limit's name. */
  connectionRefused(door: DoorName, limit: ConnectionLimit): void;
}

/** The limits on connections: see `service/limit-table.ts`. */
export type ConnectionLimit = "address_connections" | "address_connects_per_second" | "instance_connections";

const DOORS: readonly DoorName[] = ["grpc", "http"];

/** Seconds: calls take milliseconds, and a watch up to its age. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600];

/** By the name of the code. */
type TimersOfMethod = Map<string, Histogram.Internal<"method" | "door" | "code">>;

/** Registers the doors' metrics. Labels take values from the contracts only, so their number is bounded. */
export function createDoorMetrics(registry: Registry): DoorMetrics {
  const registers = [registry];
  const calls = new Histogram({
    name: "leadline_call_seconds",
    help: "How long calls took, watches included; its count is the number of calls.",
    labelNames: ["method", "door", "code"],
    buckets: BUCKETS,
    registers,
  });
  const watches = new Gauge({
    name: "leadline_open_watches",
    help: "Watches that are open.",
    labelNames: ["method", "door"],
    registers,
  });
  const connections = new Gauge({
    name: "leadline_open_connections",
    help: "Connections that are open.",
    labelNames: ["door"],
    registers,
  });
  const refused = new Counter({
    name: "leadline_connections_refused_total",
    help: "Connections closed at once because there were too many, by the limit's name.",
    labelNames: ["door", "limit"],
    registers,
  });
  const limited = new Counter({
    name: "leadline_limited_total",
    help: "Refusals, and ends of watches, by the name of the limit that was reached.",
    labelNames: ["limit"],
    registers,
  });
  const sent = { grpc: { messages: 0, bytes: 0 }, http: { messages: 0, bytes: 0 } };
  // Written for every delivery: added up here, and told when somebody asks.
  const told = (unit: "messages" | "bytes") =>
    function (this: Counter<"door">) {
      for (const door of DOORS) {
        this.inc({ door }, sent[door][unit]);
        sent[door][unit] = 0;
      }
    };
  new Counter({
    name: "leadline_watch_messages_total",
    help: "Messages written to watchers.",
    labelNames: ["door"],
    collect: told("messages"),
    registers,
  });
  new Counter({
    name: "leadline_watch_bytes_total",
    help: "Bytes of messages written to watchers, envelopes not counted.",
    labelNames: ["door"],
    collect: told("bytes"),
    registers,
  });
  // Looking a child up by its labels costs more than counting: the children of the hot paths are kept.
  const timers = { grpc: new Map<string, TimersOfMethod>(), http: new Map<string, TimersOfMethod>() };
  const timersOf = (door: DoorName, method: string): TimersOfMethod => {
    let known = timers[door].get(method);
    if (known === undefined) {
      known = new Map();
      timers[door].set(method, known);
    }
    return known;
  };
  return {
    called(method, door, code, durationMs) {
      const ofMethod = timersOf(door, method);
      let timer = ofMethod.get(code);
      if (timer === undefined) {
        timer = calls.labels(method, door, code);
        ofMethod.set(code, timer);
      }
      timer.observe(durationMs / 1_000);
    },
    watchOpened: (method, door) => watches.labels(method, door).inc(),
    watchClosed: (method, door) => watches.labels(method, door).dec(),
    limited: (limit) => limited.labels(limit).inc(),
    sent(door, size) {
      const counted = sent[door];
      counted.messages += 1;
      counted.bytes += size;
    },
    connectionOpened: (door) => connections.labels(door).inc(),
    connectionClosed: (door) => connections.labels(door).dec(),
    connectionRefused: (door, limit) => refused.labels(door, limit).inc(),
  };
}
