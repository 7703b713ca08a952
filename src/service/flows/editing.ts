import { create } from "@bufbuild/protobuf";
import { LockMode, type MikroORM, UniqueConstraintViolationException } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import {
  FindingSeverity,
  type FlowDefinition,
  type FlowFinding,
  FlowFindingKindSchema,
  type StatusFlow,
} from "../../../gen/leadline/v1/status_flow_pb.ts";
import {
  CreateStatusFlowRequestSchema,
  CreateStatusFlowResponseSchema,
  ExportStatusFlowResponseSchema,
  GetStatusFlowResponseSchema,
  ImportStatusFlowResponseSchema,
  ListStatusFlowsResponseSchema,
  PublishStatusFlowResponseSchema,
  StatusFlowService,
  UpdateStatusFlowResponseSchema,
  ValidateStatusFlowResponseSchema,
} from "../../../gen/leadline/v1/status_flow_service_pb.ts";
import { fieldInvalid } from "../../domain/field-invalid.ts";
import { findingsOf, isPublishable } from "../../domain/flows/findings.ts";
import { Refusal } from "../../domain/refusal.ts";
import { STANDARD_FLOW_ID } from "../../domain/standard-flow.ts";
import { StatusFlowEntity, StatusFlowVersionEntity, TenantEntity } from "../../store/entities.ts";
import { type ReadFlow, readFlow, writeFlow } from "../../wire/flow-yaml.ts";
import type { PageTokens } from "../../wire/page-token.ts";
import { type Audit, actOf } from "../audit.ts";
import type { Call, Implementation } from "../call.ts";
import { tenantOf } from "../command.ts";
import { pageScope, pageSize } from "../paging.ts";
import { forTenants } from "../unit-of-work.ts";
import { checkRequest } from "../validation.ts";
import {
  builtIn,
  builtIns,
  defaultFlowOf,
  definitionOf,
  encodeDefinition,
  findFlow,
  findVersion,
  flowMessage,
  flowPage,
  flowToChange,
  isBuiltIn,
  versionMessage,
} from "./records.ts";
import { once } from "./repeatable.ts";
import { flowUnknown, flowUnpublished } from "./starting.ts";

export interface FlowEditingParts {
  readonly orm: MikroORM;
  readonly audit: Audit;
  readonly pageTokens: PageTokens;
  /** Refuses with TIER_EXCLUDES when the caller's tier does not include as many own flows. */
  mayHaveFlows(call: Call, flows: number): void;
  /** Default: the system's clock. */
  now?(): Date;
}

type FlowEditing = Pick<
  Implementation<typeof StatusFlowService>,
  | "createStatusFlow"
  | "updateStatusFlow"
  | "getStatusFlow"
  | "listStatusFlows"
  | "validateStatusFlow"
  | "publishStatusFlow"
  | "importStatusFlow"
  | "exportStatusFlow"
>;

const methods = StatusFlowService.method;

/** Drafting, validating and publishing flows, and reading them. */
export function flowEditing(parts: FlowEditingParts): FlowEditing {
  const { audit, orm, pageTokens } = parts;
  const now = parts.now ?? (() => new Date());

  /** Makes a flow with a draft. */
  async function make(call: Call, em: Em, id: string, name: string, draft: Uint8Array): Promise<StatusFlow> {
    const tenant = tenantOf(call);
    // Two who make one each are counted one after the other.
    await em.findOneOrFail(TenantEntity, { id: tenant }, { lockMode: LockMode.PESSIMISTIC_WRITE, fields: ["id"] });
    parts.mayHaveFlows(call, (await em.count(StatusFlowEntity, { tenantId: tenant })) + 1);
    const made = { createdAt: now(), updatedAt: now(), edition: 1, publishedVersion: 0 };
    const row = em.create(StatusFlowEntity, { tenantId: tenant, id, name: name || id, draft, ...made });
    await em.flush();
    return flowMessage(row, await defaultFlowOf(em, tenant));
  }

  async function changeDraft(
    em: Em,
    tenant: string,
    { id, name, draft, etag }: { id: string; name: string; draft: Uint8Array; etag: string },
  ): Promise<StatusFlow> {
    const row = await flowToChange(em, tenant, id, etag);
    row.draft = Buffer.from(draft);
    row.name = name || row.name;
    row.edition += 1;
    row.updatedAt = now();
    await em.flush();
    return flowMessage(row, await defaultFlowOf(em, tenant));
  }

  return {
    async createStatusFlow(request, call) {
      const tenant = tenantOf(call);
      const { flowId, name, source } = request;
      if (isBuiltIn(flowId)) throw flowExists(flowId);
      try {
        return await audit.administer(call, tenant, (em, note) =>
          once(em, call, methods.createStatusFlow, request, async () => {
            note({ act: actOf(methods.createStatusFlow), target: flowId });
            const draft =
              source.case === "definition"
                ? encodeDefinition(source.value, "definition")
                : encodeDefinition((await definitionOf(em, tenant, source.value ?? STANDARD_FLOW_ID)).definition, "");
            return create(CreateStatusFlowResponseSchema, { flow: await make(call, em, flowId, name, draft) });
          }),
        );
      } catch (error) {
        throw error instanceof UniqueConstraintViolationException ? flowExists(flowId) : error;
      }
    },

    async updateStatusFlow(request, call) {
      const tenant = tenantOf(call);
      const { flowId, etag, name, draft, makeDefault } = request;
      return audit.administer(call, tenant, (em, note) =>
        once(em, call, methods.updateStatusFlow, request, async () => {
          const details = {
            ...(name !== "" && { name }),
            ...(draft && { draft: "changed" }),
            ...(makeDefault && { default: "true" }),
          };
          note({ act: actOf(methods.updateStatusFlow), target: flowId, details });
          if (flowId === STANDARD_FLOW_ID && makeDefault && !draft && name === "") {
            await em.nativeUpdate(TenantEntity, { id: tenant }, { defaultFlowId: "" });
            return create(UpdateStatusFlowResponseSchema, { flow: builtIn(flowId, "")?.flow });
          }
          const row = await flowToChange(em, tenant, flowId, etag);
          if (makeDefault && row.publishedVersion === 0) throw flowUnpublished(flowId);
          if (name !== "") row.name = name;
          if (draft) row.draft = Buffer.from(encodeDefinition(draft, "draft"));
          row.edition += 1;
          row.updatedAt = now();
          if (makeDefault) await em.nativeUpdate(TenantEntity, { id: tenant }, { defaultFlowId: flowId });
          await em.flush();
          return create(UpdateStatusFlowResponseSchema, { flow: flowMessage(row, await defaultFlowOf(em, tenant)) });
        }),
      );
    },

    async getStatusFlow({ flowId, version }, call) {
      const tenant = tenantOf(call);
      return forTenants(orm, [tenant], async (em) => {
        const isDefault = await defaultFlowOf(em, tenant);
        const shipped = builtIn(flowId, isDefault);
        if (shipped !== undefined) {
          const { flow, definition } = shipped;
          if (version > 0) throw flowUnknown(flowId, version);
          return create(GetStatusFlowResponseSchema, { flow, version: { flowId, definition } });
        }
        const row = await findFlow(em, tenant, flowId);
        const found = await findVersion(em, tenant, flowId, version || row.publishedVersion);
        if (found === undefined && version > 0) throw flowUnknown(flowId, version);
        return create(GetStatusFlowResponseSchema, {
          flow: flowMessage(row, isDefault),
          ...(found && { version: versionMessage(found) }),
        });
      });
    },

    async listStatusFlows({ pageSize: asked, pageToken, includeTemplates }, call) {
      const tenant = tenantOf(call);
      const scope = pageScope(tenant, "ListStatusFlows", String(includeTemplates));
      const after = pageToken === "" ? "" : pageTokens.decode(scope, pageToken);
      const size = pageSize(asked);
      return forTenants(orm, [tenant], async (em) => {
        const isDefault = await defaultFlowOf(em, tenant);
        const own = await flowPage(em, tenant, after, size);
        const shipped = builtIns(isDefault, includeTemplates).filter((flow) => flow.id > after);
        // What stands behind the last one read of the tenant's own may be preceded by one that is not read yet.
        const known = own.isWhole ? shipped : shipped.filter((flow) => flow.id < (own.rows.at(-1)?.id ?? ""));
        const all = [...own.rows.map((row) => flowMessage(row, isDefault)), ...known].sort((a, b) =>
          a.id < b.id ? -1 : 1,
        );
        const flows = all.slice(0, size);
        const isLast = own.isWhole && all.length <= size;
        const nextPageToken = isLast ? "" : pageTokens.encode(scope, flows.at(-1)?.id ?? "");
        return create(ListStatusFlowsResponseSchema, { flows, nextPageToken });
      });
    },

    async validateStatusFlow({ subject }, call) {
      const tenant = tenantOf(call);
      if (subject.case === undefined) throw fieldInvalid("subject", "needs a flow_id or a definition");
      const findings =
        subject.case === "definition"
          ? findingsOf(subject.value)
          : await forTenants(orm, [tenant], async (em) => {
              const { definition } = await definitionOf(em, tenant, subject.value);
              return findingsOf(definition, await published(em, tenant, subject.value));
            });
      return create(ValidateStatusFlowResponseSchema, { findings, publishable: isPublishable(findings) });
    },

    async publishStatusFlow(request, call) {
      const tenant = tenantOf(call);
      const { flowId, etag, makeDefault } = request;
      return audit.administer(call, tenant, (em, note) =>
        once(em, call, methods.publishStatusFlow, request, async () => {
          const row = await flowToChange(em, tenant, flowId, etag);
          if (!row.draft) throw draftMissing(flowId);
          const { definition } = await definitionOf(em, tenant, flowId);
          checkPublishable(flowId, findingsOf(definition, await published(em, tenant, flowId)));
          row.publishedVersion += 1;
          const version = em.create(StatusFlowVersionEntity, {
            tenantId: tenant,
            flowId,
            version: row.publishedVersion,
            definition: row.draft,
            publishedAt: now(),
            publishedBy: call.principal.id,
          });
          row.draft = null;
          row.edition += 1;
          row.updatedAt = now();
          if (makeDefault) await em.nativeUpdate(TenantEntity, { id: tenant }, { defaultFlowId: flowId });
          await em.flush();
          const details = { version: String(row.publishedVersion), ...(makeDefault && { default: "true" }) };
          note({ act: actOf(methods.publishStatusFlow), target: flowId, details });
          const flow = flowMessage(row, await defaultFlowOf(em, tenant));
          return create(PublishStatusFlowResponseSchema, { flow, version: versionMessage(version) });
        }),
      );
    },

    async importStatusFlow(request, call) {
      const tenant = tenantOf(call);
      const file = readFlow(request.yaml);
      checkFile(file);
      const { id, name, definition } = file;
      const take = () =>
        audit.administer(call, tenant, (em, note) =>
          once(em, call, methods.importStatusFlow, request, async () => {
            const draft = encodeDefinition(definition, "definition");
            const isKnown = isBuiltIn(id) || (await em.count(StatusFlowEntity, { tenantId: tenant, id })) > 0;
            if (!isKnown && request.etag !== "") throw flowUnknown(id);
            const details = isKnown ? { draft: "changed" } : {};
            note({ act: actOf(methods.importStatusFlow), target: id, details });
            const flow = isKnown
              ? await changeDraft(em, tenant, { id, name, draft, etag: request.etag })
              : await make(call, em, id, name, draft);
            const findings = findingsOf(definition, await published(em, tenant, id));
            for (const finding of findings) finding.line = finding.field === "" ? 0 : file.lineOf(finding.field);
            return create(ImportStatusFlowResponseSchema, { flow, findings });
          }),
        );
      try {
        return await take();
      } catch (error) {
        if (!(error instanceof UniqueConstraintViolationException)) throw error;
        return take(); // somebody else has made it at the same time: its draft is changed
      }
    },

    async exportStatusFlow({ flowId, version }, call) {
      const tenant = tenantOf(call);
      const { name, definition } = await forTenants(orm, [tenant], (em) => definitionOf(em, tenant, flowId, version));
      return create(ExportStatusFlowResponseSchema, { yaml: writeFlow({ id: flowId, name, definition }) });
    },
  };
}

type Em = Parameters<typeof findFlow>[0];

/** The newest published definition; undefined: none is. */
async function published(em: Em, tenant: string, id: string): Promise<FlowDefinition | undefined> {
  if (isBuiltIn(id)) return undefined;
  const row = await findFlow(em, tenant, id);
  const version = await findVersion(em, tenant, id, row.publishedVersion);
  return version && versionMessage(version).definition;
}

/** Refuses with FLOW_INVALID, every finding that stands in the way as a violation. */
function checkPublishable(id: string, findings: readonly FlowFinding[]): void {
  if (isPublishable(findings)) return;
  const faults = findings.filter((finding) => finding.severity === FindingSeverity.ERROR);
  throw new Refusal(
    ErrorReason.FLOW_INVALID,
    `flow "${id}" cannot be published: ${faults.map((finding) => finding.message).join("; ")}`,
    {
      metadata: { flow_id: id },
      violations: faults.map(({ kind, field, message }) => ({
        field: field === "" ? "draft" : `draft.${field}`,
        description: `${FlowFindingKindSchema.value[kind]?.localName}: ${message}`,
      })),
    },
  );
}

/** Refuses FIELD_INVALID for what breaks a rule of the contract: each violation tells its field, and the line of the file. */
function checkFile({ id, name, definition, lineOf }: ReadFlow): void {
  const flow = create(CreateStatusFlowRequestSchema, {
    flowId: id,
    name,
    source: { case: "definition", value: definition },
  });
  try {
    checkRequest(CreateStatusFlowRequestSchema, flow);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const violations = error.violations.map(({ field, description }) => {
      const inFile = field.replace(/^definition\./, "");
      return { field: inFile, description: `line ${lineOf(inFile)}: ${description}` };
    });
    const [first] = violations;
    throw new Refusal(error.reason, `${first?.field}: ${first?.description}`, { violations, metadata: error.metadata });
  }
}

function flowExists(id: string): Refusal {
  return new Refusal(ErrorReason.FLOW_EXISTS, `flow "${id}" exists already; choose another id, or update it`, {
    metadata: { flow_id: id },
  });
}

function draftMissing(id: string): Refusal {
  return new Refusal(ErrorReason.DRAFT_MISSING, `flow "${id}" has no draft; change it with UpdateStatusFlow first`, {
    metadata: { flow_id: id },
  });
}
