/** What those who run it look at. */
import { choice, secret } from "./kinds/words.ts";

export const operationSettings = {
  metricsToken: secret("LEADLINE_METRICS_TOKEN", "none", {
    about: "When set, `/metrics` is answered only to `authorization: Bearer` with it. Without: to anybody.",
  }),
  logLevel: choice("LEADLINE_LOG_LEVEL", "info", ["fatal", "error", "warn", "info", "debug", "trace", "silent"], {
    about: "What is logged, to standard error.",
  }),
} as const;
