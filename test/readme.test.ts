import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { settingsMarkdown } from "../src/config.ts";
import { permissionsMarkdown } from "../src/service/permissions.ts";

const path = join(import.meta.dirname, "../README.md");

/** The parts of the README that are made from code, by the name of their markers. */
const made: Record<string, () => string> = { roles: permissionsMarkdown, settings: settingsMarkdown };

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

  it("names the two commands", () => {
    const readme = readFileSync(path, "utf8");
    expect(readme).toContain("npm ci && npm start");
    expect(readme).toContain("npm test");
  });
});
