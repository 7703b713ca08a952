import { expect, test } from "vitest";
import { allFaults } from "./schedule.ts";

test("faults that leave different things behind are counted apart, and each has a name of its own", () => {
  const names = allFaults().map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(
    expect.arrayContaining([
      "Postgres stopped and restarted",
      "Postgres killed -9 and restarted",
      "instance killed during a group commit, COMMIT sent",
      "instance killed during a group commit, COMMIT not sent",
    ]),
  );
});
