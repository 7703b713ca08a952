import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What takes more than half a minute on two cores. Nothing but the time of a run depends on it. */
const LONGEST = [
  "faults/faults",
  "cli/serve",
  "cli/secrets",
  "bench/smoke",
  "interop/foreign-bytes",
  "interop/limits",
  "sim/sim",
  "guarantees/tiers",
  "store/embedded",
  "doors/every-client",
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
