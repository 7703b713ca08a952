import { beforeEach, expect, test } from "vitest";
import { givePageMemory, takePageMemory } from "../../src/wire/page-memory.ts";

const BYTES = 8_192;

// Another size drops what others have left.
beforeEach(() => void takePageMemory(1));

test("what came back is taken again, and the page that was sent finds nothing in it", () => {
  const page = takePageMemory(BYTES).fill(7);
  const sent = page.subarray(0, 100);
  givePageMemory(sent);
  expect([page.length, sent.length]).toEqual([0, 0]);
  const next = takePageMemory(BYTES);
  expect(next.every((byte) => byte === 7)).toBe(true);
  expect(takePageMemory(BYTES).buffer).not.toBe(next.buffer);
});

test("a page comes back once", () => {
  const page = takePageMemory(BYTES);
  givePageMemory(page);
  givePageMemory(page);
  expect(takePageMemory(BYTES).length).toBe(BYTES);
  expect(takePageMemory(BYTES).length).toBe(BYTES);
});

test("memory of another size is neither given out nor kept", () => {
  givePageMemory(takePageMemory(BYTES).fill(7));
  givePageMemory(takePageMemory(2 * BYTES).fill(8));
  expect(takePageMemory(BYTES).length).toBe(BYTES);
  const page = takePageMemory(BYTES).fill(7);
  const other = Buffer.alloc(2 * BYTES, 8);
  givePageMemory(page);
  givePageMemory(other);
  expect(other.length).toBe(0);
  expect(takePageMemory(BYTES).every((byte) => byte === 7)).toBe(true);
});

test("so many are kept and no more", () => {
  const pages = Array.from({ length: 20 }, () => takePageMemory(BYTES).fill(7));
  for (const page of pages) givePageMemory(page);
  expect(pages.every(({ length }) => length === 0)).toBe(true);
  const again = Array.from({ length: 20 }, () => takePageMemory(BYTES));
  expect(again.filter((page) => page.every((byte) => byte === 7))).toHaveLength(16);
});
