/** How commands are committed, and how long what they leave is kept. */
import { bytes, day, days, GiB, hour, integer, KiB, MiB, milliseconds, minute } from "./kinds/numbers.ts";

export const journalSettings = {
  batchCommands: integer("LEADLINE_BATCH_COMMANDS", 1_000, [1, 10_000], {
    about: "Commands committed together, at most.",
  }),
  batchBytes: bytes("LEADLINE_BATCH_BYTES", 4 * MiB, [64 * KiB, 64 * MiB], {
    about: "Bytes of requests committed together, at most.",
  }),
  queueCommands: integer("LEADLINE_QUEUE_COMMANDS", 20_000, [100, 1_000_000], {
    about: "Commands that wait to be committed. More are refused with OVERLOADED.",
  }),
  queueTenantCommands: integer("LEADLINE_QUEUE_TENANT_COMMANDS", 10_000, [100, 1_000_000], {
    about: "The same of one tenant.",
  }),
  queueBytes: bytes("LEADLINE_QUEUE_BYTES", 64 * MiB, [MiB, 64 * GiB], {
    about: "Bytes of requests that wait to be committed. A single larger one waits alone.",
  }),
  queueReads: integer("LEADLINE_QUEUE_READS", 20_000, [10, 1_000_000], {
    about: "Reads that wait for the database. More are refused with OVERLOADED.",
  }),
  commitGiveUpMs: milliseconds("LEADLINE_COMMIT_GIVE_UP_MS", 10_000, [100, 10 * minute], {
    about: "How long a command is tried for when the database fails. Then it is refused with DATABASE_UNAVAILABLE.",
  }),
  requestMemoryDays: days("LEADLINE_REQUEST_MEMORY_DAYS", 7, [7, 90], {
    about: "How long request ids are remembered. The contract promises seven.",
  }),
  resumeDays: days("LEADLINE_RESUME_DAYS", 30, [1, 3_650], {
    about: "How far back watches and the change feed can always continue: younger events are not cut.",
  }),
  historySweepMs: milliseconds("LEADLINE_HISTORY_SWEEP_MS", hour, [100, day], {
    about: "How often it is looked for journeys that ended longer ago than their history is kept.",
  }),
  historyPortion: integer("LEADLINE_HISTORY_PORTION", 200, [1, 10_000], {
    about:
      "Journeys whose history one transaction cuts, at most; ten times as many events are removed by one statement.",
  }),
  historyHeldMs: milliseconds("LEADLINE_HISTORY_HELD_MS", 500, [10, 10_000], {
    about: "The longest that cutting may hold a tenant's head: how long it can delay a write.",
  }),
} as const;
