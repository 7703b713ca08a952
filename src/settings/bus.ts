/** How this instance tells the others. */
import { natsUrl } from "./kinds/urls.ts";

export const busSettings = {
  natsUrl: natsUrl("NATS_URL", "none: one instance is complete without", {
    about: "The NATS servers, separated by commas. Tells the other instances of changes at once.",
  }),
} as const;
