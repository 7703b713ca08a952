import { defineEntity, type InferEntity, p } from "@mikro-orm/postgresql";

/*
 * What is configured and looked up. The journal's own tables (journal_head, event, subject, subject_reference, request)
 * are written by the group commit's SQL and have no entities; migrations make all of them.
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
  },
});
export type WorkItemRow = InferEntity<typeof WorkItemEntity>;

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
export const InstanceEntity = defineEntity({
  name: "Instance",
  tableName: "instance",
  properties: {
    id: p.text().primary(),
    startedAt: p.datetime(),
    seenAt: p.datetime(),
  },
});

export const entities = [TenantEntity, ApiKeyEntity, WorkItemEntity, DeploymentEntity, InstanceEntity];
