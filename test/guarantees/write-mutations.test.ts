import { describe, expect, test } from "vitest";
import { history } from "./faultless.ts";
import { journalFaultsOf, type WriteStep, writeFaults } from "./writes.ts";

/* Each fault that answers to writers could have is put into faultless ones, and seen. */

describe("writers", () => {
  const keyOf = (event: { subjectId: string; version: bigint }) => `${event.subjectId}@${event.version}`;
  const answers = () =>
    history.now.facts.flatMap(({ event, revision, eventId, atMs }): WriteStep[] => [
      { what: "asked", key: keyOf(event), atMs },
      { what: "answered", key: keyOf(event), at: { revision, eventId }, atMs },
    ]);

  test("that are faultless have no fault", () => {
    expect(writeFaults(answers(), history, keyOf)).toEqual([]);
    expect(journalFaultsOf(history)).toEqual([]);
  });

  test.each<[what: string, spoil: (steps: WriteStep[]) => void, fault: RegExp]>([
    [
      "an answered write is not there",
      (s) => put(s, 9, { at: { revision: 5, eventId: "x" } }),
      /which is not in the journal$/,
    ],
    [
      "it was answered after it was lost",
      (s) => put(s, 9, { at: lostPlace(), atMs: Number.MAX_SAFE_INTEGER }),
      /of a lost history$/,
    ],
    [
      "a refused write has an effect",
      (s) =>
        s.push({ what: "failed", key: keyOf(history.now.facts[7]?.event ?? expect.fail()), certain: true, atMs: 0 }),
      /was refused and stands at 8$/,
    ],
    [
      "a later write stands before an earlier one",
      (s) => s.push(s[4] as WriteStep, s[5] as WriteStep),
      /stands before 100, answered before$/,
    ],
  ])("%s", (_what, spoil, fault) => {
    const steps = answers();
    spoil(steps);
    expect(writeFaults(steps, history, keyOf)).toContainEqual(expect.stringMatching(fault));
  });

  test("a write with two effects is seen", () => {
    const faults = writeFaults([], history, ({ subjectId }) => subjectId);
    expect(faults).toContainEqual(expect.stringMatching(/has a second effect/));
  });

  function lostPlace() {
    const { revision, eventId } = history.lines[0]?.head ?? expect.fail("nothing was lost");
    return { revision, eventId };
  }

  function put(steps: WriteStep[], at: number, fields: Partial<Extract<WriteStep, { what: "answered" }>>): void {
    steps[at] = { ...(steps[at] as Extract<WriteStep, { what: "answered" }>), ...fields };
  }
});
