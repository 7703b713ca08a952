import type { FlowRef } from "../domain/status-flow.ts";
import type { StoredFlow } from "../store/flow-library.ts";
import type { Question } from "../store/question.ts";
import type { StartingFlow } from "./journal.ts";
import { rowStatement } from "./row-statement.ts";

const askFlows = rowStatement(
  "ask-flows",
  ["tenant_id text", "flow_id text", "version int"],
  (rows) => `select k.tenant_id, v.flow_id, v.version, v.definition from ${rows} k
             cross join lateral (select * from status_flow_version v where v.tenant_id = k.tenant_id
                                 and v.flow_id = k.flow_id and v.version = k.version limit 1) v`,
);

/** A published version, and whose it is. */
export type TenantFlow = StoredFlow & { readonly tenant: string };

/** Published versions of flows, as far as there are such. */
export function flows(asked: readonly { readonly tenant: string; readonly ref: FlowRef }[]): Question<TenantFlow> {
  const values = [asked.map((a) => a.tenant), asked.map((a) => a.ref.id), asked.map((a) => a.ref.version)];
  return {
    ...askFlows(values),
    row: (fields) => ({
      tenant: fields.text(),
      ref: { id: fields.text(), version: fields.integer() },
      definition: fields.bytes(),
    }),
  };
}

/** The flow that a new order starts in: the named one, or with an empty id the tenant's default. */
export function startingFlow(tenant: string, flowId: string): Question<StartingFlow> {
  const text = `select a.flow_id, coalesce(f.published_version, -1) as version
                from (select case when $2::text = '' then t.default_flow_id else $2::text end as flow_id
                      from tenant t where t.id = $1) a
                left join status_flow f on f.tenant_id = $1 and f.id = a.flow_id`;
  return {
    name: "ask-starting-flow",
    text,
    values: [tenant, flowId],
    row: (fields) => {
      const id = fields.text();
      const published = fields.integer();
      return { id, published: published < 0 ? undefined : published };
    },
  };
}
