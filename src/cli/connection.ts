import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { createLeadlineClient, type LeadlineClient } from "../client/node.ts";
import { wrongUse } from "./cli-error.ts";

/** The options of every command that calls the service. */
export interface ConnectionOptions {
  readonly address?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly certKey?: string;
  readonly json?: boolean;
}

/** The environment variables of the command line's client, beside those of the service. */
export const clientVariables = ["LEADLINE_ADDRESS", "LEADLINE_KEY"] as const;

const defaultAddress = "127.0.0.1:50051";

/** Adds the options to a command. */
export function withConnection(command: Command): Command {
  return command
    .option(
      "--address <host:port>",
      `the gRPC door, or https://host:port (default: LEADLINE_ADDRESS or ${defaultAddress})`,
    )
    .option("--key <key>", "the key (default: LEADLINE_KEY, or the key that a local `leadline serve` keeps)")
    .option("--ca <file>", "TLS: a PEM file with the authorities to trust")
    .option("--cert <file>", "TLS: a PEM file with the client's certificate, for a service that asks for one")
    .option("--cert-key <file>", "TLS: a PEM file with its key")
    .option("--json", "JSON in place of text: one object a line");
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Whose key is meant when none is given: the demo tenant's owner's, or the service owner's. */
export type KeyHolder = "owner" | "serviceOwner";

/** Where the service is, and the key to use there. */
export function resolveConnection(
  options: ConnectionOptions,
  env: Environment,
  holder: KeyHolder = "owner",
): { address: string; key: string } {
  const address = given(options.address) ?? given(env.LEADLINE_ADDRESS) ?? defaultAddress;
  const key = given(options.key) ?? given(env.LEADLINE_KEY) ?? (isLocal(address) ? localKey(env, holder) : undefined);
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    throw wrongUse("the key has blanks or line ends in it; it is one word, as it was printed");
  }
  return { address, key: key ?? "" };
}

/** A client as the options and the environment say. The caller closes it. */
export function connect(options: ConnectionOptions, env: Environment, holder?: KeyHolder): LeadlineClient {
  const { address, key } = resolveConnection(options, env, holder);
  const { ca, cert, certKey } = options;
  if ((cert === undefined) !== (certKey === undefined)) throw wrongUse("--cert and --cert-key go together");
  const certificate = cert && certKey ? { cert: readPem(cert), key: readPem(certKey) } : undefined;
  return createLeadlineClient({ address, key, ca: ca === undefined ? undefined : readPem(ca), certificate });
}

function readPem(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw wrongUse(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The keys that the embedded start keeps in its data folder are for this machine only. */
function isLocal(address: string): boolean {
  return /^(https?:\/\/)?(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?\/?$/.test(address);
}

/** `keys.json` in the data folder: an object with the keys of the demo tenant and of the service owner, by holder. */
function localKey(env: Environment, holder: KeyHolder): string | undefined {
  try {
    const file = join(given(env.LEADLINE_DATA_DIR) ?? ".data", "keys.json");
    const keys: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof keys !== "object" || keys === null) return undefined;
    const key = new Map<string, unknown>(Object.entries(keys)).get(holder);
    return typeof key === "string" ? key : undefined;
  } catch {
    // No such file, or not readable by this user: the service will ask for a key.
    return undefined;
  }
}

function given(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === "" ? undefined : text.trim();
}
