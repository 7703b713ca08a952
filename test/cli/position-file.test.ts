import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PositionFile } from "../../src/cli/position-file.ts";

function freshPath(): string {
  return join(mkdtempSync(join(tmpdir(), "leadline-")), "orders.position");
}

test("what was kept is read by the next run", () => {
  const path = freshPath();
  const file = new PositionFile(path);
  expect(file.read()).toBeUndefined();
  file.keep("7-abc");
  file.flush();
  expect(new PositionFile(path).read()).toBe("7-abc");
});

test("writes at most once a second, and the rest when it is flushed", () => {
  let now = 0;
  const path = freshPath();
  const file = new PositionFile(path, () => now);
  file.read();
  file.keep("1-a");
  now = 999;
  file.keep("2-b");
  expect(readFileSync(path, "utf8")).toBe("1-a\n");
  now = 1_000;
  file.keep("3-c");
  expect(readFileSync(path, "utf8")).toBe("3-c\n");
  file.keep("4-d");
  file.flush();
  expect(readFileSync(path, "utf8")).toBe("4-d\n");
});

test("after a reset nothing is kept, at once", () => {
  const path = freshPath();
  const file = new PositionFile(path);
  file.read();
  file.keep("1-a");
  file.flush();
  file.keep(undefined);
  expect(existsSync(path)).toBe(false);
});

test("a run that got nothing leaves the position as it was", () => {
  const path = freshPath();
  const first = new PositionFile(path);
  first.read();
  first.keep("1-a");
  first.flush();
  const second = new PositionFile(path);
  second.read();
  second.flush();
  expect(readFileSync(path, "utf8")).toBe("1-a\n");
});

test("a path that cannot be written is wrong use", () => {
  const file = new PositionFile("/nonexistent/folder/position");
  file.read();
  expect(() => file.keep("1-a")).toThrow(/cannot keep the position in \/nonexistent/);
});
