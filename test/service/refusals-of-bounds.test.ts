import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { settingsMarkdown } from "../../src/config.ts";
import { Code, type Reason, Refusal } from "../../src/domain/refusal.ts";
import { OWN_MAPPINGS_MAX } from "../../src/service/flows/mappings.ts";
import { limitTable } from "../../src/service/limit-table.ts";

/*
 * Whoever is refused for a tier or a limit is told which, what is allowed and what is used, in words that a program reads. This
 * finds every place that makes such a refusal and looks at what it tells; test/interop/limits.test.ts and
 * test/interop/tenant-terms.test.ts meet them at the doors.
 */

const root = join(import.meta.dirname, "../../src");
const BOUNDS = ["RATE_LIMITED", "LIMIT_EXCEEDED", "OVERLOADED", "SUBJECT_FULL", "MESSAGE_TOO_LARGE", "TIER_EXCLUDES"];

/** A text from a place on, up to the bracket that closes the first one. */
function call(text: string, from: number): string {
  let depth = 0;
  for (let i = text.indexOf("(", from); i < text.length; i++) {
    depth += text[i] === "(" ? 1 : text[i] === ")" ? -1 : 0;
    if (depth === 0) return text.slice(from, i + 1);
  }
  throw new Error("a bracket is not closed");
}

/** The message of the refusal made at a place; where it stands before it, from there. */
function messageAt(text: string, index: number): string {
  const [, message = ""] =
    /^new Refusal\(\s*ErrorReason\.[A-Z_]+,\s*(`[^`]*`|"[^"]*"|message\b)/.exec(text.slice(index)) ?? [];
  if (message !== "message") return message;
  const [, before = ""] =
    /const message =\s*(`[^`]*`)/.exec(text.slice(text.lastIndexOf("const message =", index))) ?? [];
  return before;
}

/** What is written of each refusal of one of these reasons, by its place. */
async function refusals(): Promise<{ place: string; reason: string; text: string; message: string }[]> {
  const found: { place: string; reason: string; text: string; message: string }[] = [];
  for await (const file of glob("**/*.ts", { cwd: root })) {
    const text = readFileSync(join(root, file), "utf8");
    for (const match of text.matchAll(/new Refusal\(\s*ErrorReason\.([A-Z_]+)/g)) {
      const [, reason = ""] = match;
      if (BOUNDS.includes(reason))
        found.push({ place: file, reason, text: call(text, match.index), message: messageAt(text, match.index) });
    }
  }
  return found;
}

describe("every refusal of a bound", async () => {
  const all = await refusals();

  test("is found, each reason once at least", () => {
    expect([...new Set(all.map(({ reason }) => reason))].sort()).toEqual([...BOUNDS].sort());
    expect(all.length).toBeGreaterThan(14);
  });

  test.each(all)("$reason in $place tells what it is about", ({ place, reason, text }) => {
    if (place === "service/import/work-list.ts") {
      expect(text).toContain(`has its \${max} items`); // an item's result has a reason and a message, and no metadata
    } else if (reason === "TIER_EXCLUDES") {
      expect(text).toMatch(/metadata\(terms, /);
    } else {
      expect(text).toMatch(/limit(:|,| }|\b)/);
      expect(text).toMatch(/allowed: String\(/);
      if (reason !== "MESSAGE_TOO_LARGE") expect(text).toMatch(/used: (String\(|`more than)/);
    }
  });

  test.each(all)("$reason in $place says what would help", ({ place, reason, message }) => {
    expect(message.length, "the message is found").toBeGreaterThan(20);
    // An item that the full list refuses says first why it is no event yet, and that is what helps.
    if (place === "service/import/work-list.ts") return;
    // Whatever is too much carries a `helps` beside its message: see test/interop/limits.test.ts.
    const { tooMuch } = new Refusal(ErrorReason[reason as keyof typeof ErrorReason] as Reason, "");
    if (!tooMuch) expect(message).toMatch(/(; |: |, so )(?!and )([a-z]|\$\{(help|instead)\})/);
  });
});

describe("the table of limits", () => {
  /** What a limit is called where a refusal past it is made. */
  const named =
    /(?:limit: |(?:tooMany|tooManyOpen|overloaded|refuseAbove|reached|connectionRefused)\((?:door, )?)"([a-z_]+)"/g;
  /** Those of one order or booking, and of a tier: what is past them is not RESOURCE_EXHAUSTED. */
  const ofSubjectsAndTiers = ["history_days", "named_in_reports", "reports", "subject_bytes"];

  test("has every limit that a refusal names", async () => {
    const names = new Set<string>();
    for await (const file of glob("**/*.ts", { cwd: root }))
      for (const [, name = ""] of readFileSync(join(root, file), "utf8").matchAll(named)) names.add(name);
    expect(names.size).toBeGreaterThan(25);
    expect([...names].filter((name) => !(name in limitTable)).sort()).toEqual(ofSubjectsAndTiers);
  });

  test("says of what a tenant may keep how much that is", () => {
    expect(limitTable.own_mappings.what).toContain(OWN_MAPPINGS_MAX.toLocaleString("en"));
    expect(limitTable.work_items.past).toContain("SUBJECT_FULL");
  });

  test("names settings that there are", () => {
    const settings = settingsMarkdown();
    const named = Object.values(limitTable).flatMap((row) => ("setting" in row ? [row.setting] : []));
    expect(named.length).toBeGreaterThan(25);
    expect(named.filter((setting) => !settings.includes(`\`${setting}\``))).toEqual([]);
  });

  test("has its limits for each credential, tenant, address and instance", () => {
    for (const of of ["key", "tenant", "address", "instance"])
      for (const what of ["calls_per_second", "streams", "stream_opens_per_second", "buffered_bytes"])
        expect(limitTable, `${of}_${what}`).toHaveProperty(`${of}_${what}`);
    for (const what of ["snapshot_rows", "message_bytes", "header_bytes", "filter_terms", "page_items"])
      expect(limitTable).toHaveProperty(what);
  });
});

test("whatever is RESOURCE_EXHAUSTED says when to come back", () => {
  const reasons = Object.values(ErrorReason).filter((one): one is Reason => typeof one === "number" && one !== 0);
  const exhausted = reasons
    .map((reason) => new Refusal(reason, ""))
    .filter(({ code }) => code === Code.RESOURCE_EXHAUSTED);
  expect(exhausted.length).toBeGreaterThanOrEqual(4);
  for (const { retryAfterMs, reasonName } of exhausted) expect(retryAfterMs, reasonName).toBeGreaterThan(0);
});
