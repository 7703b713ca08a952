import { Journal0001 } from "./0001-journal.ts";

/** Every migration, oldest first. Forward only: a mistake is mended by the next one. */
export const migrations = [{ name: "0001-journal", class: Journal0001 }];

/** The schema that this release works on. An older one is refused, a newer one is not (expand, then contract). */
export const SCHEMA_VERSION: string = migrations.at(-1)?.name ?? "";
