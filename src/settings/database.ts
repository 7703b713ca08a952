/** The database: where it is, its connections and what each may wait for. */
import { integer, milliseconds, minute } from "./kinds/numbers.ts";
import { databaseUrl } from "./kinds/urls.ts";
import { directory } from "./kinds/words.ts";

export const databaseSettings = {
  databaseUrl: databaseUrl("DATABASE_URL", "the embedded Postgres in LEADLINE_DATA_DIR", {
    about: "Your Postgres, 15 or later, as the role that serves: it owns nothing and is no superuser.",
  }),
  databaseAdminUrl: databaseUrl("DATABASE_ADMIN_URL", "none", {
    about: "The same database as the role that owns the tables. Used by `leadline migrate` and `leadline doctor` only.",
  }),
  dataDir: directory("LEADLINE_DATA_DIR", ".data", {
    about: "Where the embedded Postgres and the first keys are kept. One process at a time.",
  }),
  readConnections: integer("LEADLINE_READ_CONNECTIONS", 3, [1, 100], {
    about: "Connections that read the journal. One more writes it, and another waits for what other instances hold.",
  }),
  poolConnections: integer("LEADLINE_POOL_CONNECTIONS", 4, [2, 100], {
    about: "Connections of the pool for tenants, keys and all that is configured.",
  }),
  statementTimeoutMs: milliseconds("LEADLINE_STATEMENT_TIMEOUT_MS", 10_000, [100, 10 * minute], {
    about: "The longest that one statement may take.",
  }),
  lockTimeoutMs: milliseconds("LEADLINE_LOCK_TIMEOUT_MS", 2_000, [10, minute], {
    about: "The longest wait for a lock: how long another instance that hangs can delay this one.",
  }),
  idleInTransactionTimeoutMs: milliseconds("LEADLINE_IDLE_IN_TRANSACTION_TIMEOUT_MS", 1_000, [100, minute], {
    about: "A transaction left idle for longer is ended by Postgres, and its locks with it.",
  }),
} as const;
