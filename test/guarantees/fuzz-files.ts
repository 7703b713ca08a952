import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chunksOf, itemsOf } from "../../src/cli/import-items.ts";
import { imported } from "./fuzz-messages.ts";
import { mutate } from "./mutations.ts";
import type { Draw } from "./random-requests.ts";

/**
 * Mutated files, as `leadline import` reads them. The faults, a line each: whatever is in a file, each item of it is JSON of an
 * object that can be sent, or is refused with a reason, and none is lost between the file and the calls.
 */
export function fuzzFiles(draw: Draw, cases: number): string[] {
  const directory = mkdtempSync(join(tmpdir(), "leadline-files-"));
  const file = join(directory, "items.json");
  const faults: string[] = [];
  const events = Object.values(imported).flat();
  const files = [...events, events, { events }].map((content) => Buffer.from(JSON.stringify(content)));
  const pick = () => files[Math.floor(draw() * files.length)] ?? Buffer.alloc(0);
  try {
    for (let left = cases; left > 0; left -= 1) {
      const { how, bytes } = mutate(pick(), draw, pick());
      writeFileSync(file, bytes);
      const fault = faultOf(file);
      if (fault !== undefined) faults.push(`file, ${how}: ${fault} for ${bytes.toString("base64").slice(0, 2_000)}`);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  return faults;
}

function faultOf(file: string): string | undefined {
  try {
    const items = itemsOf(file);
    for (const { refused, text } of items) {
      if (refused ? refused.reason === "" : typeof JSON.parse(text) !== "object") return `item is ${text}`;
    }
    return [...chunksOf(items)].flat().length === items.length ? undefined : "an item was lost between the chunks";
  } catch (error) {
    return String(error);
  }
}
