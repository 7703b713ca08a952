/**
 * What the embedded default makes at its first start so that there is something to try: a tenant "demo" with a key for
 * each role. The keys are kept in `keys.json` in the data folder (mode 0600), where the command line finds them and the next
 * start prints them from.
 */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import {
  CreateKeyRequestSchema,
  CreateTenantRequestSchema,
  type TenantService,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import { hashOf, keyIdOf, sameHash } from "../service/api-key.ts";
import type { Call, Implementation } from "../service/call.ts";
import type { KeyRecords } from "../service/key-records.ts";
import type { OwnerKey } from "./deployment.ts";

const demoTenant = "demo";
/** The carrier of the demo tenant's carrier key: Maersk, by its SCAC. */
const demoCarrier = "MAEU";

const demoRoles = { owner: Role.OWNER, operator: Role.OPERATOR, carrier: Role.CARRIER, viewer: Role.VIEWER } as const;
type DemoRole = keyof typeof demoRoles;

/** The keys of the embedded default, as text. */
export type FirstKeys = Readonly<Record<DemoRole | "serviceOwner", string>>;

/** What the file in the data folder says; what is not there, or cannot be read, is missing. */
export function readFirstKeys(dataDir: string): Partial<FirstKeys> {
  try {
    const found: unknown = JSON.parse(readFileSync(fileIn(dataDir), "utf8"));
    if (typeof found !== "object" || found === null) return {};
    return Object.fromEntries(Object.entries(found).filter(([, key]) => typeof key === "string"));
  } catch {
    return {};
  }
}

/** Writes the file whole or not at all, for its owner's eyes only. */
function writeFirstKeys(dataDir: string, keys: FirstKeys): void {
  mkdirSync(dataDir, { recursive: true });
  const path = fileIn(dataDir);
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify({ tenant: demoTenant, ...keys }, undefined, 2)}\n`, { mode: 0o600 });
  chmodSync(temporary, 0o600); // the mode above counts for new files only
  renameSync(temporary, path);
}

/** The credentials that a start may show. */
export interface KnownKeys {
  /** The embedded default's, or the one that this start has drawn. */
  readonly serviceOwner?: string;
  /** Of the embedded default: */
  readonly tenant?: string;
  readonly owner?: string;
  readonly operator?: string;
  readonly carrier?: string;
  readonly carrierCode?: string;
  readonly viewer?: string;
}

/** What the embedded default keeps and makes its keys with. */
export interface FirstKeysParts {
  readonly dataDir: string;
  readonly remembered: Partial<FirstKeys>;
  readonly tenants: Implementation<typeof TenantService>;
  readonly records: KeyRecords;
}

/** Makes the embedded default's keys that are not there yet; for other databases only a credential just drawn is known. */
export async function knownKeys(owner: OwnerKey, embedded: FirstKeysParts | undefined): Promise<KnownKeys> {
  if (embedded === undefined) return owner.drawn && owner.text !== undefined ? { serviceOwner: owner.text } : {};
  const { dataDir, remembered, tenants, records } = embedded;
  const keys = await demoKeys(tenants, records, remembered);
  const serviceOwner = owner.text ?? "";
  writeFirstKeys(dataDir, { ...keys, serviceOwner });
  return { serviceOwner, tenant: demoTenant, ...keys, carrierCode: demoCarrier };
}

/** The demo tenant's keys: those remembered that still hold, and new ones in place of the others. */
async function demoKeys(
  tenants: Implementation<typeof TenantService>,
  records: KeyRecords,
  remembered: Partial<FirstKeys>,
): Promise<Readonly<Record<DemoRole, string>>> {
  await createTenant(tenants);
  const keys = { owner: "", operator: "", carrier: "", viewer: "" };
  for (const role of Object.keys(keys) as DemoRole[]) {
    const known = remembered[role];
    keys[role] = known !== undefined && (await holds(records, known)) ? known : await createKey(tenants, role);
  }
  return keys;
}

async function createTenant(tenants: Implementation<typeof TenantService>): Promise<void> {
  const request = create(CreateTenantRequestSchema, { tenantId: demoTenant, name: "Demo", tier: Tier.ADAPTIVE });
  try {
    await tenants.createTenant(request, serviceOwner);
  } catch (error) {
    if (!(error instanceof Refusal && error.reason === ErrorReason.TENANT_EXISTS)) throw error;
  }
}

async function createKey(tenants: Implementation<typeof TenantService>, role: DemoRole): Promise<string> {
  const request = create(CreateKeyRequestSchema, {
    tenantId: demoTenant,
    name: `demo ${role}`,
    role: demoRoles[role],
    carrier: role === "carrier" ? demoCarrier : "",
  });
  const reply = await tenants.createKey(request, serviceOwner);
  if (!("secret" in reply)) throw new Error("CreateKey answered with bytes");
  return reply.secret;
}

async function holds(records: KeyRecords, text: string): Promise<boolean> {
  const id = keyIdOf(text);
  const key = id === undefined ? undefined : await records.find(id);
  return key?.tenant === demoTenant && !key.revoked && sameHash(key.hash, hashOf(text));
}

const serviceOwner: Call = {
  principal: { kind: "service-owner", id: "service-owner" },
  signal: new AbortController().signal,
  deadlineMs: undefined,
  callId: "start",
};

function fileIn(dataDir: string): string {
  return join(dataDir, "keys.json");
}
