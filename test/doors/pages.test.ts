import { describe, expect, test } from "vitest";
import { fetchOf } from "../support/own-fetch.ts";
import { BEARER, World } from "./world.ts";

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const PAGE = "https://shop.example";

function urlOf(world: World, path: string): string {
  return `http://127.0.0.1:${world.httpPort}${path}`;
}

describe("a page of another origin", () => {
  test("that is allowed may ask, call and read the answer", async () => {
    await using world = await World.open({ http: { corsOrigins: [PAGE] } });
    const preflight = await fetchOf(world)(urlOf(world, GET_ORDER), {
      method: "OPTIONS",
      headers: {
        origin: PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,connect-protocol-version",
      },
    });
    expect(preflight.status).toBe(204);
    const allowed = preflight.headers.get("access-control-allow-headers")?.toLowerCase().split(", ");
    expect(allowed).toEqual(expect.arrayContaining(["authorization", "content-type", "connect-protocol-version"]));
    expect(preflight.headers.get("access-control-allow-methods")).toContain("POST");
    expect(preflight.headers.get("access-control-max-age")).toBe("7200");
    const answer = await fetchOf(world)(urlOf(world, GET_ORDER), {
      method: "POST",
      headers: { origin: PAGE, authorization: `Bearer ${BEARER}`, "content-type": "application/json" },
      body: '{"orderId":"ord_1"}',
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(answer.headers.get("vary")).toBe("origin");
    expect(answer.headers.get("access-control-expose-headers")?.toLowerCase()).toContain("grpc-status-details-bin");
    await answer.body?.cancel();
  });

  test("that is allowed can read errors too", async () => {
    await using world = await World.open({ http: { corsOrigins: [PAGE] } });
    const answer = await fetchOf(world)(urlOf(world, GET_ORDER), {
      method: "POST",
      headers: { origin: PAGE, "content-type": "application/json" },
      body: "{}",
    });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("access-control-allow-origin")).toBe(PAGE);
    await answer.body?.cancel();
  });

  test.each(["https://evil.example", "null", `${PAGE}.evil.example`, "not an origin"])(
    "%s is refused",
    async (origin) => {
      await using world = await World.open({ http: { corsOrigins: [PAGE] } });
      const headers = { origin, "access-control-request-method": "POST" };
      const preflight = await fetchOf(world)(urlOf(world, GET_ORDER), { method: "OPTIONS", headers });
      expect(preflight.status).toBe(403);
      expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
      const answer = await fetchOf(world)(urlOf(world, GET_ORDER), {
        method: "POST",
        headers: { origin, authorization: `Bearer ${BEARER}`, "content-type": "application/json" },
        body: '{"orderId":"ord_1"}',
      });
      expect(answer.status).toBe(403);
      expect(await answer.text()).not.toContain("ord_1");
    },
  );
});

test("a page of our own origin may call", async () => {
  await using world = await World.open();
  const answer = await fetchOf(world)(urlOf(world, GET_ORDER), {
    method: "POST",
    headers: {
      origin: urlOf(world, ""),
      authorization: `Bearer ${BEARER}`,
      "content-type": "application/json",
    },
    body: '{"orderId":"ord_1"}',
  });
  expect(await answer.json()).toMatchObject({ order: { id: "ord_1" } });
});

test("a path that nobody takes is answered 404 with a reason", async () => {
  await using world = await World.open();
  for (const method of ["GET", "POST", "DELETE"]) {
    const answer = await fetchOf(world)(urlOf(world, "/v1/orders?x=1"), { method });
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(await answer.json()).toMatchObject({
      code: "unimplemented",
      details: [{ debug: { reason: "METHOD_UNKNOWN", metadata: { path: "/v1/orders" } } }],
    });
  }
});

test("what is behind the door takes the paths that are no calls", async () => {
  await using world = await World.open({ parts: { fallback: (req, res) => res.end(`rest ${req.url}`) } });
  expect(await (await fetchOf(world)(urlOf(world, "/v1/orders?x=1"))).text()).toBe("rest /v1/orders?x=1");
  expect((await fetchOf(world)(urlOf(world, "/healthz"))).status).toBe(200);
});

test("/healthz says that the process is there, /readyz whether it wants calls and can answer them", async () => {
  let isReady = true;
  await using world = await World.open({ parts: { ready: () => Promise.resolve(isReady) } });
  const statusOf = async (path: string): Promise<number> => {
    const answer = await fetchOf(world)(urlOf(world, path));
    await answer.text();
    return answer.status;
  };
  expect(await statusOf("/readyz")).toBe(200);
  isReady = false;
  expect(await statusOf("/readyz")).toBe(503);
  isReady = true;
  world.health.set(false);
  expect(await statusOf("/readyz")).toBe(503);
  expect(await statusOf("/healthz")).toBe(200);
});

test("a page that fails is answered 500 and logged", async () => {
  const parts = { ready: () => Promise.reject(new Error("the database is gone")) };
  await using world = await World.open({ parts });
  expect((await fetchOf(world)(urlOf(world, "/readyz"))).status).toBe(500);
  expect(world.logged).toContainEqual(
    expect.objectContaining({ path: "/readyz", err: expect.objectContaining({ message: "the database is gone" }) }),
  );
});

test("/metrics counts calls by method, door and code, and can have a token", async () => {
  await using world = await World.open({ http: { metricsToken: "scrape" } });
  const headers = { authorization: `Bearer ${BEARER}`, "content-type": "application/json" };
  for (const orderId of ["ord_1", "ord_2", "unknown"]) {
    await (
      await fetchOf(world)(urlOf(world, GET_ORDER), { method: "POST", headers, body: JSON.stringify({ orderId }) })
    ).text();
  }
  expect((await fetchOf(world)(urlOf(world, "/metrics"))).status).toBe(401);
  const metrics = await fetchOf(world)(urlOf(world, "/metrics"), { headers: { authorization: "Bearer scrape" } });
  const lines = (await metrics.text()).split("\n");
  const countOf = (code: string): string | undefined =>
    lines.find((line) => line.startsWith("leadline_call_seconds_count") && line.includes(`code="${code}"`));
  expect(countOf("OK")).toMatch(/method="\/leadline.v1.OrderService\/GetOrder",door="http",code="OK"} 2$/);
  expect(countOf("NOT_FOUND")).toMatch(/ 1$/);
  expect(lines.find((line) => line.startsWith('leadline_open_connections{door="http"}'))).toBeDefined();
});
