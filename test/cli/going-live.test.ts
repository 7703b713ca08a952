import { expect, test } from "vitest";
import { sectionsOf, startPageReader } from "./page.ts";

test("every command of the page about going live does what the page says", async () => {
  const sections = sectionsOf("src/cli/going-live.md");
  expect(sections.map(({ heading }) => heading.slice(0, 2))).toEqual(["Go", "1.", "2.", "3.", "4.", "5.", "6."]);
  await using reader = await startPageReader();
  const out = await reader.follow(sections, {
    SERVICE_OWNER_KEY: reader.service.serviceOwner,
    LEADLINE_URL: reader.service.http,
  });
  const of = (step: string) => out.get(step) ?? expect.fail(`"${step}" was not run`);
  expect(of("Going live")).toMatch(/^acme\nacme: ADAPTIVE, ACTIVE since /);
  expect(of("Going live")).toMatch(/^change_feed +yes /m);
  expect(of("1. Define statuses")).toMatch(/^acme-road +1 +default/m);
  expect(of("3. Endpoints")).toBe("");
  expect(of("4. Authentication")).toMatch(/ revoked \d{4}-.*one that leaked$/m);
  expect(of("4. Authentication")).toMatch(/ until \d{4}-.*order system$/m);
  expect(of("5. Test the flow")).toMatch(/^DELIVERED .*the journey ends/m);
  expect(of("5. Test the flow")).toMatch(/^trial-1: applied; it is IN_TRANSIT.*\n2\n$/m);
  expect(of("6. Error handling")).toMatch(/ORDER_UNKNOWN/);
}, 120_000);
