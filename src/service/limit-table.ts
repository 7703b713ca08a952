/**
 * The limits: what is bounded, for whom, by which setting, and what happens past it. This table is the only place that says
 * it; the README prints it. Each refusal past one is RESOURCE_EXHAUSTED and names the limit in its metadata, as `limit`; past
 * what a tenant may keep it is SUBJECT_FULL.
 */
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { type Allowance, tierTerms } from "./tiers.ts";

/** A link is in the hands of one customer who looks at one order. */
export const linkAllowance: Allowance = {
  callsPerSecond: 10,
  tenantCallsPerSecond: 1_000,
  streams: 5,
  tenantStreams: 5_000,
  streamOpensPerSecond: 5,
  tenantStreamOpensPerSecond: 500,
  snapshotRows: 1,
  filterTerms: 10,
};

export const serviceOwnerAllowance: Allowance = tierTerms(Tier.QUICK_DEPLOY).allowance;

/** Whose limit it is. */
export type LimitScope = "credential" | "tenant" | "address" | "instance" | "call" | "watch" | "connection";

interface LimitRow {
  readonly of: LimitScope;
  readonly what: string;
  /** Where the value comes from: the tier's allowance, or else the settings alone. */
  readonly tier?: keyof Allowance;
  readonly setting?: string;
  readonly past: string;
}

const later = "refused, with the time to wait";
const less = "refused: ask for less";

/** All limits by name. */
export const limitTable = {
  key_calls_per_second: {
    ...{ of: "credential", what: "calls in a second", tier: "callsPerSecond", past: later },
    setting: "LEADLINE_KEY_CALLS_PER_SECOND",
  },
  tenant_calls_per_second: {
    ...{ of: "tenant", what: "calls in a second", tier: "tenantCallsPerSecond", past: later },
    setting: "LEADLINE_TENANT_CALLS_PER_SECOND",
  },
  address_calls_per_second: {
    ...{ of: "address", what: "calls in a second", past: later },
    setting: "LEADLINE_ADDRESS_CALLS_PER_SECOND",
  },
  instance_calls_per_second: {
    ...{ of: "instance", what: "calls in a second", past: later },
    setting: "LEADLINE_INSTANCE_CALLS_PER_SECOND",
  },
  address_wrong_credentials_per_second: {
    ...{ of: "address", what: "wrong credentials in a second", past: later },
    setting: "LEADLINE_ADDRESS_WRONG_CREDENTIALS_PER_SECOND",
  },
  key_streams: {
    ...{ of: "credential", what: "open streams", tier: "streams", past: later },
    setting: "LEADLINE_KEY_STREAMS",
  },
  tenant_streams: {
    ...{ of: "tenant", what: "open streams, at most what the setting says", tier: "tenantStreams", past: later },
    setting: "LEADLINE_TENANT_WATCHERS_MAX",
  },
  address_streams: { of: "address", what: "open streams", past: later, setting: "LEADLINE_ADDRESS_STREAMS" },
  instance_streams: { of: "instance", what: "open streams", past: later, setting: "LEADLINE_WATCHERS_MAX" },
  key_stream_opens_per_second: {
    ...{ of: "credential", what: "streams opened in a second", tier: "streamOpensPerSecond", past: later },
    setting: "LEADLINE_KEY_STREAM_OPENS_PER_SECOND",
  },
  tenant_stream_opens_per_second: {
    ...{ of: "tenant", what: "streams opened in a second", tier: "tenantStreamOpensPerSecond", past: later },
    setting: "LEADLINE_TENANT_STREAM_OPENS_PER_SECOND",
  },
  address_stream_opens_per_second: {
    ...{ of: "address", what: "streams opened in a second", past: later },
    setting: "LEADLINE_ADDRESS_STREAM_OPENS_PER_SECOND",
  },
  instance_stream_opens_per_second: {
    ...{ of: "instance", what: "streams opened in a second", past: later },
    setting: "LEADLINE_INSTANCE_STREAM_OPENS_PER_SECOND",
  },
  snapshot_rows: {
    ...{ of: "watch", what: "rows of a snapshot", tier: "snapshotRows", past: "the watch is ended: filter it" },
    setting: "LEADLINE_SNAPSHOT_ROWS",
  },
  filter_terms: {
    ...{ of: "call", what: "values in a filter", tier: "filterTerms", past: less },
    setting: "LEADLINE_FILTER_TERMS",
  },
  page_items: { of: "call", what: "rows or events of a page: 1,000", past: "more is taken for this" },
  message_bytes: { of: "call", what: "bytes of a request", past: less, setting: "LEADLINE_MESSAGE_MAX_BYTES" },
  header_bytes: {
    ...{ of: "call", what: "bytes of a request's headers", setting: "LEADLINE_HEADER_MAX_BYTES" },
    past: `${less}; over HTTP/1.1 the connection is closed`,
  },
  address_request_bytes: {
    ...{ of: "address", what: "bytes of requests that a door holds", past: later },
    setting: "LEADLINE_ADDRESS_REQUEST_BYTES",
  },
  instance_request_bytes: {
    ...{ of: "instance", what: "bytes of requests that a door holds", past: later },
    setting: "LEADLINE_INSTANCE_REQUEST_BYTES",
  },
  address_anonymous_calls_per_second: {
    ...{ of: "address", what: "calls without a credential in a second", past: later },
    setting: "LEADLINE_ADDRESS_ANONYMOUS_CALLS_PER_SECOND",
  },
  connection_anonymous_streams: {
    ...{ of: "connection", what: "open streams of health and reflection", past: later },
    setting: "LEADLINE_CONNECTION_ANONYMOUS_STREAMS",
  },
  unpacked_requests: {
    ...{ of: "instance", what: "compressed requests that a door unpacks at a time; 256 KiB unpacked count as a call" },
    setting: "LEADLINE_UNPACKED_AT_A_TIME",
    past: "the others wait in line",
  },
  connection_streams: {
    ...{ of: "connection", what: "calls and streams at a time on an HTTP/2 connection" },
    setting: "LEADLINE_CONNECTION_STREAMS",
    past: "refused by the protocol (REFUSED_STREAM): clients wait by themselves",
  },
  connection_memory: {
    ...{ of: "connection", what: "memory of an HTTP/2 connection", setting: "LEADLINE_CONNECTION_MEMORY_MB" },
    past: "new streams are refused by the protocol (ENHANCE_YOUR_CALM), and after a hundred the connection is closed",
  },
  connection_resets_per_second: {
    ...{ of: "connection", what: "streams that its peer resets in a second, after a burst" },
    setting: "LEADLINE_CONNECTION_RESETS_PER_SECOND",
    past: "the connection is closed (GOAWAY)",
  },
  connection_refused_per_second: {
    ...{ of: "connection", what: "calls that are refused, or taken back at once, in a second, after a burst" },
    setting: "LEADLINE_CONNECTION_REFUSED_PER_SECOND",
    past: "the connection is closed (GOAWAY), unless one call in five is answered",
  },
  address_refused_per_second: {
    ...{ of: "address", what: "such calls in a second", setting: "LEADLINE_ADDRESS_REFUSED_PER_SECOND" },
    past: "its connections are closed sooner, and few new ones are let in, one by one",
  },
  connection_calls_in_a_turn: {
    ...{ of: "connection", what: "calls that begin before others have their turn", past: "the others wait in line" },
    setting: "LEADLINE_CONNECTION_CALLS_IN_A_TURN",
  },
  connection_unsent_bytes: {
    ...{ of: "connection", what: "bytes of answers unsent", setting: "LEADLINE_CONNECTION_UNSENT_BYTES" },
    past: "no more of its calls begin until some are taken",
  },
  address_connections: {
    ...{ of: "address", what: "connections on a door", setting: "LEADLINE_ADDRESS_CONNECTIONS" },
    past: "closed at once",
  },
  address_connects_per_second: {
    ...{ of: "address", what: "connections on a door in a second", past: "closed at once" },
    setting: "LEADLINE_ADDRESS_CONNECTS_PER_SECOND",
  },
  instance_connections: {
    ...{ of: "instance", what: "connections on a door", setting: "LEADLINE_INSTANCE_CONNECTIONS" },
    past: "closed at once",
  },
  tenant_queued_commands: {
    ...{ of: "tenant", what: "commands that wait to be committed", past: later },
    setting: "LEADLINE_QUEUE_TENANT_COMMANDS",
  },
  instance_queued_commands: {
    ...{ of: "instance", what: "commands that wait to be committed", past: later },
    setting: "LEADLINE_QUEUE_COMMANDS",
  },
  instance_queued_bytes: {
    ...{ of: "instance", what: "bytes of commands that wait to be committed", past: later },
    setting: "LEADLINE_QUEUE_BYTES",
  },
  instance_queued_reads: {
    ...{ of: "instance", what: "reads that wait for the database", past: later },
    setting: "LEADLINE_QUEUE_READS",
  },
  own_mappings: {
    ...{ of: "tenant", what: "mappings of partners' codes of its own: 2,000" },
    past: "refused (SUBJECT_FULL): remove some that are not needed",
  },
  work_items: {
    ...{ of: "tenant", what: "items on the work list", setting: "LEADLINE_WORK_ITEMS_MAX" },
    past: "an item more is refused (SUBJECT_FULL), the others of its import are not",
  },
  watch_buffered_bytes: {
    ...{ of: "watch", what: "bytes unsent", past: "the watch is ended with its position" },
    setting: "LEADLINE_SLOW_READER_BYTES",
  },
  key_buffered_bytes: {
    ...{ of: "credential", what: "bytes unsent to slow readers", past: "the watch that adds to them is ended" },
    setting: "LEADLINE_KEY_BUFFERED_BYTES",
  },
  tenant_buffered_bytes: {
    ...{ of: "tenant", what: "bytes unsent to slow readers", past: "the watch that adds to them is ended" },
    setting: "LEADLINE_TENANT_BUFFERED_BYTES",
  },
  address_buffered_bytes: {
    ...{ of: "address", what: "bytes unsent to slow readers", past: "the watch that adds to them is ended" },
    setting: "LEADLINE_ADDRESS_BUFFERED_BYTES",
  },
  instance_buffered_bytes: {
    ...{ of: "instance", what: "bytes unsent to slow readers", past: "the watch that adds to them is ended" },
    setting: "LEADLINE_INSTANCE_BUFFERED_BYTES",
  },
} as const satisfies Record<string, LimitRow>;

const allowances = [Tier.QUICK_DEPLOY, Tier.ASSISTED, Tier.ADAPTIVE].map((tier) => tierTerms(tier).allowance);

export type LimitName = keyof typeof limitTable;

/** The README's table of limits. */
export function limitsMarkdown(): string {
  const lines = [
    "| limit | of each | what | Quick Deploy | Assisted | Adaptive | link | setting | past it |",
    "| --- | --- | --- | --: | --: | --: | --: | --- | --- |",
  ];
  for (const [name, row] of Object.entries<LimitRow>(limitTable)) {
    const { of, what, tier, setting, past } = row;
    const values = [...allowances, linkAllowance].map((allowance) =>
      tier === undefined ? "" : allowance[tier].toLocaleString("en"),
    );
    const cells = [`\`${name}\``, of, what, ...values, setting === undefined ? "" : `\`${setting}\``, past];
    lines.push(`| ${cells.join(" | ")} |`);
  }
  return `${lines.join("\n")}\n`;
}
