import { hash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { EntityManager, MikroORM } from "@mikro-orm/postgresql";
import { OrderSchema } from "../../../gen/leadline/v1/order_pb.ts";
import { type FlowDefinition, FlowDefinitionSchema } from "../../../gen/leadline/v1/status_flow_pb.ts";
import {
  type DryRunOrder,
  DryRunOrderSchema,
  DryRunStatusFlowResponseSchema,
  MigrateOrdersResponseSchema,
  SimulateStatusFlowResponseSchema,
  StatusFlowService,
  type StatusMapping,
} from "../../../gen/leadline/v1/status_flow_service_pb.ts";
import { fieldInvalid } from "../../domain/field-invalid.ts";
import {
  decideMoveOrder,
  type Moving,
  type StatusMappings,
  statusMappings,
  tryMove,
} from "../../domain/flows/moving.ts";
import { simulateFlow } from "../../domain/flows/simulation.ts";
import { STANDARD_FLOW, STANDARD_FLOW_ID } from "../../domain/standard-flow.ts";
import { type StatusFlow, statusFlow } from "../../domain/status-flow.ts";
import { orderRef, SubjectKind } from "../../domain/subject.ts";
import type { Journal, SubjectRow } from "../../journal/journal.ts";
import { StatusFlowVersionEntity } from "../../store/entities.ts";
import type { PageTokens } from "../../wire/page-token.ts";
import { decodeSubject } from "../../wire/subject-row.ts";
import { type Audit, actOf } from "../audit.ts";
import type { Call, Implementation } from "../call.ts";
import { tenantOf } from "../command.ts";
import { numericCursor, pageScope } from "../paging.ts";
import { forTenants } from "../unit-of-work.ts";
import { definitionOf, findFlow, findVersion, isBuiltIn, VERSION_MAX, versionMessage } from "./records.ts";
import { answeredBefore, once } from "./repeatable.ts";
import { flowUnknown, startingRef } from "./starting.ts";

export interface FlowRollingParts {
  readonly orm: MikroORM;
  readonly audit: Audit;
  readonly journal: Journal;
  readonly pageTokens: PageTokens;
  /** Default: the system's clock. */
  now?(): Date;
}

type FlowRolling = Pick<
  Implementation<typeof StatusFlowService>,
  "dryRunStatusFlow" | "migrateOrders" | "simulateStatusFlow"
>;

const method = StatusFlowService.method.migrateOrders;

const DRY_RUN_DEFAULT = 500;
const DRY_RUN_MAX = 1_000;
const MOVES_MAX = 500;
/** Orders read at a time: each is read whole. */
const READ_AT_ONCE = 50;

/** Trying flows on orders, and moving orders between them. */
export function flowRolling(parts: FlowRollingParts): FlowRolling {
  const { audit, orm, journal, pageTokens } = parts;
  const { flows } = journal;
  const now = () => timestampFromDate(parts.now?.() ?? new Date());

  return {
    async dryRunStatusFlow(request, call) {
      const tenant = tenantOf(call);
      const { flowId, ordersOfFlowId, includeEnded, pageToken } = request;
      const { definition, from } = await forTenants(orm, [tenant], async (em) => {
        if (ordersOfFlowId !== "") await checkOrdersHave(em, tenant, ordersOfFlowId, 0);
        return {
          definition: request.definition ?? (await definitionOf(em, tenant, flowId)).definition,
          from: await flowOfOrders(em, tenant, ordersOfFlowId || flowId),
        };
      });
      checkUsable(definition.statuses.length);
      const to = statusFlow({ id: flowId, version: 0 }, definition);
      const mappings = statusMappings(request.mappings, from, to);
      const limit = Math.min(request.pageSize || DRY_RUN_DEFAULT, DRY_RUN_MAX);
      // One dry run tries one definition: a page of another would add up to nothing.
      const tried = digestOf(definition, request.mappings);
      const of = JSON.stringify([flowId, ordersOfFlowId, includeEnded, tried]);
      const scope = pageScope(tenant, "DryRunStatusFlow", of);
      const rows = await journal.rows({
        tenant,
        kind: SubjectKind.ORDER,
        flow: { id: storedId(ordersOfFlowId || flowId), open: !includeEnded },
        createdBefore: pageToken === "" ? undefined : numericCursor(pageTokens.decode(scope, pageToken)),
        limit: limit + 1,
      });
      const page = rows.slice(0, limit);
      const orders = await inTurns(page, (row) => tryOne(tenant, row, to, mappings));
      const differing = orders.filter((one) => one.stranded || one.newStatus !== one.status);
      const stranded = orders.filter((one) => one.stranded).length;
      return create(DryRunStatusFlowResponseSchema, {
        orders: differing,
        examined: page.length,
        stranded,
        moved: differing.length - stranded,
        nextPageToken: rows.length > limit ? pageTokens.encode(scope, String(page.at(-1)?.createdRevision ?? 0n)) : "",
      });
    },

    async migrateOrders(request, call) {
      const tenant = tenantOf(call);
      const { includeEnded, orderIds, pageToken } = request;
      const fromId = request.fromFlowId || STANDARD_FLOW_ID;
      const { before, origin } = await forTenants(orm, [tenant], async (em) => {
        await checkOrdersHave(em, tenant, fromId, request.fromVersion);
        return {
          before: await answeredBefore(em, call, method, request),
          origin: await flowOfOrders(em, tenant, fromId, request.fromVersion),
        };
      });
      if (before !== undefined) return before;
      const to = await target(call, request.toFlowId || fromId, request.toVersion);
      if (fromId === STANDARD_FLOW_ID && to.ref.id === "") {
        throw fieldInvalid("to_flow_id", "must be another flow: the standard flow has one version only");
      }
      const mappings = statusMappings(request.mappings, origin, to);
      const limit = Math.min(request.pageSize || MOVES_MAX, MOVES_MAX);
      const of = JSON.stringify([fromId, request.fromVersion, to.ref, includeEnded, orderIds]);
      const scope = pageScope(tenant, "MigrateOrders", of);
      const from = { id: storedId(fromId), version: request.fromVersion || undefined };
      const notVersion = from.id === to.ref.id ? to.ref.version : undefined;
      const ids = orderIds.length > 0 ? orderIds : undefined;
      const query = { tenant, kind: SubjectKind.ORDER, ids, flow: { ...from, notVersion, open: !includeEnded } };
      const reached = pageToken === "" ? undefined : progressOf(pageTokens.decode(scope, pageToken));
      // All that are named are looked up, so that those that are not there can be told.
      const rows = await journal.rows({
        ...query,
        createdBefore: reached?.createdBefore,
        limit: (ids ? MOVES_MAX : limit) + 1,
      });
      const page = rows.slice(0, limit);
      const found = new Set(rows.map((row) => row.id));
      const skippedOrderIds = reached ? [] : orderIds.filter((id) => !found.has(id));
      // Before the moves, which are events themselves: what was asked is on record whatever becomes of it.
      if (page.length > 0) {
        const details = {
          ...{ from_flow_id: fromId, to_flow_id: to.ref.id || STANDARD_FLOW_ID, to_version: String(to.ref.version) },
          ...(request.fromVersion > 0 && { from_version: String(request.fromVersion) }),
          orders: String(page.length),
        };
        await audit.administer(call, tenant, async (_em, note) =>
          note({ act: actOf(method), target: details.to_flow_id, details }),
        );
      }
      // All are submitted at once: the journal commits them in groups.
      const moving = { from, to, mappings, includeEnded };
      const moves = await Promise.all(page.map((row) => move(call, row.id, moving)));
      const answer = create(MigrateOrdersResponseSchema, {
        moved: moves.filter(isMoved).length,
        unmapped: moves.filter(isUnmapped),
        skippedOrderIds,
      });
      const last = rows.length > limit ? page.at(-1) : undefined;
      if (last !== undefined) {
        // All are counted once; each call takes off what it has seen to.
        const createdBefore = last.createdRevision;
        const seen = BigInt(page.length);
        const remaining = reached ? reached.remaining - seen : await journal.count({ ...query, createdBefore });
        answer.remaining = remaining > 1n ? remaining : 1n;
        answer.nextPageToken = pageTokens.encode(scope, `${createdBefore}.${answer.remaining}`);
      }
      // Moved a second time, orders stay where they are; remembered, the call is answered alike.
      return request.requestId === ""
        ? answer
        : forTenants(orm, [tenant], (em) => once(em, call, method, request, async () => answer));
    },

    async simulateStatusFlow({ subject, reports, reporter }, call) {
      const tenant = tenantOf(call);
      if (subject.case === undefined) throw fieldInvalid("subject", "needs a flow_id or a definition");
      const { definition } =
        subject.case === "definition"
          ? { definition: subject.value }
          : await forTenants(orm, [tenant], (em) => definitionOf(em, tenant, subject.value));
      checkUsable(definition.statuses.length);
      const flow = statusFlow({ id: "simulated", version: 0 }, definition);
      return create(SimulateStatusFlowResponseSchema, { steps: simulateFlow(flow, reports, reporter, now()) });
    },
  };

  /** The flow that orders are moved to: a published version. */
  async function target(call: Call, id: string, version: number): Promise<StatusFlow> {
    const tenant = tenantOf(call);
    if (version > VERSION_MAX || (version > 0 && id === STANDARD_FLOW_ID)) throw flowUnknown(id, version);
    const ref = version > 0 ? { id, version } : await startingRef(journal, tenant, id);
    const flow = await flows.find(tenant, ref);
    if (flow === undefined) throw flowUnknown(id, version);
    return flow;
  }

  function move(call: Call, orderId: string, moving: Moving): Promise<DryRunOrder> {
    return journal.submit({
      tenant: tenantOf(call),
      actor: call.principal.id,
      subjects: [orderRef(orderId)],
      request: undefined, // moving an order again moves nothing
      bytes: 0,
      decide: decideMoveOrder(orderId, moving),
      answer: DryRunOrderSchema,
    });
  }

  async function tryOne(
    tenant: string,
    listed: SubjectRow,
    to: StatusFlow,
    mappings: StatusMappings,
  ): Promise<DryRunOrder> {
    const row = await journal.subject(tenant, orderRef(listed.id));
    if (row === undefined) throw new Error(`order ${listed.id} was listed and is not there`);
    const { flowId, flowVersion } = fromBinary(OrderSchema, row.summary);
    await flows.fetch(tenant, [{ id: flowId, version: flowVersion }]);
    const subject = decodeSubject(row.kind, row, flows.of(tenant));
    if (subject.kind !== SubjectKind.ORDER) throw new Error(`${row.id} is not an order`);
    return tryMove(subject, to, mappings, now());
  }
}

function isUnmapped(move: DryRunOrder): boolean {
  return move.unknownCodes.length > 0;
}

/** One that is answered without a status had been moved or had ended meanwhile. */
function isMoved(move: DryRunOrder): boolean {
  return move.status !== "" && !isUnmapped(move);
}

/** How far a move has come, from its page token. */
function progressOf(cursor: string): { readonly createdBefore: bigint; readonly remaining: bigint } {
  const [revision = "", remaining = ""] = cursor.split(".");
  return { createdBefore: numericCursor(revision), remaining: numericCursor(remaining) };
}

/** Refuses with FLOW_UNKNOWN a flow, or a version other than 0, that no order can be in. */
async function checkOrdersHave(em: EntityManager, tenant: string, id: string, version: number): Promise<void> {
  if (id === STANDARD_FLOW_ID && version === 0) return;
  if (isBuiltIn(id)) throw flowUnknown(id, version);
  await findFlow(em, tenant, id);
  if (version > 0 && (await findVersion(em, tenant, id, version)) === undefined) throw flowUnknown(id, version);
}

/** The id as orders bear it: empty for the standard flow. */
function storedId(id: string): string {
  return id === STANDARD_FLOW_ID ? "" : id;
}

/**
 * The flow that orders are in: the version that is named, else the newest. Undefined: no version is published, so there is no
 * order in it.
 */
async function flowOfOrders(
  em: EntityManager,
  tenant: string,
  id: string,
  version = 0,
): Promise<StatusFlow | undefined> {
  if (id === STANDARD_FLOW_ID) return STANDARD_FLOW;
  const row =
    version > 0
      ? await findVersion(em, tenant, id, version)
      : await em.findOne(StatusFlowVersionEntity, { tenantId: tenant, flowId: id }, { orderBy: { version: "desc" } });
  if (!row) return undefined;
  const { definition } = versionMessage(row);
  return definition && statusFlow({ id, version: row.version }, definition);
}

/** Names a definition with its mappings. */
function digestOf(definition: FlowDefinition, mappings: readonly StatusMapping[]): string {
  const pairs = JSON.stringify(mappings.map(({ from, to }) => [from, to]));
  return hash("sha256", Buffer.concat([toBinary(FlowDefinitionSchema, definition), Buffer.from(pairs)]), "base64url");
}

/** A definition can be tried before it is valid, but not without a status to start in. */
function checkUsable(statuses: number): void {
  if (statuses === 0) throw fieldInvalid("definition.statuses", "needs a status to start in");
}

async function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (let from = 0; from < items.length; from += READ_AT_ONCE) {
    done.push(...(await Promise.all(items.slice(from, from + READ_AT_ONCE).map(work))));
  }
  return done;
}
