import { create } from "@bufbuild/protobuf";
import type { MikroORM } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import {
  type CodeList,
  CodeListSchema,
  type CodeMapping,
  CodeMappingSchema,
} from "../../../gen/leadline/v1/status_flow_pb.ts";
import {
  ListCodeMappingsResponseSchema,
  StatusFlowService,
  UpdateCodeMappingsResponseSchema,
} from "../../../gen/leadline/v1/status_flow_service_pb.ts";
import type { OwnMeanings } from "../../domain/code-meanings.ts";
import { fieldInvalid } from "../../domain/field-invalid.ts";
import { CODE_LISTS, KNOWN_MILESTONES } from "../../domain/flows/code-lists.ts";
import { Refusal, reasonName } from "../../domain/refusal.ts";
import {
  countWaiting,
  type MappingKey,
  type OwnMapping,
  ownMappings,
  ownMappingsToChange,
  removeMappings,
  setMappings,
} from "../../store/code-mappings.ts";
import type { CodeMappingRow } from "../../store/entities.ts";
import type { PageTokens } from "../../wire/page-token.ts";
import { type Audit, actOf } from "../audit.ts";
import type { Call, Implementation } from "../call.ts";
import { tenantOf } from "../command.ts";
import { pageScope, pageSize } from "../paging.ts";
import { forTenants } from "../unit-of-work.ts";
import { milestonesOfNoFlow } from "./records.ts";
import { once } from "./repeatable.ts";

export interface CodeMappingsParts {
  readonly audit: Audit;
  readonly orm: MikroORM;
  readonly pageTokens: PageTokens;
  /** Refuses with TIER_EXCLUDES when the caller's tier does not include own mappings, or not those of one carrier. */
  mayMap(call: Call, perCarrier: boolean): void;
}

/** Own mappings that a tenant may have: all of them are read for an import. */
export const OWN_MAPPINGS_MAX = 2_000;

type CodeMappings = Pick<Implementation<typeof StatusFlowService>, "listCodeMappings" | "updateCodeMappings">;

/** What partners' codes mean: read and changed. */
export function codeMappings({ audit, orm, pageTokens, mayMap }: CodeMappingsParts): CodeMappings {
  return {
    async listCodeMappings({ codeList, ownOnly, pageSize: asked, pageToken }, call) {
      const tenant = tenantOf(call);
      const scope = pageScope(tenant, "ListCodeMappings", `${codeList} ${ownOnly}`);
      const after = pageToken === "" ? undefined : keyFrom(pageTokens.decode(scope, pageToken));
      const own = await forTenants(orm, [tenant], (em) => ownMappings(em, tenant));
      const shown = [...own.map(ownMapping), ...(ownOnly ? [] : shippedBeside(own))]
        .filter((one) => codeList === 0 || one.codeList === codeList)
        .filter((one) => after === undefined || compareKeys(one, after) > 0)
        .sort(compareKeys);
      const mappings = shown.slice(0, pageSize(asked));
      const last = mappings.length < shown.length ? mappings.at(-1) : undefined;
      const nextPageToken = last === undefined ? "" : pageTokens.encode(scope, keyOf(last));
      return create(ListCodeMappingsResponseSchema, { mappings, nextPageToken });
    },

    async updateCodeMappings(request, call) {
      const { set, remove } = request;
      const tenant = tenantOf(call);
      checkChanges(set, remove);
      // What a higher tier has left behind may always be removed.
      if (set.length > 0)
        mayMap(
          call,
          set.some(({ carrier }) => carrier !== ""),
        );
      return audit.administer(call, tenant, (em, note) =>
        once(em, call, StatusFlowService.method.updateCodeMappings, request, async () => {
          const before = new Set((await ownMappingsToChange(em, tenant)).map(keyOf));
          const removed = new Set(remove.map(keyOf));
          const after = new Set([...[...before].filter((key) => !removed.has(key)), ...set.map(keyOf)]);
          if (after.size > OWN_MAPPINGS_MAX) throw tooMany(after.size);
          await removeMappings(em, tenant, remove);
          await setMappings(
            em,
            set.map((one) => rowOf(tenant, one)),
          );
          note({
            act: actOf(StatusFlowService.method.updateCodeMappings),
            target: tenant,
            details: { set: set.map(textOf).join(", "), remove: remove.map(textOf).join(", ") },
          });
          const fresh = set.filter((one) => !before.has(keyOf(one)));
          const waiting = await countWaiting(em, tenant, reasonName(ErrorReason.CODE_UNMAPPED), fresh);
          const others = set
            .map(({ milestone }) => milestone)
            .filter((one) => one !== "" && !KNOWN_MILESTONES.has(one));
          return create(UpdateCodeMappingsResponseSchema, {
            ownMappings: after.size,
            workItemsMapped: waiting,
            unknownMilestones: [...(await milestonesOfNoFlow(em, tenant, new Set(others)))],
          });
        }),
      );
    },
  };
}

/** What codes mean to a tenant itself, as it stands: its mapping for the carrier, else the one for all carriers. */
export async function readOwnMeanings(orm: MikroORM, tenant: string): Promise<OwnMeanings> {
  const rows = await forTenants(orm, [tenant], (em) => ownMappings(em, tenant));
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  return ({ list: codeList, code, carrier }) =>
    byKey.get(keyOf({ codeList, code, carrier })) ?? byKey.get(keyOf({ codeList, code, carrier: "" }));
}

/** The mappings that ship with the service, but for those that the tenant's own for all carriers stand in place of. */
function shippedBeside(own: readonly OwnMapping[]): CodeMapping[] {
  const overridden = new Set(own.map(keyOf));
  return [...CODE_LISTS].flatMap(([codeList, codes]) =>
    [...codes.values()]
      .map((listed) => create(CodeMappingSchema, { codeList, ...listed }))
      .filter((one) => !overridden.has(keyOf(one))),
  );
}

function ownMapping({ codeList, code, carrier, milestone, exception }: OwnMapping): CodeMapping {
  const list = listFrom(codeList);
  const meaning = CODE_LISTS.get(list)?.get(code)?.meaning ?? "";
  return create(CodeMappingSchema, { codeList: list, code, carrier, milestone, exception, own: true, meaning });
}

/** The numbers of the enum's values are its type's members; one that this release does not know is told as unspecified. */
function listFrom(stored: number): CodeList {
  const known = CodeListSchema.values.find((value) => value.number === stored);
  return (known?.number ?? 0) as CodeList;
}

function rowOf(tenant: string, { codeList, code, carrier, milestone, exception }: CodeMapping): CodeMappingRow {
  return { tenantId: tenant, codeList, code, carrier, milestone, exception } as CodeMappingRow;
}

function checkChanges(set: readonly CodeMapping[], remove: readonly CodeMapping[]): void {
  const seen = new Set<string>();
  for (const [field, mappings] of Object.entries({ set, remove })) {
    for (const [i, one] of mappings.entries()) {
      if (seen.has(keyOf(one))) throw fieldInvalid(`${field}[${i}]`, `is the mapping of ${textOf(one)} a second time`);
      seen.add(keyOf(one));
    }
  }
  const silent = set.findIndex(({ milestone, exception }) => exception && milestone === "");
  if (silent >= 0) throw fieldInvalid(`set[${silent}].milestone`, "must be set where something went wrong");
}

/** Codes have no blanks, so what stands after the second one is the carrier. */
function keyOf({ codeList, code, carrier }: MappingKey): string {
  return `${codeList} ${code} ${carrier}`;
}

function keyFrom(cursor: string): MappingKey {
  const [codeList = "", code = "", ...carrier] = cursor.split(" ");
  return { codeList: Number(codeList), code, carrier: carrier.join(" ") };
}

function compareKeys(a: MappingKey, b: MappingKey): number {
  return a.codeList - b.codeList || compareTexts(a.code, b.code) || compareTexts(a.carrier, b.carrier);
}

function compareTexts(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function textOf({ codeList, code, carrier }: CodeMapping): string {
  const text = `${CodeListSchema.value[codeList]?.localName ?? codeList} ${code}`;
  return carrier === "" ? text : `${text} of ${carrier}`;
}

function tooMany(mappings: number): Refusal {
  return new Refusal(
    ErrorReason.SUBJECT_FULL,
    `there would be ${mappings} own mappings; a tenant has ${OWN_MAPPINGS_MAX} at most, so remove some that are not needed`,
    { metadata: { limit: "own_mappings", allowed: String(OWN_MAPPINGS_MAX), used: String(mappings) } },
  );
}
