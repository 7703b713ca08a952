/** What carriers and partners send. */
import { integer } from "./kinds/numbers.ts";

export const importSettings = {
  workItemsMax: integer("LEADLINE_WORK_ITEMS_MAX", 100_000, [100, 10_000_000], {
    about: "Imported items of one tenant that wait on the work list. More are refused with SUBJECT_FULL.",
  }),
} as const;
