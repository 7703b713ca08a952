import { expect, test } from "vitest";
import { judge } from "./flat.ts";
import type { Sample } from "./inspector.ts";

const MiB = 1024 * 1024;

function samples(one: (i: number) => Partial<Sample>): Sample[] {
  const level = { heap: 50 * MiB, external: 20 * MiB, rss: 135 * MiB, heapTotal: 56 * MiB, native: 59 * MiB };
  return Array.from({ length: 30 }, (_, i) => ({ ...level, handles: 90, files: 98, connections: 70, ...one(i) }));
}

const notFlat = (...lists: readonly Sample[][]) =>
  judge(new Map(lists.map((list, i) => [`instance ${i}`, list]))).flatMap(({ what, isFlat }) => (isFlat ? [] : [what]));

test("what rises while it warms up, and what moves about a level, is flat", () => {
  expect(notFlat(samples((i) => ({ heap: Math.min(i, 15) * 10 * MiB })))).toEqual([]);
  expect(notFlat(samples((i) => ({ heap: (100 + (i % 2) * 20) * MiB, handles: 60 + ((i * 7) % 5) * 15 })))).toEqual([]);
  expect(notFlat(samples((i) => (i === 29 ? { rss: 300 * MiB, connections: 500 } : {})))).toEqual([]);
});

test.each([
  ["heap", 0.2 * MiB],
  ["external", 0.2 * MiB],
  ["rss", MiB],
  ["handles", 1],
  ["files", 1],
  ["connections", 1],
] as const)("%s that goes on rising is not", (what, each) => {
  expect(notFlat(samples((i) => ({ [what]: 1_000 * each + i * each })))).toEqual([what]);
  // Also when it falls back now and then.
  const falling = (i: number) => 1_000 * each + i * each - (i % 4 === 3 ? 3 * each : 0);
  expect(notFlat(samples((i) => ({ [what]: falling(i) })))).toEqual([what]);
});

test("connections that move from one instance to another are flat, and memory that does is not", () => {
  const moving = (what: "connections" | "heap", each: number) => [
    samples((i) => ({ [what]: (100 + i) * each })),
    samples((i) => ({ [what]: (200 - i) * each })),
  ];
  expect(notFlat(...moving("connections", 1))).toEqual([]);
  expect(notFlat(...moving("heap", MiB))).toEqual(["heap"]);
  // A leak in one of them, or some of it in each.
  expect(
    notFlat(
      samples((i) => ({ connections: 70 + i })),
      samples(() => ({})),
    ),
  ).toEqual(["connections"]);
  const some = () => samples((i) => ({ handles: 90 + i / 2 }));
  expect(notFlat(some(), some())).toEqual(["handles"]);
});

test("a few samples are not judged", () => {
  expect(() => notFlat(samples(() => ({})).slice(0, 5))).toThrow("too few");
});
