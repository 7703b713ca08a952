import { defineEntity, type InferEntity, p } from "@mikro-orm/postgresql";

/*
 * What is configured and looked up. The journal's own tables (journal_head, event, subject, subject_reference, request,
 * history_checkpoint) are written by the group commit's SQL and have no entities; migrations make all of them.
 */

/** One customer. */
export const TenantEntity = defineEntity({
  name: "Tenant",
  tableName: "tenant",
  properties: {
    id: p.text().primary(),
    name: p.text(),
    /** A number of leadline.v1.Tier. */
    tier: p.smallint(),
    createdAt: p.datetime(),
    /** A number of leadline.v1.TenantState. */
    state: p.smallint().default(1),
    stateSince: p.datetime().nullable(),
    stateReason: p.text().default(""),
    deleteAt: p.datetime().nullable(),
    /** The flow that new orders start in; empty: the standard flow. */
    defaultFlowId: p.text().default(""),
    /** What leadline.v1.TenantSettings says, by its fields' names in JSON. */
    settings: p.json().$type<Readonly<Record<string, number>>>().default("{}"),
  },
});
export type TenantRow = InferEntity<typeof TenantEntity>;

/** One API key. Of its secret only the SHA-256 is kept. */
export const ApiKeyEntity = defineEntity({
  name: "ApiKey",
  tableName: "api_key",
  properties: {
    id: p.text().primary(),
    tenantId: p.text(),
    name: p.text(),
    /** A number of leadline.v1.Role. */
    role: p.smallint(),
    /** Empty unless the role is CARRIER. */
    carrier: p.text(),
    secretSha256: p.blob(),
    createdAt: p.datetime(),
    expiresAt: p.datetime().nullable(),
    revokedAt: p.datetime().nullable(),
    lastUsedAt: p.datetime().nullable(),
    /** It is the service owner's, to help the tenant. */
    support: p.boolean().default(false),
    /** Why it was made; for support. */
    reason: p.text().default(""),
  },
});
export type ApiKeyRow = InferEntity<typeof ApiKeyEntity>;

/** An imported item that matched nothing. */
export const WorkItemEntity = defineEntity({
  name: "WorkItem",
  tableName: "work_item",
  properties: {
    id: p.text().primary(),
    tenantId: p.text(),
    /** A number of leadline.v1.MessageFormat. */
    format: p.smallint(),
    carrier: p.text(),
    sourceId: p.text(),
    reason: p.text(),
    message: p.text(),
    item: p.text(),
    /** SHA-256 of format, carrier and item: the same item is on the list once. */
    itemSha256: p.blob(),
    createdAt: p.datetime(),
    triedAt: p.datetime(),
    tries: p.integer(),
    /** A number of leadline.v1.CodeList, with the code that is not mapped and the carrier that sent it; 0: none. */
    codeList: p.smallint().default(0),
    code: p.text().default(""),
    codeCarrier: p.text().default(""),
  },
});
export type WorkItemRow = InferEntity<typeof WorkItemEntity>;

/** A status flow of a tenant's own: what is worked on, and which version is the newest. */
export const StatusFlowEntity = defineEntity({
  name: "StatusFlow",
  tableName: "status_flow",
  properties: {
    tenantId: p.text().primary(),
    id: p.text().primary(),
    name: p.text(),
    /** Encoding of leadline.v1.FlowDefinition. */
    draft: p.blob().nullable(),
    publishedVersion: p.integer(),
    /** Rises by one with every change: the etag. */
    edition: p.integer(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
  },
});
export type StatusFlowRow = InferEntity<typeof StatusFlowEntity>;

/** A published version of a status flow. It never changes. */
export const StatusFlowVersionEntity = defineEntity({
  name: "StatusFlowVersion",
  tableName: "status_flow_version",
  properties: {
    tenantId: p.text().primary(),
    flowId: p.text().primary(),
    version: p.integer().primary(),
    /** Encoding of leadline.v1.FlowDefinition. */
    definition: p.blob(),
    publishedAt: p.datetime(),
    publishedBy: p.text(),
  },
});
export type StatusFlowVersionRow = InferEntity<typeof StatusFlowVersionEntity>;

/** What a partner's code means to a tenant, in place of what ships with the service. */
export const CodeMappingEntity = defineEntity({
  name: "CodeMapping",
  tableName: "code_mapping",
  properties: {
    tenantId: p.text().primary(),
    /** A number of leadline.v1.CodeList. */
    codeList: p.smallint().primary(),
    code: p.text().primary(),
    /** Empty: of all carriers. */
    carrier: p.text().primary(),
    milestone: p.text(),
    exception: p.boolean(),
  },
});
export type CodeMappingRow = InferEntity<typeof CodeMappingEntity>;

/** An item as it came in, kept where the tier says so. */
export const InboundMessageEntity = defineEntity({
  name: "InboundMessage",
  tableName: "inbound_message",
  properties: {
    id: p.text().primary(),
    tenantId: p.text(),
    /** A number of leadline.v1.MessageFormat. */
    format: p.smallint(),
    carrier: p.text(),
    sourceId: p.text(),
    item: p.text(),
    actor: p.text(),
    /** Encoding of leadline.v1.ImportResult. */
    result: p.blob(),
    receivedAt: p.datetime(),
  },
});
export type InboundMessageRow = InferEntity<typeof InboundMessageEntity>;

/** The deployment's own settings: its secret, the hash of the service owner's key. No tenant's. */
export const DeploymentEntity = defineEntity({
  name: "Deployment",
  tableName: "deployment",
  properties: {
    name: p.text().primary(),
    value: p.blob(),
  },
});

/** The instances that run or ran lately. */
const InstanceEntity = defineEntity({
  name: "Instance",
  tableName: "instance",
  properties: {
    id: p.text().primary(),
    startedAt: p.datetime(),
    seenAt: p.datetime(),
    /** The newest migration that it knows; empty: it runs a release that did not tell. */
    schema: p.text().default(""),
  },
});

export const entities = [
  TenantEntity,
  ApiKeyEntity,
  WorkItemEntity,
  StatusFlowEntity,
  StatusFlowVersionEntity,
  CodeMappingEntity,
  InboundMessageEntity,
  DeploymentEntity,
  InstanceEntity,
];
