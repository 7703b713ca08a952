import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { type App, type AppParts, startApp } from "../../src/app.ts";
import { createLeadlineClient, type LeadlineClient } from "../../src/client/node.ts";
import { readConfig } from "../../src/config.ts";
import type { TestDatabase } from "./database.ts";

/** The service owner's credential of every test app. */
export const SERVICE_OWNER = "the-service-owner-has-a-long-secret";
/** The carriers of a test tenant: the keys `carrier` and `rival` are theirs. */
export const CARRIERS = { carrier: "MAEU", rival: "HLCU" } as const;

const keyParties = ["owner", "operator", "carrier", "rival", "viewer"] as const;
export type KeyParty = (typeof keyParties)[number];

/** A tenant with a key for everyone. */
export interface TestTenant {
  readonly id: string;
  /** The secrets. */
  readonly keys: Readonly<Record<KeyParty, string>>;
  /** The keys' ids. */
  readonly keyIds: Readonly<Record<KeyParty, string>>;
  /** A link to one order, for an hour unless said otherwise. */
  link(orderId: string, lifetimeMs?: number): Promise<string>;
}

/** An instance in this process. It stops on disposal, after the clients that it gave out. */
export interface TestApp extends App, AsyncDisposable {
  /** Makes a tenant with its keys, as the service owner through the gRPC door. */
  makeTenant(id: string): Promise<TestTenant>;
  /** Makes more keys for a tenant that is there, one for everyone. */
  makeKeys(tenantId: string): Promise<TestTenant>;
  /** A client over gRPC, closed with the app. */
  client(key: string): LeadlineClient;
}

export interface TestAppOptions {
  readonly database: TestDatabase;
  readonly natsUrl?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly parts?: AppParts;
}

/** Starts an instance on free ports. */
export async function startTestApp({ database, natsUrl, env, parts }: TestAppOptions): Promise<TestApp> {
  const config = readConfig({
    DATABASE_URL: database.appUrl,
    NATS_URL: natsUrl,
    LEADLINE_OWNER_KEY: SERVICE_OWNER,
    LEADLINE_GRPC_PORT: "0",
    LEADLINE_HTTP_PORT: "0",
    ...env,
  });
  const app = await startApp(config, parts);
  const clients: LeadlineClient[] = [];
  const client = (key: string): LeadlineClient => {
    const made = createLeadlineClient({ address: app.grpcAddress, key });
    clients.push(made);
    return made;
  };
  return {
    ...app,
    client,
    makeTenant: async (tenantId) => {
      await client(SERVICE_OWNER).tenants.createTenant({ tenantId, name: tenantId, tier: Tier.ADAPTIVE });
      return makeKeys(client, tenantId);
    },
    makeKeys: (tenantId) => makeKeys(client, tenantId),
    async [Symbol.asyncDispose]() {
      for (const made of clients) made.close();
      await app.stop();
    },
  };
}

async function makeKeys(client: TestApp["client"], tenantId: string): Promise<TestTenant> {
  const { tenants } = client(SERVICE_OWNER);
  const make = async (party: KeyParty) => {
    const carrier = party === "carrier" || party === "rival" ? CARRIERS[party] : "";
    const { key, secret } = await tenants.createKey({ tenantId, name: party, role: roles[party], carrier });
    return { party, id: key?.id ?? "", secret };
  };
  const made = await Promise.all(keyParties.map(make));
  const named = (value: (one: (typeof made)[number]) => string) =>
    Object.fromEntries(made.map((one) => [one.party, value(one)])) as Record<KeyParty, string>;
  const keys = named(({ secret }) => secret);
  return {
    id: tenantId,
    keys,
    keyIds: named(({ id }) => id),
    link: async (orderId, lifetimeMs = 3_600_000) => {
      const lifetime = durationFromMs(lifetimeMs);
      return (await client(keys.owner).tenants.createLink({ orderId, lifetime })).token;
    },
  };
}

const roles: Readonly<Record<KeyParty, Role>> = {
  owner: Role.OWNER,
  operator: Role.OPERATOR,
  carrier: Role.CARRIER,
  rival: Role.CARRIER,
  viewer: Role.VIEWER,
};
