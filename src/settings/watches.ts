/** Open watches: how many, what is kept in memory for them, and when they end. */
import { bytes, day, GiB, hour, integer, KiB, MiB, milliseconds, minute } from "./kinds/numbers.ts";

export const watchSettings = {
  watchersMax: integer("LEADLINE_WATCHERS_MAX", 50_000, [1, 1_000_000], {
    about: "Open watches on this instance. More are refused with RATE_LIMITED.",
  }),
  tenantWatchersMax: integer("LEADLINE_TENANT_WATCHERS_MAX", 40_000, [1, 1_000_000], {
    about: "The same of one tenant, whatever its tier or an agreement says.",
  }),
  ringEvents: integer("LEADLINE_RING_EVENTS", 1_024, [16, 1_000_000], {
    about: "Events of one tenant kept in memory for watches that are a little behind.",
  }),
  ringBytes: bytes("LEADLINE_RING_BYTES", 4 * MiB, [64 * KiB, GiB], {
    about: "The same in bytes.",
  }),
  heartbeatMs: milliseconds("LEADLINE_HEARTBEAT_MS", 20_000, [1_000, 5 * minute], {
    about: "A quiet watch gets a bookmark about this often.",
  }),
  watchMaxAgeMs: milliseconds("LEADLINE_WATCH_MAX_AGE_MS", hour, [1_000, 7 * day], {
    about: "A watch is ended at about this age, with a bookmark, so that load spreads over new instances.",
  }),
  watchMessageBytes: bytes("LEADLINE_WATCH_MESSAGE_BYTES", 256 * KiB, [16 * KiB, 4 * MiB], {
    about: "About the most that one message of a watch takes.",
  }),
  catchUpReads: integer("LEADLINE_CATCH_UP_READS", 8, [1, 100], {
    about: "Reads at a time for watches that are behind, for snapshots, and for the change feed.",
  }),
  slowReaderBytes: bytes("LEADLINE_SLOW_READER_BYTES", 8 * MiB, [64 * KiB, 256 * MiB], {
    about: "A watch with more bytes unsent is ended.",
  }),
  slowReaderMs: milliseconds("LEADLINE_SLOW_READER_MS", 60_000, [1_000, hour], {
    about: "A watch whose reader takes nothing for longer is ended.",
  }),
  unverifiedMs: milliseconds("LEADLINE_UNVERIFIED_MS", 30_000, [1_000, 10 * minute], {
    about: "Watches are ended when their tenant's head could not be compared with the database for longer.",
  }),
  headCheckMs: milliseconds("LEADLINE_HEAD_CHECK_MS", 3_000, [100, minute], {
    about: "How often heads are compared with the database: how late a change may arrive whose hint was lost.",
  }),
} as const;
