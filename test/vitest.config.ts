import { defineConfig } from "vitest/config";
import { LongestFirst } from "./support/longest-first.ts";
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
    // Files share their workers: to import the same modules for each took a quarter of the run.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
