/**
 * Holds callers to what their tenant has bought, and suspended tenants to reading. It is asked once for each call, after the
 * caller may make it at all (`permissions.ts`), and once for each watch; what counts things asks where they are counted.
 *
 * What a lower tier no longer includes cannot be made or changed any more, and what is there of it goes on: flows and mappings
 * stay readable and at work, and may be left behind. Messages that were kept stay for their days, to be read again when the
 * tier is raised.
 */
import { type DescMessage, type DescMethod, isMessage, type Message, type MessageShape } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { TenantState, type Tier, TierSchema } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import { STANDARD_FLOW_ID } from "../domain/standard-flow.ts";
import { SubjectKind } from "../domain/subject.ts";
import type { WatchSpec } from "../watch/spec.ts";
import type { Call } from "./call.ts";
import { filterTerms } from "./filter-terms.ts";
import { type TenantTerms, tenantClosed } from "./tenancy.ts";
import { type Feature, featureTexts, type TierTerms, tiersWith, tierTerms } from "./tiers.ts";

/** What a request needs of the tier. */
interface Rule {
  readonly method: DescMethod;
  /** The field that needs it; empty: the call itself. */
  readonly field: string;
  readonly feature: Feature | "status_flows";
  /** What would do without. */
  readonly instead: string;
  applies(request: Message): boolean;
}

const order = OrderService.method;
const booking = BookingService.method;
const flow = StatusFlowService.method;

const now = "read it as it is now";
const byIds = "name ids only, or list all and choose";
const standard = "use the standard flow";

const rules: readonly Rule[] = [
  needs(order.getOrder, "as_of", "as_of_reads", now, (r) => r.asOf.case !== undefined),
  needs(booking.getBooking, "as_of", "as_of_reads", now, (r) => r.asOf.case !== undefined),
  needs(order.listOrders, "filter", "filters", byIds, (r) => asksMore(order.listOrders, r, r.filter)),
  needs(booking.listBookings, "filter", "filters", byIds, (r) => asksMore(booking.listBookings, r, r.filter)),
  needs(order.createOrder, "flow_id", "status_flows", standard, (r) => !["", STANDARD_FLOW_ID].includes(r.flowId)),
  needs(flow.createStatusFlow, "", "status_flows", standard),
  // To make the standard flow the default again is open to all as well.
  needs(flow.updateStatusFlow, "", "status_flows", standard, (r) => r.flowId !== STANDARD_FLOW_ID),
  needs(flow.publishStatusFlow, "", "status_flows", standard),
  needs(flow.importStatusFlow, "", "status_flows", standard),
  // Back to the standard flow is open to all: it is the way out of flows that a lower tier does not include.
  needs(
    flow.migrateOrders,
    "to_flow_id",
    "status_flows",
    "move them to `standard`",
    (r) => !["", STANDARD_FLOW_ID].includes(r.toFlowId || r.fromFlowId),
  ),
  // What a higher tier has left behind may always be removed.
  needs(flow.updateCodeMappings, "set", "code_mappings", "use the mappings that ship", (r) => r.set.length > 0),
  needs(ImportService.method.listInboundMessages, "", "inbound_messages", "keep them where they are sent from"),
  needs(ChangeService.method.readChanges, "", "change_feed", "watch, and keep the position"),
];

const rulesByMethod = Map.groupBy(rules, (rule) => rule.method);

/** Changes that a suspended tenant may make: it must be able to lock out who should not read. */
const openToSuspended: ReadonlySet<DescMethod> = new Set([TenantService.method.revokeKey]);

/** Watches pass without an idempotency level: they change nothing. */
function changes(method: DescMethod): boolean {
  return (
    method.methodKind === "unary" &&
    method.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS &&
    !openToSuspended.has(method)
  );
}

/** What of a method is looked at; most have nothing but whether they change anything. */
interface Gate {
  readonly changes: boolean;
  readonly rules: readonly Rule[];
}

/** What decides whether a watch is included. */
export type Watched = Pick<WatchSpec, "kind" | "visibility" | "filter" | "mode">;

export class Entitlements {
  readonly #termsOf: (tenant: string) => TenantTerms;
  readonly #gates = new Map<DescMethod, Gate | undefined>();

  /** @param termsOf what is known of a tenant; asked again at each call */
  constructor(termsOf: (tenant: string) => TenantTerms) {
    this.#termsOf = termsOf;
  }

  /** Throws a Refusal TENANT_SUSPENDED, TENANT_CLOSED or TIER_EXCLUDES when the caller's tenant may not call this now. */
  check(principal: Principal, method: DescMethod, request: Message): void {
    if (principal.kind === "service-owner") return;
    const gate = this.#gateOf(method);
    if (gate === undefined) return;
    const terms = this.#termsOf(principal.tenant);
    if (gate.changes && terms.state !== TenantState.ACTIVE) throw notActive(terms);
    for (const rule of gate.rules) {
      if (includes(tierTerms(terms.tier), rule.feature) || !rule.applies(request)) continue;
      throw excluded(terms, rule.feature, `${method.name}${rule.field && ` with ${rule.field}`}`, rule.instead);
    }
  }

  /** Throws a Refusal TIER_EXCLUDES or TENANT_CLOSED when the tenant may not watch this now. */
  checkWatch(spec: Watched & Pick<WatchSpec, "tenant">): void {
    const refusal = watchRefusal(this.#termsOf(spec.tenant), spec);
    if (refusal !== undefined) throw refusal;
  }

  /** Throws a Refusal TIER_EXCLUDES unless the caller's tenant may have so many status flows of its own. */
  mayHaveFlows(call: Call, flows: number): void {
    const terms = this.#termsOfCall(call);
    const { ownFlows, name } = tierTerms(terms.tier);
    if (flows <= ownFlows) return;
    const more = tiersWith((other) => other.ownFlows >= flows);
    throw new Refusal(
      ErrorReason.TIER_EXCLUDES,
      `${name} includes ${ownFlows} status flows of the tenant's own, and ${flows - 1} are used: use one of them, or ask for ${named(more)}`,
      { metadata: { ...metadata(terms, "status_flows", more), allowed: String(ownFlows), used: String(flows - 1) } },
    );
  }

  /** Throws a Refusal TIER_EXCLUDES unless the caller's tenant may have mappings of its own, or such for one carrier. */
  mayMap(call: Call, perCarrier: boolean): void {
    const terms = this.#termsOfCall(call);
    const feature = perCarrier ? "carrier_mappings" : "code_mappings";
    if (includes(tierTerms(terms.tier), feature)) return;
    const instead = perCarrier ? "map it for all carriers" : "use the mappings that ship";
    throw excluded(terms, feature, perCarrier ? "a mapping for one carrier" : "a mapping of its own", instead);
  }

  /** Whether the caller's tenant may have status flows of its own at all. */
  hasFlows(call: Call): boolean {
    return tierTerms(this.#termsOfCall(call).tier).ownFlows > 0;
  }

  /** Whether what the caller imports is kept as it came in. */
  keepsInbound(call: Call): boolean {
    return includes(tierTerms(this.#termsOfCall(call).tier), "inbound_messages");
  }

  /** The tenant's share of a saturated instance. */
  weightOf(tenant: string): number {
    return tierTerms(this.#termsOf(tenant).tier).weight;
  }

  /** Whether the tenant goes first while it stays inside its share. */
  hasReserve(tenant: string): boolean {
    return tierTerms(this.#termsOf(tenant).tier).reserve;
  }

  #termsOfCall({ principal }: Call): TenantTerms {
    if (principal.kind === "service-owner") throw new Error("the service owner has no tenant");
    return this.#termsOf(principal.tenant);
  }

  #gateOf(method: DescMethod): Gate | undefined {
    if (this.#gates.has(method)) return this.#gates.get(method);
    const gate = { changes: changes(method), rules: rulesByMethod.get(method) ?? [] };
    this.#gates.set(method, gate.changes || gate.rules.length > 0 ? gate : undefined);
    return this.#gates.get(method);
  }
}

/** Why a tenant's terms do not include a watch, TIER_EXCLUDES or TENANT_CLOSED; undefined: they do. */
export function watchRefusal(terms: TenantTerms, watch: Watched): Refusal | undefined {
  if (terms.state === TenantState.CLOSED) return tenantClosed(terms.tenant);
  const missing = missingFor(terms, watch);
  return missing && excluded(terms, missing, "the watch", watchInstead[missing]);
}

type WatchFeature = "filters" | "whole_tenant_watches" | "latest_mode";

const watchInstead: Readonly<Record<WatchFeature, string>> = {
  filters: "filter by ids only",
  whole_tenant_watches: "name ids in the filter",
  latest_mode: "watch in mode ALL",
};

/**
 * What a watch needs and the terms do not include. A carrier's watch is of its own bookings, and a link's of its one order:
 * neither is of the whole tenant.
 */
function missingFor(terms: TenantTerms, { kind, visibility, filter, mode }: Watched): WatchFeature | undefined {
  if (kind !== SubjectKind.ORDER && kind !== SubjectKind.BOOKING) return undefined;
  const { features } = tierTerms(terms.tier);
  if (filter.needsFacets && !features.filters) return "filters";
  const isWhole = visibility.class === "staff" && filter.ids === undefined;
  if (isWhole && !features.whole_tenant_watches) return "whole_tenant_watches";
  return mode === "LATEST" && !features.latest_mode ? "latest_mode" : undefined;
}

function includes(terms: TierTerms, feature: Rule["feature"]): boolean {
  return feature === "status_flows" ? terms.ownFlows > 0 : terms.features[feature];
}

function excluded(terms: TenantTerms, feature: Rule["feature"], what: string, instead: string): Refusal {
  const text = feature === "status_flows" ? "status flows of the tenant's own" : featureTexts[feature];
  const more = tiersWith((other) => includes(other, feature));
  return new Refusal(
    ErrorReason.TIER_EXCLUDES,
    `${what} is not included in ${tierTerms(terms.tier).name}, which lacks ${text}: ${instead}, or ask for ${named(more)}`,
    { metadata: metadata(terms, feature, more) },
  );
}

function metadata(terms: TenantTerms, feature: string, more: readonly Tier[]): Record<string, string> {
  return { tier: wordOf(terms.tier), feature, tiers: more.map(wordOf).join(",") };
}

function named(more: ReturnType<typeof tiersWith>): string {
  return more.map((tier) => tierTerms(tier).name).join(" or ");
}

/** A tier's name in the contract; one of a later release, which is taken for the lowest, by its number. */
function wordOf(tier: Tier): string {
  return TierSchema.values.find(({ number }) => number === tier)?.localName ?? String(tier);
}

function notActive(terms: TenantTerms): Refusal {
  if (terms.state === TenantState.CLOSED) return tenantClosed(terms.tenant);
  return new Refusal(
    ErrorReason.TENANT_SUSPENDED,
    `tenant "${terms.tenant}" is suspended and can only read, watch and revoke keys: GetTenant tells why`,
    { metadata: { tenant_id: terms.tenant } },
  );
}

/** Whether a list's filter has more than ids. */
function asksMore(
  method: DescMethod,
  request: Message,
  filter: { readonly ids: readonly string[] } | undefined,
): boolean {
  return filter !== undefined && filterTerms(method, request) > filter.ids.length;
}

function needs<I extends DescMessage>(
  method: DescMethod & { readonly input: I },
  field: string,
  feature: Rule["feature"],
  instead: string,
  applies: (request: MessageShape<I>) => boolean = () => true,
): Rule {
  return {
    method,
    field,
    feature,
    instead,
    applies: (request) => isMessage(request, method.input) && applies(request),
  };
}
