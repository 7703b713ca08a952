import { Journal0001 } from "./0001-journal.ts";
import { FlowsAndTiers0002 } from "./0002-flows-and-tiers.ts";
import { HistoryCuts0003 } from "./0003-history-cuts.ts";
import { KeyTenant0004 } from "./0004-key-tenant.ts";

/** Every migration, oldest first. Forward only: a mistake is mended by the next one. */
export const migrations = [
  { name: "0001-journal", class: Journal0001 },
  { name: "0002-flows-and-tiers", class: FlowsAndTiers0002 },
  { name: "0003-history-cuts", class: HistoryCuts0003 },
  { name: "0004-key-tenant", class: KeyTenant0004 },
];

/** The schema that this release works on. An older one is refused, a newer one is not (expand, then contract). */
export const SCHEMA_VERSION: string = migrations.at(-1)?.name ?? "";
