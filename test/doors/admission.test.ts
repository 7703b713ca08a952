import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { Admission } from "../../src/doors/admission.ts";

const LARGE = 16_384;

/** Asks for so many places in one turn; tells who has been let in so far. */
function asking(admission: Admission, tenants: string, bytes = LARGE): string[] {
  const admitted: string[] = [];
  for (const tenant of tenants) {
    const waits = admission.enter(tenant, bytes);
    if (waits === undefined) admitted.push(tenant);
    else void waits.then(() => admitted.push(tenant));
  }
  return admitted;
}

test("small requests are never held up", () => {
  const admission = new Admission();
  asking(admission, "aaa");
  expect(asking(admission, "bbb", 2_048)).toEqual(["b", "b", "b"]);
});

test("large requests come in one in a turn of the event loop, by turns of their tenants", async () => {
  const admission = new Admission();
  const admitted = asking(admission, "aaaab");
  expect(admitted).toEqual(["a"]);
  for (const expected of ["aa", "aab", "aaba", "aabaa"]) {
    await turn();
    expect(admitted.join("")).toBe(expected);
  }
});

test("a request larger than a turn's bytes comes in alone", async () => {
  const admission = new Admission();
  const admitted = asking(admission, "ab", 100 * LARGE);
  expect(admitted).toEqual(["a"]);
  await turn();
  expect(admitted).toEqual(["a", "b"]);
});

test("several requests come in together while their bytes are few", async () => {
  const admission = new Admission();
  const admitted = asking(admission, "abcdefgh", LARGE / 4);
  expect(admitted.join("")).toBe("abcd");
  await turn();
  expect(admitted.join("")).toBe("abcdefgh");
});

test("tenants come in by their weights", async () => {
  const admission = new Admission({ weightOf: (t) => (t === "a" ? 4 : 1), hasReserve: () => false });
  const admitted = asking(admission, "x".concat("ab".repeat(20)));
  for (let i = 0; i < 20; i++) await turn();
  expect(admitted.filter((t) => t === "a")).toHaveLength(16);
});
