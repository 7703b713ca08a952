/**
 * Environment -> settings. One table says of each setting its variable, kind, default, bounds and meaning; parsing, the
 * printout of `leadline doctor` and the README's table are all made from it, so they cannot disagree.
 */
import {
  choice,
  databaseUrl,
  directory,
  file,
  host,
  integer,
  list,
  natsUrl,
  origin,
  type Setting,
  secret,
} from "./settings.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const minute = 60_000;

/** A heading and the settings under it. */
const groups = {
  Database: {
    databaseUrl: databaseUrl("DATABASE_URL", "the embedded Postgres in LEADLINE_DATA_DIR", {
      about: "Your Postgres, 15 or later, as the role that serves: it owns nothing and is no superuser.",
    }),
    databaseAdminUrl: databaseUrl("DATABASE_ADMIN_URL", "none", {
      about:
        "The same database as the role that owns the tables. Used by `leadline migrate` and `leadline doctor` only.",
    }),
    dataDir: directory("LEADLINE_DATA_DIR", ".data", {
      about: "Where the embedded Postgres and the first keys are kept. One process at a time.",
    }),
    readConnections: integer("LEADLINE_READ_CONNECTIONS", 3, {
      range: [1, 100],
      about: "Connections that read the journal. One more writes it.",
    }),
    poolConnections: integer("LEADLINE_POOL_CONNECTIONS", 4, {
      range: [2, 100],
      about: "Connections of the pool for tenants, keys and all that is configured.",
    }),
    statementTimeoutMs: integer("LEADLINE_STATEMENT_TIMEOUT_MS", 10_000, {
      range: [100, 10 * minute],
      unit: "ms",
      about: "The longest that one statement may take.",
    }),
    lockTimeoutMs: integer("LEADLINE_LOCK_TIMEOUT_MS", 2_000, {
      range: [10, minute],
      unit: "ms",
      about: "The longest wait for a lock: how long another instance that hangs can delay this one.",
    }),
    idleInTransactionTimeoutMs: integer("LEADLINE_IDLE_IN_TRANSACTION_TIMEOUT_MS", 1_000, {
      range: [100, minute],
      unit: "ms",
      about: "A transaction left idle for longer is ended by Postgres, and its locks with it.",
    }),
  },
  Bus: {
    natsUrl: natsUrl("NATS_URL", "none: one instance is complete without", {
      about: "The NATS servers, separated by commas. Tells the other instances of changes at once.",
    }),
  },
  Doors: {
    grpcHost: host("LEADLINE_GRPC_HOST", "127.0.0.1", {
      about: "Where the gRPC door listens. `0.0.0.0` or `::`: everywhere.",
    }),
    grpcPort: integer("LEADLINE_GRPC_PORT", 50_051, { range: [0, 65_535], about: "Its port. 0: any that is free." }),
    httpHost: host("LEADLINE_HTTP_HOST", "127.0.0.1", {
      about: "Where the HTTP door listens: Connect, gRPC-Web, health, metrics.",
    }),
    httpPort: integer("LEADLINE_HTTP_PORT", 8_080, { range: [0, 65_535], about: "Its port. 0: any that is free." }),
    tlsCertificate: file("LEADLINE_TLS_CERTIFICATE", {
      about: "PEM file with the certificate chain of both doors. Needs LEADLINE_TLS_KEY. Without: no TLS.",
    }),
    tlsKey: file("LEADLINE_TLS_KEY", { about: "PEM file with the certificate's private key." }),
    allowedOrigins: list("LEADLINE_ALLOWED_ORIGINS", origin, {
      about: "The origins whose web pages may call the HTTP door. Separated by commas.",
    }),
    messageMaxBytes: integer("LEADLINE_MESSAGE_MAX_BYTES", 4 * MiB, {
      range: [64 * KiB, 64 * MiB],
      unit: "bytes",
      about: "The largest message that is taken.",
    }),
    drainTimeoutMs: integer("LEADLINE_DRAIN_TIMEOUT_MS", 10_000, {
      range: [0, 10 * minute],
      unit: "ms",
      about: "How long calls in flight may take to finish when the service stops.",
    }),
  },
  Credentials: {
    ownerKey: secret("LEADLINE_OWNER_KEY", "drawn", {
      about: "The service owner's credential, which makes tenants and keys. Without: made at the first start.",
    }),
    keyCacheMs: integer("LEADLINE_KEY_CACHE_MS", 5_000, {
      range: [0, 5 * minute],
      unit: "ms",
      about: "How long a key is good without asking the database again, if no instance has told of its end.",
    }),
    keySweepMs: integer("LEADLINE_KEY_SWEEP_MS", 10_000, {
      range: [100, 10 * minute],
      unit: "ms",
      about:
        "How often the keys of open streams are read again: the longest that a stream outlives its key without NATS.",
    }),
    keyCallsPerSecond: integer("LEADLINE_KEY_CALLS_PER_SECOND", 0, {
      range: [0, 1_000_000],
      unit: "calls/s",
      about: "Calls of one key on one instance. 0: what the tenant's tier says.",
    }),
    keyStreams: integer("LEADLINE_KEY_STREAMS", 0, {
      range: [0, 1_000_000],
      about: "Open streams of one key on one instance. 0: what the tenant's tier says.",
    }),
  },
  Journal: {
    batchCommands: integer("LEADLINE_BATCH_COMMANDS", 1_000, {
      range: [1, 10_000],
      about: "Commands committed together, at most.",
    }),
    batchBytes: integer("LEADLINE_BATCH_BYTES", 4 * MiB, {
      range: [64 * KiB, 64 * MiB],
      unit: "bytes",
      about: "Bytes of requests committed together, at most.",
    }),
    queueCommands: integer("LEADLINE_QUEUE_COMMANDS", 20_000, {
      range: [100, 1_000_000],
      about: "Commands that wait to be committed. More are refused with OVERLOADED.",
    }),
    queueTenantCommands: integer("LEADLINE_QUEUE_TENANT_COMMANDS", 10_000, {
      range: [100, 1_000_000],
      about: "The same of one tenant.",
    }),
    commitGiveUpMs: integer("LEADLINE_COMMIT_GIVE_UP_MS", 10_000, {
      range: [100, 10 * minute],
      unit: "ms",
      about: "How long a command is tried for when the database fails. Then it is refused with DATABASE_UNAVAILABLE.",
    }),
    requestMemoryDays: integer("LEADLINE_REQUEST_MEMORY_DAYS", 7, {
      range: [7, 90],
      unit: "days",
      about: "How long request ids are remembered. The contract promises seven.",
    }),
  },
  Import: {
    workItemsMax: integer("LEADLINE_WORK_ITEMS_MAX", 100_000, {
      range: [100, 10_000_000],
      about: "Imported items of one tenant that wait on the work list. More are refused with SUBJECT_FULL.",
    }),
  },
  Watches: {
    watchersMax: integer("LEADLINE_WATCHERS_MAX", 50_000, {
      range: [1, 1_000_000],
      about: "Open watches on this instance. More are refused with RATE_LIMITED.",
    }),
    tenantWatchersMax: integer("LEADLINE_TENANT_WATCHERS_MAX", 20_000, {
      range: [1, 1_000_000],
      about: "The same of one tenant.",
    }),
    ringEvents: integer("LEADLINE_RING_EVENTS", 1_024, {
      range: [16, 1_000_000],
      about: "Events of one tenant kept in memory for watches that are a little behind.",
    }),
    ringBytes: integer("LEADLINE_RING_BYTES", 4 * MiB, {
      range: [64 * KiB, 1024 * MiB],
      unit: "bytes",
      about: "The same in bytes.",
    }),
    heartbeatMs: integer("LEADLINE_HEARTBEAT_MS", 20_000, {
      range: [1_000, 5 * minute],
      unit: "ms",
      about: "A quiet watch gets a bookmark about this often.",
    }),
    watchMaxAgeMs: integer("LEADLINE_WATCH_MAX_AGE_MS", 60 * minute, {
      range: [1_000, 7 * 24 * 60 * minute],
      unit: "ms",
      about: "A watch is ended at about this age, with a bookmark, so that load spreads over new instances.",
    }),
    watchMessageBytes: integer("LEADLINE_WATCH_MESSAGE_BYTES", 256 * KiB, {
      range: [16 * KiB, 4 * MiB],
      unit: "bytes",
      about: "About the most that one message of a watch takes.",
    }),
    catchUpReads: integer("LEADLINE_CATCH_UP_READS", 8, {
      range: [1, 100],
      about: "Reads at a time for watches that are behind, and for snapshots.",
    }),
    slowReaderBytes: integer("LEADLINE_SLOW_READER_BYTES", 8 * MiB, {
      range: [64 * KiB, 256 * MiB],
      unit: "bytes",
      about: "A watch with more bytes unsent is ended.",
    }),
    slowReaderMs: integer("LEADLINE_SLOW_READER_MS", 60_000, {
      range: [1_000, 60 * minute],
      unit: "ms",
      about: "A watch whose reader takes nothing for longer is ended.",
    }),
    unverifiedMs: integer("LEADLINE_UNVERIFIED_MS", 30_000, {
      range: [1_000, 10 * minute],
      unit: "ms",
      about: "Watches are ended when their tenant's head could not be compared with the database for longer.",
    }),
    headCheckMs: integer("LEADLINE_HEAD_CHECK_MS", 3_000, {
      range: [100, minute],
      unit: "ms",
      about: "How often heads are compared with the database: how late a change may arrive whose hint was lost.",
    }),
  },
  Operation: {
    metricsToken: secret("LEADLINE_METRICS_TOKEN", "none", {
      about: "When set, `/metrics` is answered only to `authorization: Bearer` with it. Without: to anybody.",
    }),
    logLevel: choice("LEADLINE_LOG_LEVEL", "info", ["fatal", "error", "warn", "info", "debug", "trace", "silent"], {
      about: "What is logged, to standard error.",
    }),
  },
} as const;

type Groups = typeof groups;
type ValueOf<S> = S extends Setting<infer T> ? T : never;
type Fields<G> = G extends unknown ? { readonly [K in keyof G]: ValueOf<G[K]> } : never;
type Merged<U> = (U extends unknown ? (part: U) => void : never) extends (all: infer A) => void ? A : never;

/** The settings, parsed, checked and frozen. Fields whose setting has no default are undefined when it is not set. */
export type Config = Merged<Fields<Groups[keyof Groups]>>;

const all: readonly (readonly [string, Setting<unknown>])[] = Object.values(groups).flatMap((group) =>
  Object.entries(group),
);

/** Settings that cannot be used. `problems` has one line for each: the variable, its value and what is accepted. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** Reads the settings from an environment; empty variables count as not set. Throws one ConfigError with all problems. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = [];
  const values = all.map(([field, setting]) => {
    const text = env[setting.variable]?.trim() ?? "";
    if (text === "") return [field, setting.initial];
    try {
      return [field, setting.parse(text)];
    } catch {
      const shown = setting.redact(text);
      problems.push(`${setting.variable} is ${JSON.stringify(shown)}: it must be ${setting.accepts}`);
      return [field, setting.initial];
    }
  });
  // The table is where both the names and the types of the fields come from.
  const config = Object.freeze(Object.fromEntries(values)) as Config;
  problems.push(...contradictions(config));
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** What no single setting can get wrong. */
function contradictions(config: Config): string[] {
  const found: string[] = [];
  if ((config.tlsCertificate === undefined) !== (config.tlsKey === undefined)) {
    found.push("LEADLINE_TLS_CERTIFICATE and LEADLINE_TLS_KEY go together: only one of them is set");
  }
  if (config.databaseAdminUrl !== undefined && config.databaseUrl === undefined) {
    found.push("DATABASE_ADMIN_URL is set without DATABASE_URL: the embedded database needs neither");
  }
  if (config.grpcPort !== 0 && config.grpcPort === config.httpPort && config.grpcHost === config.httpHost) {
    found.push(`LEADLINE_GRPC_PORT and LEADLINE_HTTP_PORT are both ${config.grpcPort}: each door needs its own`);
  }
  return found;
}

/**
 * Variables that look like ours and are none (`LEADLINE_GRCP_PORT`), each with the nearest setting. `others` are known
 * names that are not settings of the service, such as those of the command line's client.
 */
export function unknownVariables(
  env: Readonly<Record<string, string | undefined>>,
  others: readonly string[] = [],
): { variable: string; nearest: string }[] {
  const known = new Set([...all.map(([, setting]) => setting.variable), ...others]);
  return Object.keys(env)
    .filter((variable) => variable.startsWith("LEADLINE_") && !known.has(variable))
    .sort()
    .map((variable) => ({ variable, nearest: nearest(variable, [...known]) }));
}

/** One setting as it stands, for people: secrets and passwords are not in it. */
export interface ShownSetting {
  readonly group: string;
  readonly variable: string;
  readonly value: string;
  /** Whether the environment sets it. */
  readonly set: boolean;
  readonly accepts: string;
  readonly about: string;
}

/** The settings as they stand, redacted, in the order of the README. The environment must be one that `readConfig` takes. */
export function describeConfig(env: Readonly<Record<string, string | undefined>>): ShownSetting[] {
  return Object.entries(groups).flatMap(([group, settings]) =>
    Object.values(settings).map((setting: Setting<unknown>) => {
      const text = env[setting.variable]?.trim() ?? "";
      const { variable, accepts, about } = setting;
      return {
        group,
        variable,
        value: text === "" ? setting.initialText : setting.redact(text),
        set: text !== "",
        accepts,
        about,
      };
    }),
  );
}

/** The README's configuration table. */
export function settingsMarkdown(): string {
  const rows = Object.entries(groups).flatMap(([group, settings]) => [
    `| **${group}** | | | |`,
    ...Object.values(settings).map(
      (setting: Setting<unknown>) =>
        `| \`${setting.variable}\` | ${setting.initialText} | ${setting.accepts} | ${setting.about} |`,
    ),
  ]);
  return ["| variable | default | accepted | what it does |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

/** The candidate with the fewest single-character differences. */
function nearest(word: string, candidates: readonly string[]): string {
  const ranked = candidates.map((candidate) => ({ candidate, distance: editDistance(word, candidate) }));
  return ranked.reduce((best, one) => (one.distance < best.distance ? one : best)).candidate;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
