import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { settingsMarkdown } from "../src/config.ts";
import { limitsMarkdown } from "../src/service/limit-table.ts";
import { permissionsMarkdown } from "../src/service/permissions.ts";
import { tiersMarkdown } from "../src/service/tiers.ts";

const path = join(import.meta.dirname, "../README.md");

/** The parts of the README that are made from code, by the name of their markers. */
const made: Record<string, () => string> = {
  roles: permissionsMarkdown,
  tiers: tiersMarkdown,
  limits: limitsMarkdown,
  settings: settingsMarkdown,
};

const part = (name: string) => new RegExp(`(?<=<!-- ${name} -->\\n)[^]*(?=<!-- /${name} -->)`);

describe("the README", () => {
  it.each(Object.keys(made))("says of %s what the code says (UPDATE_README=1 npm test writes it anew)", (name) => {
    const now = `\n${made[name]?.().trim()}\n\n`;
    const readme = readFileSync(path, "utf8");
    if (process.env.UPDATE_README === "1")
      writeFileSync(
        path,
        readme.replace(part(name), () => now),
      );
    expect(part(name).exec(readFileSync(path, "utf8"))?.[0]).toBe(now);
  });

  it.each(["README.md", "THREATS.md"])("names in %s only tests that there are", (name) => {
    const root = join(import.meta.dirname, "..");
    const named = readFileSync(join(root, name), "utf8").match(/test\/[\w/-]+\.test\.ts/g) ?? [];
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });

  it("names the two commands", () => {
    const readme = readFileSync(path, "utf8");
    expect(readme).toContain("npm ci && npm start");
    expect(readme).toContain("npm test");
  });
});
