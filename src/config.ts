/**
 * Environment -> settings. The table in `settings` says of each setting its variable, kind, default, bounds and meaning;
 * parsing, the printout of `leadline doctor` and the README's table are all made from it, so they cannot disagree.
 */
import type { Setting } from "./settings/kinds/setting.ts";
import { groups } from "./settings/table.ts";

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
  if (config.tlsClientCa !== undefined && config.tlsCertificate === undefined) {
    found.push("LEADLINE_TLS_CLIENT_CA is set without LEADLINE_TLS_CERTIFICATE: clients show theirs over TLS only");
  }
  const { jwtAudience, jwtIssuer, jwtJwksUrl } = config;
  if (new Set([jwtJwksUrl, jwtIssuer, jwtAudience].map((value) => value === undefined)).size > 1) {
    found.push(
      "LEADLINE_JWT_JWKS_URL, LEADLINE_JWT_ISSUER and LEADLINE_JWT_AUDIENCE go together: only some of them are set",
    );
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
