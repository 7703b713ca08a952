import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { chunkItems, chunksOf, type FileItem, itemsOf } from "../../src/cli/import-items.ts";

function fileWith(content: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "leadline-")), "items.json");
  writeFileSync(path, content);
  return path;
}

describe("the items of a file", () => {
  test.each([
    ["one object", '{"eventID":"a"}', ['{"eventID":"a"}']],
    ["an array", '[{"eventID":"a"},{"eventID":"b"}]', ['{"eventID":"a"}', '{"eventID":"b"}']],
    ["an object with events", '{"events":[{"eventID":"a"}]}', ['{"eventID":"a"}']],
    ["a booking whose events are no array", '{"events":1}', ['{"events":1}']],
    ["a file with a byte order mark", '\uFEFF{"eventID":"a"}', ['{"eventID":"a"}']],
    [
      "numbers that a program would write otherwise",
      '[{"eventID":9007199254740993,"b":[-1.10, 1E5],"c":"\\"7, 8\\\\","9":9},{"eventID":1234567890123456789012}]',
      ['{"9":9,"eventID":9007199254740993,"b":[-1.10,1E5],"c":"\\"7, 8\\\\"}', '{"eventID":1234567890123456789012}'],
    ],
    ["nothing", "[]", []],
  ])("%s", (_, content, texts) => {
    const items = itemsOf(fileWith(content));
    expect(items.map(({ text }) => text)).toEqual(texts);
    expect(items.map(({ number }) => number)).toEqual(texts.map((_text, index) => index + 1));
    expect(items.filter(({ refused }) => refused)).toEqual([]);
  });

  test("one that is too large is refused, and the others are not", () => {
    const items = itemsOf(fileWith(JSON.stringify([{ remark: "x".repeat(262_144) }, { eventID: "b" }])));
    expect(items.map(({ refused }) => refused?.reason)).toEqual(["MESSAGE_TOO_LARGE", undefined]);
  });
});

test("what is nested too deep is refused by itself", () => {
  const items = itemsOf(fileWith(`[{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}},{"eventID":"b"}]`));
  expect(items.map(({ refused }) => refused?.message)).toEqual(["is nested too deep", undefined]);
});

describe("chunks", () => {
  const item = (text: string): FileItem => ({ file: "f", number: 1, text });

  test("keep the order, are bounded in items, and leave nothing out", () => {
    const items = Array.from({ length: 2 * chunkItems + 1 }, (_, n) => item(String(n)));
    const chunks = [...chunksOf(items)];
    expect(chunks.map((chunk) => chunk.length)).toEqual([chunkItems, chunkItems, 1]);
    expect(chunks.flat()).toEqual(items);
  });

  test("are bounded in bytes", () => {
    const large = item("x".repeat(600_000));
    expect([...chunksOf([large, large, item("y")])].map((chunk) => chunk.length)).toEqual([1, 2]);
  });
});
