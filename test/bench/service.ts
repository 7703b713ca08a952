import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Client } from "pg";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import { drawKey } from "../../src/service/api-key.ts";
import { type EmbeddedPostgres, startEmbedded } from "../../src/store/embedded.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { APP_LOGIN, databaseUrl, prepareServer, TEMPLATE } from "../support/prepare-server.ts";
import { type Child, startChild } from "./child.ts";
import type { Load, LoadQuestions } from "./load.ts";
import { cpuOfFamily, cpuSeconds } from "./measure.ts";
import { type Probe, probeOf } from "./probe-client.ts";

/** Where databases of benches and what they fetch are kept. */
export const cache = join(import.meta.dirname, "../../.cache");

export const TENANT = "bench";

/**
 * The service as it ships, with a database of its own that is safe against power loss: `leadline serve` in a process of
 * its own, credentials, limits, validation, metrics and row-level security on.
 */
export interface Service extends AsyncDisposable {
  readonly postgres: EmbeddedPostgres;
  /** The first instance. */
  readonly instance: Instance;
  readonly instances: readonly Instance[];
  /** An operator's key of the tenant `bench`, of the highest tier. */
  readonly key: string;
  /** Into the first instance; only with `probe`. */
  readonly probe: Probe | undefined;
  /** Runs SQL as the superuser. */
  sql<T>(text: string, values?: unknown[]): Promise<T[]>;
  /** Makes tenants of the highest tier. @returns an operator's key of each */
  tenants(ids: readonly string[]): Promise<string[]>;
  /** Gives tenants another tier, as the service's owner does. Their keys stay. */
  retier(ids: readonly string[], tier: Tier): Promise<void>;
  cpu(): { instance: () => number; postgres: () => number };
}

export interface ServiceOptions {
  readonly instances?: number;
  readonly natsUrl?: string;
  /** Loads the probe into the instances, for memory and profiles. */
  readonly probe?: boolean;
  /** More settings of Postgres. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly env?: Readonly<Record<string, string>>;
}

export async function startService(options: ServiceOptions = {}): Promise<Service> {
  await using stack = new AsyncDisposableStack();
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, "bench-"));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  process.once("exit", remove); // when the bench is interrupted
  stack.defer(() => {
    process.removeListener("exit", remove);
    remove();
  });
  const postgres = await startEmbedded({ directory, ...(options.settings ? { settings: options.settings } : {}) });
  stack.defer(() => postgres.stop());
  await prepareServer(postgres.url());
  const ownerKey = drawKey("service", "key_bench").text;
  const sockets = Array.from({ length: options.instances ?? 1 }, (_, i) => join(directory, `probe-${i}`));
  const instances = await Promise.all(
    sockets.map(async (socket) =>
      stack.use(
        await startInstance({
          DATABASE_URL: databaseUrl(postgres.url(), TEMPLATE, APP_LOGIN),
          LEADLINE_OWNER_KEY: ownerKey,
          ...(options.natsUrl ? { NATS_URL: options.natsUrl } : {}),
          ...(options.probe ? withProbe(socket) : {}),
          ...options.env,
        }),
      ),
    ),
  );
  const [instance] = instances;
  if (!instance) throw new Error("a bench needs an instance");
  const tenants = (ids: readonly string[]) => createTenants(instance, ownerKey, ids);
  const [key = ""] = await tenants([TENANT]);
  const query: Service["sql"] = (text, values) => runSql(databaseUrl(postgres.url(), TEMPLATE), text, values);
  const owned = stack.move();
  return {
    ...{ postgres, instance, instances, key, tenants },
    retier: (ids, tier) => setTiers(instance, ownerKey, ids, tier),
    probe: options.probe ? probeOf(sockets[0] ?? "") : undefined,
    sql: query,
    cpu: () => ({ instance: () => cpuSeconds(instance.pid), postgres: () => cpuOfFamily(postgres.pid) }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The environment that loads the probe into a Node process, listening on a socket. */
function withProbe(socket: string): Record<string, string> {
  const file = pathToFileURL(join(import.meta.dirname, "probe.ts")).href;
  return { NODE_OPTIONS: `--import=${file}`, BENCH_PROBE: socket };
}

/** The service owner's own allowance is small, so this takes a while for many. */
async function createTenants(instance: Instance, ownerKey: string, ids: readonly string[]): Promise<string[]> {
  const owner = createLeadlineClient({ address: instance.grpc, key: ownerKey });
  const keys: string[] = [];
  for (const [i, tenantId] of ids.entries()) {
    if (i > 0 && i % 40 === 0) await new Promise((resolve) => setTimeout(resolve, 1_100));
    await owner.tenants.createTenant({ tenantId, name: tenantId, tier: Tier.ADAPTIVE });
    const { secret } = await owner.tenants.createKey({ tenantId, name: "bench", role: Role.OPERATOR });
    keys.push(secret);
  }
  owner.close();
  return keys;
}

async function setTiers(instance: Instance, ownerKey: string, ids: readonly string[], tier: Tier): Promise<void> {
  const owner = createLeadlineClient({ address: instance.grpc, key: ownerKey });
  for (const tenantId of ids) await owner.tenants.setTier({ tenantId, tier });
  owner.close();
}

export async function runSql<T>(url: string, text: string, values?: unknown[]): Promise<T[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const result = await client.query(text, values);
    return result.rows as T[];
  } finally {
    await client.end();
  }
}

/** The port of `host:port` or of a URL. */
export function portOf(address: string): number {
  return Number(new URL(address.includes("://") ? address : `http://${address}`).port);
}

/** Callers in a process of their own. */
export function startLoad(): Child<LoadQuestions> {
  return startChild<LoadQuestions>("load.ts");
}

/** Creates orders 0 up to `orders` through the gRPC door, and tells the planner. */
export async function createOrders(
  load: Child<LoadQuestions>,
  service: Pick<Service, "instance" | "sql">,
  keys: readonly string[],
  orders: number,
): Promise<void> {
  const port = portOf(service.instance.grpc);
  const base: Load = { kind: "create", port, keys, connections: 8, inFlight: 512, orders };
  const { failed } = await load.ask("run", { ...base, calls: orders });
  if (failed > 0) throw new Error(`${failed} of ${orders} orders could not be created`);
  await service.sql("vacuum analyze");
}
