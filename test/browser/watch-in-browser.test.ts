import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import { type Ready, ServiceProcess } from "../client/service-process.ts";
import { startChromium } from "./chromium.ts";
import { bundlePage, type PageServer, servePage } from "./page-server.ts";

let browser: Browser;
let allowed: PageServer;
let foreign: PageServer;

beforeAll(async () => {
  const script = await bundlePage();
  [browser, allowed, foreign] = await Promise.all([startChromium(), servePage(script), servePage(script)]);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await allowed?.[Symbol.asyncDispose]();
  await foreign?.[Symbol.asyncDispose]();
});

async function open(server: PageServer, ready: Ready, protocol: string): Promise<Page> {
  const page = await browser.newPage();
  const query = new URLSearchParams({ service: ready.http, key: ready.viewer, protocol });
  await page.goto(`${server.origin}/?${query}`);
  return page;
}

/** Waits until the page has seen this many items of the watch, and returns them. */
async function seen(page: Page, count: number): Promise<string[]> {
  await page.waitForFunction(`window.seen.length >= ${count} || window.failure !== ""`);
  expect(await page.evaluate("window.failure")).toBe("");
  return page.evaluate<string[]>("window.seen");
}

async function writing(
  ready: Ready,
  work: (orders: ReturnType<typeof createLeadlineClient>["orders"]) => Promise<unknown>,
) {
  const client = createLeadlineClient({ address: ready.grpc, key: ready.operator });
  try {
    await work(client.orders);
  } finally {
    client.close();
  }
}

function inTransit(orderId: string) {
  return {
    orderId,
    report: {
      classifier: Classifier.ACTUAL,
      status: "IN_TRANSIT",
      occurredAt: { instant: { seconds: 1_700_000_000n } },
    },
  };
}

describe("a page in Chromium", () => {
  test.each(["connect", "grpc-web"])(
    "from an allowed origin has every change once and in order over %s, though the server is killed",
    async (protocol) => {
      await using service = await ServiceProcess.prepare({ LEADLINE_ALLOWED_ORIGINS: allowed.origin });
      const ready = await service.start();
      await writing(ready, (orders) => orders.createOrder({ orderId: "before" }));
      const page = await open(allowed, ready, protocol);
      expect(await seen(page, 2)).toEqual(["row before v1", "synced"]);
      await writing(ready, async (orders) => {
        await orders.createOrder({ orderId: "during" });
        await orders.reportStatus(inTransit("during"));
      });
      expect(await seen(page, 4)).toEqual(["row before v1", "synced", "during v1", "during v2"]);

      await service.kill();
      await page.waitForFunction('window.states.at(-1).startsWith("waiting")');
      const again = await service.start();
      await writing(again, async (orders) => {
        await orders.createOrder({ orderId: "after" });
        await orders.reportStatus(inTransit("before"));
      });
      expect(await seen(page, 6)).toEqual([
        "row before v1",
        "synced",
        "during v1",
        "during v2",
        "after v1",
        "before v2",
      ]);
      await page.close();
    },
    120_000,
  );

  test("from another origin is refused by CORS and sees nothing", async () => {
    await using service = await ServiceProcess.prepare({ LEADLINE_ALLOWED_ORIGINS: allowed.origin });
    const ready = await service.start();
    await writing(ready, (orders) => orders.createOrder({ orderId: "secret" }));
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    const query = new URLSearchParams({ service: ready.http, key: ready.viewer });
    await page.goto(`${foreign.origin}/?${query}`);
    await page.waitForFunction("window.states.length >= 4");
    const states = await page.evaluate<string[]>("window.states");
    expect(states.slice(0, 4)).toEqual(["connecting", "waiting: UNAVAILABLE", "connecting", "waiting: UNAVAILABLE"]);
    expect(complaints.join("\n")).toContain("has been blocked by CORS policy");
    expect(await page.evaluate("window.seen")).toEqual([]);
    await page.close();
  }, 120_000);
});
