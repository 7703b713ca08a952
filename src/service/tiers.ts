/**
 * The three tiers: what each includes, what it allows, and how much of a saturated instance is its own. This table is the
 * only place that says it; the README prints it, GetTenant shows a tenant its column, and `entitlements.ts` holds callers to it.
 */
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";

/** What one credential and its tenant may do on one instance. */
export interface Allowance {
  /** Calls of one credential in a second. A batch counts as one call. */
  readonly callsPerSecond: number;
  /** The same of all credentials of its kind (keys and tokens, or links) in its tenant. */
  readonly tenantCallsPerSecond: number;
  /** Open streams of one credential. */
  readonly streams: number;
  readonly tenantStreams: number;
  /** Streams that one credential opens in a second. */
  readonly streamOpensPerSecond: number;
  readonly tenantStreamOpensPerSecond: number;
  /** Rows that the snapshot of one watch may have. */
  readonly snapshotRows: number;
  /** Values that one filter may have, of all its fields together. */
  readonly filterTerms: number;
}

/** What a tier includes or does not. */
export interface Features {
  readonly code_mappings: boolean;
  readonly carrier_mappings: boolean;
  readonly filters: boolean;
  readonly whole_tenant_watches: boolean;
  readonly latest_mode: boolean;
  readonly as_of_reads: boolean;
  readonly change_feed: boolean;
  readonly inbound_messages: boolean;
  readonly tenant_settings: boolean;
}
export type Feature = keyof Features;

/** What each feature is, for people. */
export const featureTexts: Readonly<Record<Feature, string>> = {
  code_mappings: "mappings of partners' codes of its own",
  carrier_mappings: "such mappings for one carrier each",
  filters: "lists and watches filtered by more than ids",
  whole_tenant_watches: "watches of everything in the tenant",
  latest_mode: "watches in mode LATEST",
  as_of_reads: "reads as of an earlier time or revision",
  change_feed: "the change feed (ReadChanges)",
  inbound_messages: "raw inbound messages, kept to be read again",
  tenant_settings: "limits and times agreed with the tenant",
};

/** What a reserve is, for people. */
export const reserveText = "first in every batch of a saturated instance, for its share";

/** One column of the table. */
export interface TierTerms {
  readonly name: string;
  /** Status flows of its own, beside the standard flow; Infinity: without limit. */
  readonly ownFlows: number;
  readonly features: Features;
  readonly allowance: Allowance;
  /** Its share of a saturated instance, beside those of other tenants with work to do. */
  readonly weight: number;
  /** A part of every batch is kept for it. */
  readonly reserve: boolean;
  /** Days that a journey's history stays online after its end, unless agreed otherwise. */
  readonly historyDays: number;
  /** Days that raw inbound messages are kept, unless agreed otherwise. */
  readonly inboundDays: number;
}

const quickDeploy: TierTerms = {
  name: "Quick Deploy",
  ownFlows: 0,
  features: {
    code_mappings: false,
    carrier_mappings: false,
    filters: false,
    whole_tenant_watches: false,
    latest_mode: false,
    as_of_reads: false,
    change_feed: false,
    inbound_messages: false,
    tenant_settings: false,
  },
  allowance: {
    callsPerSecond: 100,
    tenantCallsPerSecond: 400,
    streams: 50,
    tenantStreams: 200,
    streamOpensPerSecond: 20,
    tenantStreamOpensPerSecond: 80,
    snapshotRows: 10_000,
    filterTerms: 100,
  },
  weight: 1,
  reserve: false,
  historyDays: 90,
  inboundDays: 0,
};

const assisted: TierTerms = {
  name: "Assisted",
  ownFlows: 5,
  features: {
    ...quickDeploy.features,
    code_mappings: true,
    filters: true,
    whole_tenant_watches: true,
    latest_mode: true,
    as_of_reads: true,
  },
  allowance: {
    callsPerSecond: 2_000,
    tenantCallsPerSecond: 8_000,
    streams: 1_000,
    tenantStreams: 4_000,
    streamOpensPerSecond: 500,
    tenantStreamOpensPerSecond: 2_000,
    snapshotRows: 200_000,
    filterTerms: 500,
  },
  weight: 2,
  reserve: false,
  historyDays: 365,
  inboundDays: 0,
};

const adaptive: TierTerms = {
  name: "Adaptive",
  ownFlows: Infinity,
  features: {
    ...assisted.features,
    carrier_mappings: true,
    change_feed: true,
    inbound_messages: true,
    tenant_settings: true,
  },
  allowance: {
    callsPerSecond: 50_000,
    tenantCallsPerSecond: 100_000,
    streams: 20_000,
    tenantStreams: 40_000,
    streamOpensPerSecond: 10_000,
    tenantStreamOpensPerSecond: 20_000,
    snapshotRows: 5_000_000,
    filterTerms: 2_000,
  },
  weight: 4,
  reserve: true,
  historyDays: 730,
  inboundDays: 90,
};

const table: ReadonlyMap<Tier, TierTerms> = new Map([
  [Tier.QUICK_DEPLOY, quickDeploy],
  [Tier.ASSISTED, assisted],
  [Tier.ADAPTIVE, adaptive],
]);

/** A tier's column of the table. One that this release does not know counts as the lowest. */
export function tierTerms(tier: Tier): TierTerms {
  return table.get(tier) ?? quickDeploy;
}

/** The tiers for which something holds, the lowest first. */
export function tiersWith(holds: (terms: TierTerms) => boolean): Tier[] {
  return [...table].filter(([, terms]) => holds(terms)).map(([tier]) => tier);
}

/** The README's table of tiers. Their limits stand in the table of limits. */
export function tiersMarkdown(): string {
  const columns = [...table.values()];
  const row = (what: string, cell: (terms: TierTerms) => string) => `| ${[what, ...columns.map(cell)].join(" | ")} |`;
  const yes = (included: boolean) => (included ? "yes" : "");
  const lines = [
    row("", ({ name }) => name),
    "| --- | :-: | :-: | :-: |",
    row("status flows of its own (`status_flows`)", ({ ownFlows }) =>
      ownFlows === Infinity ? "without limit" : `${ownFlows}`,
    ),
    ...Object.entries(featureTexts).map(([feature, text]) =>
      // The texts have the features' names as keys.
      row(`${text} (\`${feature}\`)`, ({ features }) => yes(features[feature as Feature])),
    ),
    row("calls in a second of one key (`calls_per_second`)", ({ allowance }) =>
      allowance.callsPerSecond.toLocaleString("en"),
    ),
    row("open streams of the tenant on an instance, at most `LEADLINE_TENANT_WATCHERS_MAX` (`streams`)", (terms) =>
      terms.allowance.tenantStreams.toLocaleString("en"),
    ),
    row("weight when an instance is saturated (`weight`)", ({ weight }) => `${weight}`),
    row(`${reserveText} (\`reserve\`)`, ({ reserve }) => yes(reserve)),
    row("days that history stays online after a journey's end (`history_days`)", (terms) =>
      days(terms, terms.historyDays),
    ),
    row("days that raw inbound messages are kept (`inbound_days`)", (terms) =>
      terms.inboundDays === 0 ? "" : days(terms, terms.inboundDays),
    ),
  ];
  return `${lines.join("\n")}\n`;
}

function days({ features }: TierTerms, initial: number): string {
  return features.tenant_settings ? `as agreed, else ${initial}` : `${initial}`;
}
