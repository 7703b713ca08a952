const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const KIB = 1024;
const MIB = 1024 * KIB;

/** The bounds of watches on one instance. Times are in milliseconds, sizes in bytes. */
export interface WatchOptions {
  /** Open watches on this instance; more are refused with RATE_LIMITED. Default 50,000. */
  readonly watchersMax: number;
  /** Open watches of one tenant on this instance; more are refused with RATE_LIMITED. Default 40,000. */
  readonly tenantWatchersMax: number;

  /** Events of one tenant kept in memory for watches that are a little behind. Default 1,024. */
  readonly ringEvents: number;
  /**
   * The same in stored bytes. Default 4 MiB. The encodings that are kept beside an event (JSON, and both codecs for its
   * carrier) come on top: about six times as much at worst.
   */
  readonly ringBytes: number;
  /** A message is closed before it grows beyond this; only a single event or row may be larger. Default 256 KiB. */
  readonly messageBytes: number;
  /** The same for history that is sent as it is stored, and what one read of it takes. Default 512 KiB. */
  readonly stretchBytes: number;
  /** Events that such a read takes. Default 4,000. */
  readonly stretchEvents: number;
  /** The most that one message takes, as clients are told: gRPC's usual limit for a received message. Default 4 MiB. */
  readonly messageMaxBytes: number;
  /** Events that one read from the journal takes. Default 1,000; in bytes it takes `messageBytes`. */
  readonly pageEvents: number;
  /** Rows that one page of a snapshot takes. Default 250. */
  readonly snapshotRows: number;
  /** Reads at a time for watches that are behind, for snapshots and the change feed; and pages read ahead. Default 8. */
  readonly catchUpReads: number;
  /** Reads at a time that fill holes, which all live watches of a tenant wait for. Default 8. */
  readonly fillReads: number;

  /** How often heads are compared with the database: how late an event may be whose hint was lost. Default 3 s. */
  readonly headCheckMs: number;
  /** Tenants that one comparison asks for. Default 2,000. */
  readonly headCheckTenants: number;
  /** A read that has not answered by then has failed. Default 10 s. */
  readonly readTimeoutMs: number;
  /** A page that was read ahead is dropped when its watch has not come to it by then. Default 1 s. */
  readonly readAheadMs: number;
  /** The pause before a failed read is tried again. Default 500. */
  readonly retryMs: number;
  /** Watches end when their tenant's head could not be compared for longer. Default 30 s. */
  readonly unverifiedMs: number;
  /** After a pause of the whole process that is longer, every head is compared at once. Default 2 s. */
  readonly stallMs: number;

  /** A quiet watch gets a bookmark about this often: 0.75 to 1.25 times. Default 20 s. */
  readonly heartbeatMs: number;
  /** A watch ends at about this age: 0.5 to 1 times. Default 60 min. */
  readonly maxAgeMs: number;
  /** A watch ends when its reader has taken nothing for longer. Default 60 s. */
  readonly slowReaderMs: number;
  /** A watch whose stream wants no more ends when it has more bytes unsent. Default 8 MiB; above `messageMaxBytes`. */
  readonly slowReaderBytes: number;
  /** The streams of one tenant that want no more may have so many bytes unsent; the watch above it ends. Default 512 MiB. */
  readonly tenantBufferedBytes: number;
  /** The same of one credential. */
  readonly keyBufferedBytes: number;
  /** The same of one address. */
  readonly addressBufferedBytes: number;
  /** The same of all tenants. Default 1 GiB. */
  readonly instanceBufferedBytes: number;
  /** How long clients are told to wait after an end that the server chose, at most: spread evenly from 0. Default 1 s. */
  readonly retrySpreadMs: number;

  /** A tenant without watches is still followed for this long. Default 30 s. */
  readonly lingerMs: number;
  /** Timers of watches are exact to this. Default 250. */
  readonly tickMs: number;
  /** Writes and event checks that a tenant with a weight of 1 gets in a turn. Default 256. */
  readonly turnWork: number;
  /** How long watches of all tenants may work before the event loop has its turn. Default 4. */
  readonly turnMs: number;
}

export const watchDefaults: WatchOptions = {
  watchersMax: 50_000,
  tenantWatchersMax: 40_000,
  ringEvents: 1_024,
  ringBytes: 4 * MIB,
  messageBytes: 256 * KIB,
  stretchBytes: 512 * KIB,
  stretchEvents: 4_000,
  messageMaxBytes: 4 * MIB,
  pageEvents: 1_000,
  snapshotRows: 250,
  catchUpReads: 8,
  fillReads: 8,
  headCheckMs: 3 * SECOND,
  headCheckTenants: 2_000,
  readTimeoutMs: 10 * SECOND,
  readAheadMs: 1 * SECOND,
  retryMs: 500,
  unverifiedMs: 30 * SECOND,
  stallMs: 2 * SECOND,
  heartbeatMs: 20 * SECOND,
  maxAgeMs: 60 * MINUTE,
  slowReaderMs: 60 * SECOND,
  slowReaderBytes: 8 * MIB,
  tenantBufferedBytes: 512 * MIB,
  keyBufferedBytes: 256 * MIB,
  addressBufferedBytes: 1024 * MIB,
  instanceBufferedBytes: 1024 * MIB,
  retrySpreadMs: 1 * SECOND,
  lingerMs: 30 * SECOND,
  tickMs: 250,
  turnWork: 256,
  turnMs: 4,
};
