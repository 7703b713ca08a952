import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sectionsOf, startPageReader } from "./page.ts";

/** The third terminal: the watch runs beside what follows it, and has shown the last of it at the end. */
function withThirdTerminal(commands: string): string {
  const watch = /^npx leadline watch .*$/m;
  expect(commands).toMatch(watch);
  const shown = (text: string) => `until grep -q '${text}' watch.txt; do sleep 0.1; done\n`;
  const begun = commands.replace(watch, `$& > watch.txt &\nWATCH=$!\n${shown("all that is there")}`);
  return begun + shown("actual DELIVERED");
}

test("the README's ten minutes do what they say", async () => {
  await using reader = await startPageReader();
  const [section] = sectionsOf("README.md").filter(({ heading }) => heading === "Ten minutes");
  const commands = withThirdTerminal(section?.commands ?? "")
    .replaceAll("http://127.0.0.1:8080", reader.service.http)
    .replaceAll("127.0.0.1:50051", reader.service.grpc);
  const out = await reader.follow([{ heading: "Ten minutes", commands }]);
  const said = out.get("Ten minutes") ?? "";
  expect(said).toContain('"order":{"id":"po-7"');
  expect(said).toContain('"space":"SPACE_VERDICT_REQUESTED"');
  expect(said).toContain('"space":"SPACE_VERDICT_PARTIAL"');
  expect(said).toMatch(/APPLIED .* bkg-7 po-7$/m);
  expect(said).toContain('"status": "OUT_FOR_DELIVERY"');
  expect(said).toMatch(/^po-7: applied; it is OUT_FOR_DELIVERY/m);
  expect(said).not.toMatch(/^fail /m);
  const watched = readFileSync(join(reader.folder, "watch.txt"), "utf8");
  expect(watched).toMatch(/ po-7 {2}v\d+ {2}IN_TRANSIT \(IN_TRANSIT\)/);
}, 120_000);
