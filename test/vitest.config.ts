import { defineConfig } from "vitest/config";
import { counts } from "./support/reporter.ts";

export default defineConfig({
  root: `${import.meta.dirname}/..`,
  cacheDir: ".vitest",
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", counts],
    pool: "forks",
    maxWorkers: 2,
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
