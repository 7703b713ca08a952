/**
 * The settings' table: a file for each group, under the heading that the README gives it. A new setting is a row in the
 * file of its group, and nothing else: `Config` has its field from there, and the README its row.
 */
import { busSettings } from "./bus.ts";
import { credentialSettings } from "./credentials.ts";
import { databaseSettings } from "./database.ts";
import { doorSettings } from "./doors.ts";
import { importSettings } from "./import.ts";
import { journalSettings } from "./journal.ts";
import { limitSettings } from "./limits.ts";
import { operationSettings } from "./operation.ts";
import { watchSettings } from "./watches.ts";

/** A heading and the settings under it, in the order of the README. */
export const groups = {
  Database: databaseSettings,
  Bus: busSettings,
  Doors: doorSettings,
  Credentials: credentialSettings,
  Limits: limitSettings,
  Journal: journalSettings,
  Import: importSettings,
  Watches: watchSettings,
  Operation: operationSettings,
} as const;
