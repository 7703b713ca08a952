/** Status flows as they are kept, and as they are told. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type EntityManager, LockMode } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import {
  type FlowDefinition,
  FlowDefinitionSchema,
  type StatusFlow,
  StatusFlowSchema,
  type StatusFlowVersion,
  StatusFlowVersionSchema,
} from "../../../gen/leadline/v1/status_flow_pb.ts";
import type { Tier } from "../../../gen/leadline/v1/tenant_pb.ts";
import { fieldInvalid } from "../../domain/field-invalid.ts";
import { TEMPLATES } from "../../domain/flows/templates.ts";
import { Refusal } from "../../domain/refusal.ts";
import { STANDARD_DEFINITION, STANDARD_FLOW_ID } from "../../domain/standard-flow.ts";
import {
  StatusFlowEntity,
  type StatusFlowRow,
  StatusFlowVersionEntity,
  type StatusFlowVersionRow,
  TenantEntity,
  type TenantRow,
} from "../../store/entities.ts";
import { PAGE_BYTES_MAX } from "../paging.ts";
import { tierTerms } from "../tiers.ts";
import { flowUnknown } from "./starting.ts";

/** The flows that are everybody's: they are read and copied, and not changed. */
const BUILT_IN: ReadonlyMap<string, { readonly name: string; readonly definition: FlowDefinition }> = new Map([
  [STANDARD_FLOW_ID, { name: "Standard", definition: STANDARD_DEFINITION }],
  ...TEMPLATES.map(({ id, name, definition }) => [id, { name, definition }] as const),
]);

/** A built-in flow as it is told; undefined: the id is not one. */
export function builtIn(
  id: string,
  defaultFlowId: string,
): { flow: StatusFlow; definition: FlowDefinition } | undefined {
  const found = BUILT_IN.get(id);
  if (found === undefined) return undefined;
  const isTemplate = id !== STANDARD_FLOW_ID;
  const isDefault = !isTemplate && defaultFlowId === "";
  const flow = create(StatusFlowSchema, { id, name: found.name, isTemplate, isDefault, etag: "0" });
  return { flow, definition: found.definition };
}

/** The built-in flows: the standard flow, and the templates when they are asked for. */
export function builtIns(defaultFlowId: string, withTemplates: boolean): StatusFlow[] {
  return [...BUILT_IN.keys()]
    .filter((id) => withTemplates || id === STANDARD_FLOW_ID)
    .flatMap((id) => builtIn(id, defaultFlowId)?.flow ?? []);
}

export function isBuiltIn(id: string): boolean {
  return BUILT_IN.has(id);
}

export function flowMessage(row: StatusFlowRow, defaultFlowId: string): StatusFlow {
  const flow = create(StatusFlowSchema, {
    id: row.id,
    name: row.name,
    isDefault: row.id === defaultFlowId,
    publishedVersion: row.publishedVersion,
    createdAt: timestampFromDate(row.createdAt),
    updatedAt: timestampFromDate(row.updatedAt),
    etag: String(row.edition),
  });
  if (row.draft) flow.draft = fromBinary(FlowDefinitionSchema, row.draft);
  return flow;
}

export function versionMessage(row: StatusFlowVersionRow): StatusFlowVersion {
  return create(StatusFlowVersionSchema, {
    flowId: row.flowId,
    version: row.version,
    definition: fromBinary(FlowDefinitionSchema, row.definition),
    publishedAt: timestampFromDate(row.publishedAt),
    publishedBy: row.publishedBy,
  });
}

/** A definition as it is kept. Refuses FIELD_INVALID for an expected time that is not in whole seconds; `field` is its path. */
export function encodeDefinition(definition: FlowDefinition, field: string): Uint8Array {
  const at = definition.statuses.findIndex(({ expectedTime }) => (expectedTime?.nanos ?? 0) !== 0);
  if (at >= 0) throw fieldInvalid(`${field}.statuses[${at}].expected_time`, "must be in whole seconds");
  return toBinary(FlowDefinitionSchema, definition);
}

/** The flow that new orders of a tenant start in; empty: the standard flow. */
export async function defaultFlowOf(em: EntityManager, tenant: string): Promise<string> {
  const row = await em.findOne(TenantEntity, { id: tenant }, { fields: ["defaultFlowId", "tier"] });
  return row === null ? "" : flowsOfTenant(row).starting;
}

/**
 * The flow that new orders start in, and the tenant's default that rests while its tier includes no flows of its own; empty: the
 * standard flow, and none.
 */
export function flowsOfTenant({ defaultFlowId, tier }: Pick<TenantRow, "defaultFlowId" | "tier">): {
  readonly starting: string;
  readonly resting: string;
} {
  // Numbers of a later release pass through: enums are open.
  const hasFlows = tierTerms(tier as Tier).ownFlows > 0;
  return hasFlows ? { starting: defaultFlowId, resting: "" } : { starting: "", resting: defaultFlowId };
}

/** A tenant's own flow. Refuses with FLOW_UNKNOWN. With `lock`, nobody else changes it before the transaction ends. */
export async function findFlow(em: EntityManager, tenant: string, id: string, lock = false): Promise<StatusFlowRow> {
  const options = lock ? { lockMode: LockMode.PESSIMISTIC_WRITE } : {};
  const row = await em.findOne(StatusFlowEntity, { tenantId: tenant, id }, options);
  if (row === null) throw flowUnknown(id);
  return row;
}

/**
 * The tenant's own flows after an id, by their ids: at most `limit`, and about PAGE_BYTES_MAX; at least one if there is one.
 * `isWhole`: there are no further ones.
 */
export async function flowPage(
  em: EntityManager,
  tenant: string,
  after: string,
  limit: number,
): Promise<{ readonly rows: StatusFlowRow[]; readonly isWhole: boolean }> {
  // Drafts may be of a megabyte each: they are weighed before they are read.
  const weighed = await em.execute<{ id: string; bytes: number }[]>(
    `select id, coalesce(length(draft), 0) + 1000 as bytes from status_flow
     where tenant_id = ? and id > ? order by id limit ?`,
    [tenant, after, limit + 1],
  );
  let bytes = 0;
  const end = weighed.findIndex((one, i) => {
    bytes += one.bytes;
    return i === limit || (i > 0 && bytes > PAGE_BYTES_MAX);
  });
  const ids = (end === -1 ? weighed : weighed.slice(0, end)).map(({ id }) => id);
  const rows = await em.find(StatusFlowEntity, { tenantId: tenant, id: { $in: ids } }, { orderBy: { id: "asc" } });
  return { rows, isWhole: end === -1 };
}

/** A flow for a change of it. Refuses FLOW_UNKNOWN, ETAG_MISMATCH, and VERB_ILLEGAL for built-in ones. */
export async function flowToChange(
  em: EntityManager,
  tenant: string,
  id: string,
  etag: string,
): Promise<StatusFlowRow> {
  if (isBuiltIn(id)) {
    throw new Refusal(
      ErrorReason.VERB_ILLEGAL,
      `flow "${id}" ships with the service; make a copy of it under an id of your own and change that`,
      {
        metadata: { flow_id: id, state: "BUILT_IN", legal: "CREATE" },
      },
    );
  }
  const row = await findFlow(em, tenant, id, true);
  if (etag === "" || etag === String(row.edition)) return row;
  throw new Refusal(ErrorReason.ETAG_MISMATCH, `flow "${id}" has changed; read it again`, {
    metadata: { flow_id: id, etag: String(row.edition) },
  });
}

/** The greatest number of Postgres' type `integer`: no version is greater. */
export const VERSION_MAX = 2_147_483_647;

/** One published version; undefined: there is none. */
export async function findVersion(
  em: EntityManager,
  tenant: string,
  id: string,
  version: number,
): Promise<StatusFlowVersionRow | undefined> {
  if (version > VERSION_MAX) return undefined;
  return (await em.findOne(StatusFlowVersionEntity, { tenantId: tenant, flowId: id, version })) ?? undefined;
}

/** Definitions read at a time: each may be of a megabyte. */
const READ_AT_ONCE = 20;

/** Those of the milestones that no draft and no version of the tenant's own flows has. */
export async function milestonesOfNoFlow(
  em: EntityManager,
  tenant: string,
  milestones: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const missing = new Set(milestones);
  let after: { id: string; version: number } | undefined = { id: "", version: 0 };
  while (after !== undefined && missing.size > 0) {
    const rows: { id: string; version: number; definition: Uint8Array }[] = await em.execute(
      `select id, version, definition from (
         select id, 0 as version, draft as definition from status_flow where tenant_id = ? and draft is not null
         union all
         select flow_id, version, definition from status_flow_version where tenant_id = ?
       ) as kept where (id, version) > (?, ?) order by id, version limit ?`,
      [tenant, tenant, after.id, after.version, READ_AT_ONCE],
    );
    for (const { definition } of rows) {
      for (const { milestone } of fromBinary(FlowDefinitionSchema, definition).milestones) missing.delete(milestone);
    }
    after = rows.length < READ_AT_ONCE ? undefined : rows.at(-1);
  }
  return missing;
}

/** What a flow says: a version, or with 0 its draft, without a draft its newest version. Refuses with FLOW_UNKNOWN. */
export async function definitionOf(
  em: EntityManager,
  tenant: string,
  id: string,
  version = 0,
): Promise<{ readonly name: string; readonly definition: FlowDefinition; readonly isDraft: boolean }> {
  const shipped = builtIn(id, "");
  if (shipped !== undefined && version > 0) throw flowUnknown(id, version);
  if (shipped !== undefined) return { name: shipped.flow.name, definition: shipped.definition, isDraft: false };
  const row = await findFlow(em, tenant, id);
  if (version === 0 && row.draft) {
    return { name: row.name, definition: fromBinary(FlowDefinitionSchema, row.draft), isDraft: true };
  }
  const found = await findVersion(em, tenant, id, version || row.publishedVersion);
  if (found === undefined) throw flowUnknown(id, version);
  return { name: row.name, definition: fromBinary(FlowDefinitionSchema, found.definition), isDraft: false };
}
