import type { Reporter } from "vitest/node";

/**
 * Ends a run with a plain line `N passed, N failed`, for readers that do not know Vitest's summary. A file that could not be
 * loaded, a failed hook and an error outside of any test count as one failure each; skipped tests are named on the line before.
 */
export const counts: Reporter = {
  onTestRunEnd(modules, unhandledErrors) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      count.failed += module.errors().length;
      for (const suite of module.children.allSuites()) count.failed += suite.errors().length;
      for (const test of module.children.allTests()) count[test.result().state] += 1;
    }
    const skipped = count.skipped + count.pending;
    const notRun = skipped > 0 ? `${skipped} skipped\n` : "";
    // When the process ends, so that nothing follows it.
    process.once("exit", () => process.stdout.write(`${notRun}${count.passed} passed, ${count.failed} failed\n`));
  },
};
