/** What each caller may use of an instance. `service/limit-table.ts` says what happens past each limit. */
import { bytes, GiB, integer, KiB, MiB, milliseconds, minute } from "./kinds/numbers.ts";
import type { Setting, Words } from "./kinds/setting.ts";

/** A limit that the tenant's tier says unless it is set. */
function tierLimit(variable: string, what: string): Setting<number> {
  const about = `${what} on one instance. 0: what the tenant's tier says.`;
  return integer(variable, 0, [0, 10_000_000], { about });
}

/** A limit that is the same for all. */
function limit(variable: string, initial: number, words: Words): Setting<number> {
  return integer(variable, initial, [1, 10_000_000], words);
}

/** How long a peer may take for something. */
function doorTime(variable: string, initial: number, words: Words): Setting<number> {
  return milliseconds(variable, initial, [100, 10 * minute], words);
}

export const limitSettings = {
  keyCallsPerSecond: tierLimit("LEADLINE_KEY_CALLS_PER_SECOND", "Calls in a second of one key"),
  keyStreams: tierLimit("LEADLINE_KEY_STREAMS", "Open streams of one key"),
  keyStreamOpensPerSecond: tierLimit("LEADLINE_KEY_STREAM_OPENS_PER_SECOND", "Streams that one key opens in a second"),
  tenantCallsPerSecond: tierLimit("LEADLINE_TENANT_CALLS_PER_SECOND", "Calls in a second of one tenant"),
  tenantStreamOpensPerSecond: tierLimit(
    "LEADLINE_TENANT_STREAM_OPENS_PER_SECOND",
    "Streams that one tenant opens in a second",
  ),
  addressCallsPerSecond: limit("LEADLINE_ADDRESS_CALLS_PER_SECOND", 100_000, {
    about: "Calls in a second from one address (IPv6: one /64 network). Lower it where no balancer stands before.",
  }),
  addressStreams: limit("LEADLINE_ADDRESS_STREAMS", 50_000, { about: "Open streams of one address." }),
  addressStreamOpensPerSecond: limit("LEADLINE_ADDRESS_STREAM_OPENS_PER_SECOND", 20_000, {
    about: "Streams opened in a second from one address.",
  }),
  instanceCallsPerSecond: limit("LEADLINE_INSTANCE_CALLS_PER_SECOND", 100_000, { about: "Calls in a second." }),
  instanceStreamOpensPerSecond: limit("LEADLINE_INSTANCE_STREAM_OPENS_PER_SECOND", 20_000, {
    about: "Streams opened in a second.",
  }),
  resumeReservePercent: integer("LEADLINE_RESUME_RESERVE_PERCENT", 20, [0, 90], {
    unit: "%",
    about: "The part of each bound on streams that is kept for watches that resume.",
  }),
  snapshotRows: tierLimit("LEADLINE_SNAPSHOT_ROWS", "Rows of the snapshot of one watch"),
  filterTerms: tierLimit("LEADLINE_FILTER_TERMS", "Values in one filter"),
  headerMaxBytes: bytes("LEADLINE_HEADER_MAX_BYTES", 16 * KiB, [4 * KiB, 60 * KiB], {
    about: "The largest block of headers that is taken with a request.",
  }),
  addressAnonymousCallsPerSecond: limit("LEADLINE_ADDRESS_ANONYMOUS_CALLS_PER_SECOND", 100, {
    about: "Calls without a credential in a second from one address: health, reflection, the pages for operators.",
  }),
  connectionAnonymousStreams: limit("LEADLINE_CONNECTION_ANONYMOUS_STREAMS", 10, {
    about:
      "Streams of health and reflection open on one connection. A client needs one for each service that it watches.",
  }),
  addressWrongCredentialsPerSecond: limit("LEADLINE_ADDRESS_WRONG_CREDENTIALS_PER_SECOND", 20, {
    about:
      "Wrong credentials in a second from one address. Then those that are not in memory are refused unseen, " +
      "good ones too.",
  }),
  addressRequestBytes: bytes("LEADLINE_ADDRESS_REQUEST_BYTES", 256 * MiB, [MiB, 64 * GiB], {
    about: "Bytes of requests of one address that a door holds at a time. Lower it where no balancer stands before.",
  }),
  instanceRequestBytes: bytes("LEADLINE_INSTANCE_REQUEST_BYTES", 512 * MiB, [MiB, 64 * GiB], {
    about: "The same of all addresses.",
  }),
  instanceConnections: limit("LEADLINE_INSTANCE_CONNECTIONS", 20_000, {
    about: "Connections on one door. More are closed at once.",
  }),
  addressConnections: limit("LEADLINE_ADDRESS_CONNECTIONS", 10_000, {
    about: "Connections on one door from one address. Lower it where no balancer stands before.",
  }),
  addressConnectsPerSecond: limit("LEADLINE_ADDRESS_CONNECTS_PER_SECOND", 1_000, {
    about: "Connections on one door from one address in a second. Lower it where no balancer stands before.",
  }),
  connectionStreams: integer("LEADLINE_CONNECTION_STREAMS", 1_000, [1, 100_000], {
    about: "Calls and streams at a time on one HTTP/2 connection.",
  }),
  connectionMemoryMb: integer("LEADLINE_CONNECTION_MEMORY_MB", 256, [1, 4_096], {
    unit: "MB",
    about: "What one HTTP/2 connection may hold. Above it new streams are refused.",
  }),
  connectionResetBurst: integer("LEADLINE_CONNECTION_RESET_BURST", 1_000, [1, 1_000_000], {
    about: "Streams that a caller may reset on one HTTP/2 connection at once.",
  }),
  connectionResetsPerSecond: integer("LEADLINE_CONNECTION_RESETS_PER_SECOND", 33, [1, 1_000_000], {
    about: "Streams that it may reset in a second after that. Above it the connection is closed.",
  }),
  connectionRefusedBurst: integer("LEADLINE_CONNECTION_REFUSED_BURST", 1_000, [100, 1_000_000], {
    about: "Calls of one connection that may be refused at once, or taken back as soon as they are made.",
  }),
  connectionRefusedPerSecond: integer("LEADLINE_CONNECTION_REFUSED_PER_SECOND", 33, [1, 1_000_000], {
    about: "Such calls in a second after that. Above it the connection is closed, unless one call in five is answered.",
  }),
  addressRefusedPerSecond: limit("LEADLINE_ADDRESS_REFUSED_PER_SECOND", 500, {
    about:
      "Such calls of one address in a second. Above it, for ten seconds, its connections have a hundredth of the burst, " +
      "and new ones are let in one by one, five in a second; the rest are closed.",
  }),
  connectionCallsInATurn: integer("LEADLINE_CONNECTION_CALLS_IN_A_TURN", 64, [1, 100_000], {
    about: "Calls of one connection that begin before other connections have their turn.",
  }),
  connectionUnsentBytes: bytes("LEADLINE_CONNECTION_UNSENT_BYTES", 4 * MiB, [64 * KiB, GiB], {
    about: "Bytes of answers that a connection may leave untaken. Above it no more of its calls begin.",
  }),
  unpackedAtATime: integer("LEADLINE_UNPACKED_AT_A_TIME", 1, [1, 64], {
    about: "Compressed requests that one door unpacks at a time. The others wait.",
  }),
  firstByteTimeoutMs: doorTime("LEADLINE_FIRST_BYTE_TIMEOUT_MS", 10_000, {
    about: "A connection that has not said in this time what it speaks is closed.",
  }),
  headersTimeoutMs: doorTime("LEADLINE_HEADERS_TIMEOUT_MS", 10_000, {
    about: "The headers of a request over HTTP/1.1 must have arrived in this time.",
  }),
  requestTimeoutMs: doorTime("LEADLINE_REQUEST_TIMEOUT_MS", 20_000, {
    about: "A request must have arrived whole in this time.",
  }),
  answerTimeoutMs: doorTime("LEADLINE_ANSWER_TIMEOUT_MS", minute, {
    about: "The answer to a call must have been taken in this time.",
  }),
  pingIntervalMs: doorTime("LEADLINE_PING_INTERVAL_MS", 25_000, { about: "HTTP/2 connections are pinged this often." }),
  pingTimeoutMs: doorTime("LEADLINE_PING_TIMEOUT_MS", 20_000, {
    about: "A connection that has not answered a ping in this time is closed.",
  }),
  keyBufferedBytes: bytes("LEADLINE_KEY_BUFFERED_BYTES", 256 * MiB, [MiB, 64 * GiB], {
    about: "Bytes that may wait for watches of one key that do not take them. The watch above it is ended.",
  }),
  tenantBufferedBytes: bytes("LEADLINE_TENANT_BUFFERED_BYTES", 512 * MiB, [MiB, 64 * GiB], {
    about: "The same of one tenant.",
  }),
  addressBufferedBytes: bytes("LEADLINE_ADDRESS_BUFFERED_BYTES", GiB, [MiB, 64 * GiB], {
    about: "The same of one address. Lower it where no balancer stands before.",
  }),
  instanceBufferedBytes: bytes("LEADLINE_INSTANCE_BUFFERED_BYTES", GiB, [MiB, 64 * GiB], {
    about: "The same of all tenants.",
  }),
} as const;
