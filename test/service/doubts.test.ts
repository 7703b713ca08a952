import { expect, test } from "vitest";
import { Doubts } from "../../src/service/doubts.ts";

test("an id is doubted since a read that was sent before it was doubted, and others are not", () => {
  const doubts = new Doubts();
  const before = doubts.age;
  doubts.cast("a");
  expect([doubts.since("a", before), doubts.since("b", before)]).toEqual([true, false]);
  expect(doubts.since("a", doubts.age)).toBe(false);
});

test("of more ids than it keeps, any may have been doubted before, and none since", () => {
  const doubts = new Doubts();
  const before = doubts.age;
  for (let i = 0; i < 20_000; i++) doubts.cast(`key_${i}`);
  expect([doubts.since("key_0", before), doubts.since("key_19999", before), doubts.since("b", before)]).toEqual([
    ...[true, true, true],
  ]);
  const after = doubts.age;
  doubts.cast("a");
  expect([doubts.since("key_0", after), doubts.since("b", after), doubts.since("a", after)]).toEqual([
    ...[false, false, true],
  ]);
});
