import { randomBytes } from "node:crypto";
import type { MikroORM } from "@mikro-orm/postgresql";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import type { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { PostgresJournal } from "../../src/journal/postgres-journal.ts";
import { createAudit } from "../../src/service/audit.ts";
import type { Call, Implementation } from "../../src/service/call.ts";
import { LinkTokens } from "../../src/service/link-token.ts";
import type { Elsewhere } from "../../src/service/redact-elsewhere.ts";
import { createTenantService } from "../../src/service/tenant-service.ts";
import { tierTerms } from "../../src/service/tiers.ts";
import { openOrm } from "../../src/store/orm.ts";
import { PageTokens } from "../../src/wire/page-token.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

/** TenantService on a database of its own. */
export interface Service extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly orm: MikroORM;
  readonly links: LinkTokens;
  readonly tenants: Implementation<typeof TenantService>;
  /** The keys that were revoked through it. */
  readonly revoked: string[];
  /** The tenants whose terms were changed through it. */
  readonly changed: string[];
  /** What its clock says. */
  nowMs: number;
}

/** @param appUrl where it looks for its database; default: where it is */
export async function startService(appUrl?: string): Promise<Service> {
  const database = await createTestDatabase();
  const url = appUrl ?? database.appUrl;
  const orm = await openOrm(url);
  const journal = new PostgresJournal({ connection: { url }, onCommit: () => undefined });
  const secret = randomBytes(32);
  const links = new LinkTokens(secret);
  const service = {
    database,
    orm,
    links,
    revoked: [] as string[],
    changed: [] as string[],
    nowMs: Date.parse("2026-03-01T12:00:00Z"),
  };
  const tenants = createTenantService({
    audit: createAudit(orm, () => undefined),
    orm,
    journal,
    links,
    pageTokens: new PageTokens(secret),
    here: {
      allowanceOf: ({ tier }) => tierTerms(tier).allowance,
      usedBy: () => ({ calls: 0, streams: 0, opens: 0 }),
      resumeReservePercent: 20,
    },
    changed: async (id) => void service.changed.push(id),
    revoked: (id) => service.revoked.push(id),
    now: () => new Date(service.nowMs),
  });
  return Object.assign(service, {
    tenants,
    async [Symbol.asyncDispose]() {
      await journal.close();
      await orm.close(true);
      await database[Symbol.asyncDispose]();
    },
  });
}

/** A database that nobody serves. */
export const nowhere = "postgres://leadline@127.0.0.1:1/none";

export const serviceOwner = callOf({ kind: "service-owner", id: "service-owner" });

/** A call with a key of a tenant. */
export function callWith(tenant: string, role: Role = Role.OWNER): Call {
  return callOf({ kind: "key", id: "key_1", name: "test", tenant, role, carrier: "", expiresAtMs: undefined });
}

function callOf(principal: Principal): Call {
  return { principal, signal: new AbortController().signal, deadlineMs: undefined, callId: "call_test" };
}

/** What a promise, or a function, was refused with. */
export async function refusalOf(work: () => unknown): Promise<Refusal> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** The message of a reply that is not encoded yet. */
export function message<T extends { readonly $typeName: string }>(reply: T | { readonly bytes: Uint8Array }): T {
  if ("$typeName" in reply) return reply;
  throw new Error("the reply is encoded already");
}

/** Of an OrderService that is asked to redact nothing. */
export const noRedactions: Elsewhere = {
  removeRaw: () => Promise.reject(new Error("no raw items are kept here")),
  cleanAnswers: () => Promise.reject(new Error("no answers are gone over here")),
  stillNaming: () => Promise.reject(new Error("nothing else is kept here")),
};
