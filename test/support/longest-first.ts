import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What takes more than half a minute on two cores. Nothing but the time of a run depends on it. */
const LONGEST = [
  "faults/faults",
  "bench/smoke",
  "cli/serve",
  "interop/foreign-bytes",
  "cli/secrets",
  "interop/every-rpc",
  "guarantees/tiers",
  "interop/limits",
  "store/embedded",
  "sim/sim",
  "cli/going-live",
  "app",
  "browser/watch-in-browser",
  "interop/buffered",
].map((name) => `test/${name}.test.ts`);

/** Begins with the files that take longest: one of them, begun last, would keep one worker busy and leave the others idle. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}`));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
