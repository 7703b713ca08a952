import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { clone, create, type DescMethod, type Message } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BookingService, WatchBookingsRequestSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService, WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { TenantService, WatchAuditRequestSchema } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { pathOf } from "../../src/doors/routes.ts";
import { type Caller, callerKinds } from "../doors/callers.ts";
import { CARRIERS, SERVICE_OWNER, type TestTenant } from "../support/app.ts";
import { PATIENT } from "../support/patient.ts";
import { everyRequest } from "./every-request.ts";
import { mark } from "./marks.ts";
import { MARKS, type Mark, marksIn, NUMBERED, numbersOf, owners, plantNumbers } from "./owners.ts";
import { oceanRequest } from "./parts.ts";
import { encoded, rawStreamWays, rawWays } from "./raw-answers.ts";
import type { Row } from "./rows.ts";
import { Answered, credentials, type InteropWorld, openWorld } from "./world.ts";

/*
 * Two tenants do the same under the same ids, and two carriers of one of them; every text of theirs that is free bears their
 * mark, and some ids and references too. Then everybody calls everything over every protocol of both doors, with the ids, page
 * tokens and positions of the others too, cut off, empty, without a credential and with a wrong one, and watches while all is
 * done again. No answer and no stream has a mark of somebody else in any byte; each protocol shows everybody their own.
 */

const NOTHING = Buffer.alloc(0);
/** How many call at a time. */
const CALLERS = 8;

/** A caller, and the marks that it may see. */
interface Identity {
  readonly name: string;
  readonly bearer: string | undefined;
  readonly sees: readonly Mark[];
  /** Of links, which may have few streams each: another one of the same order. */
  readonly again?: () => Promise<string>;
}

let world: InteropWorld;
let ours: TestTenant;
let foreign: TestTenant;
let identities: Identity[];
/** Every request, with the answers that ours needs, and with those that the foreign tenant's needs. */
let requests: { readonly method: DescMethod; readonly request: Message; readonly cut: boolean }[];
let planted: Record<Mark, number>;

beforeAll(async () => {
  world = await openWorld({ env: { ...PATIENT, LEADLINE_HEARTBEAT_MS: "1000" } });
  ours = await world.app.makeTenant("ours");
  foreign = await world.app.makeTenant("foreign");
  const caller = callerKinds[0]?.open(world) ?? expect.fail("there are no callers");
  planted = { orders: 0, bookings: 0, rival: 0, foreign: 0 };
  const [own, abroad] = [new Answered(), new Answered()];
  await plantAll(caller, ours, own, (row) => (row.method.parent === BookingService ? "bookings" : "orders"));
  await plantAll(caller, foreign, abroad, () => "foreign");
  await plantRival(caller, "RIVAL");
  await plantNumbers(world, { ours, foreign });
  requests = [
    { answers: own, position: await positionOf(ours) },
    { answers: abroad, position: await positionOf(foreign) },
  ].flatMap(({ answers, position }, i) => {
    const rows = everyRequest(`asked-${i}`).map(({ method, request }) => ({
      method,
      request: create(method.input, request(answers)),
    }));
    const watches = [{ includeSnapshot: true }, { position }].flatMap((asked) => [
      { method: TenantService.method.watchAudit, request: create(WatchAuditRequestSchema, {}) },
      { method: OrderService.method.watchOrders, request: create(WatchOrdersRequestSchema, asked) },
      { method: BookingService.method.watchBookings, request: create(WatchBookingsRequestSchema, asked) },
    ]);
    const ofRival = rows
      .filter(({ request }) => "bookingId" in request)
      .map(({ method, request }) => ({
        method,
        request: Object.assign(clone(method.input, request), { bookingId: "RIVAL" }),
      }));
    // The same texts are asked of both tenants, so that no refusal repeats a mark to who named it.
    const numbered = rows
      .filter(({ method }) => /^(Get|List)/.test(method.name))
      .flatMap(({ method, request }) => {
        const named = (key: "orderId" | "bookingId", id: string) =>
          key in request ? [{ method, request: Object.assign(clone(method.input, request), { [key]: id }) }] : [];
        return [
          ...named("orderId", NUMBERED),
          ...named("bookingId", NUMBERED),
          ...named("bookingId", `${NUMBERED}-RIVAL`),
        ];
      });
    return [...rows, ...watches, ...ofRival, ...(i === 0 ? numbered : [])].map((one) => ({
      ...one,
      cut: i === 0 && rows.some(({ request }) => request === one.request),
    }));
  });
  const staff: readonly Mark[] = ["orders", "bookings", "rival"];
  const own_ = (party: keyof TestTenant["keys"]) => ours.keys[party];
  identities = [
    ...(["owner", "operator", "viewer"] as const).map((as) => ({ name: `our ${as}`, bearer: own_(as), sees: staff })),
    { name: "our carrier", bearer: own_("carrier"), sees: ["bookings"] },
    { name: "its rival", bearer: own_("rival"), sees: ["rival"] },
    // An order's milestones are those of the bookings that carry it.
    { name: "our link", bearer: await ours.link("PO-1"), sees: ["orders", "bookings"], again: () => ours.link("PO-1") },
    ...(["owner", "operator", "viewer", "carrier"] as const).map((as) => {
      const sees: readonly Mark[] = ["foreign"];
      return { name: `their ${as}`, bearer: foreign.keys[as], sees };
    }),
    { name: "their link", bearer: await foreign.link("PO-1"), sees: ["foreign"], again: () => foreign.link("PO-1") },
    { name: "the service owner", bearer: SERVICE_OWNER, sees: [] },
    { name: "nobody", bearer: undefined, sees: [] },
    { name: "somebody", bearer: mistyped(ours.keys.viewer), sees: [] },
  ];
});
afterAll(() => world[Symbol.asyncDispose]());

/** The key with another last character. */
function mistyped(key: string): string {
  return `${key.slice(0, -1)}${key.endsWith("0") ? "1" : "0"}`;
}

/** Makes every request once, with marks where it takes them. */
async function plantAll(
  caller: Caller,
  tenant: TestTenant,
  answers: Answered,
  markOf: (row: Row) => Mark,
): Promise<void> {
  const bearerOf = credentials(tenant, "PO-1");
  for (const row of everyRequest(`made-by-${tenant.id}`)) {
    await plant(caller, row, await bearerOf(row.as), answers, markOf(row));
  }
  // What nobody asks for by its id bears the mark in the id.
  const { orders } = world.app.client(tenant.keys.operator);
  await orders.createOrder({ orderId: `PO-${MARKS[tenant === ours ? "orders" : "foreign"]}` });
}

/** With marks; where the service takes none of it, as it is. */
async function plant(caller: Caller, row: Row, bearer: string, answers: Answered, whose: Mark): Promise<void> {
  const { method } = row;
  // A mark that was refused, and one that was not: versions are not those that the rows count.
  const plain = create(method.input, { ...row.request(answers), etag: "" });
  const marked = clone(method.input, plain);
  // A tenant's name is the service owner's own text.
  const texts = row.as === "service owner" ? 0 : mark(method.input, marked, MARKS[whose]);
  try {
    answers.set(method, await caller.unary(method, marked, { bearer }));
    planted[whose] += texts;
  } catch {
    answers.set(method, await caller.unary(method, plain, { bearer }));
  }
}

async function plantRival(caller: Caller, bookingId: string): Promise<void> {
  const answers = new Answered();
  const rows = everyRequest("rival").filter(({ method }) => ["RequestBooking", "RequestUpdate"].includes(method.name));
  for (const row of rows.slice(0, 2)) {
    const request = () => ({ ...row.request(answers), bookingId, requestId: "", ...(row.as === "operator" && rivals) });
    await plant(caller, { ...row, request }, ours.keys[row.as === "operator" ? "operator" : "rival"], answers, "rival");
  }
  // One that nobody writes to.
  await world.app.client(ours.keys.operator).bookings.requestBooking({ bookingId: "RIVAL-2", ...rivals });
}

/** What is asked of the rival. */
const rivals = {
  request: {
    ...oceanRequest(CARRIERS.rival),
    places: [
      { type: "POL", place: { unlocode: "CNSHA", name: MARKS.rival } },
      { type: "POD", place: { unlocode: "NLRTM" } },
    ],
  },
};

async function positionOf(tenant: TestTenant): Promise<string> {
  const { events } = await world.app.client(tenant.keys.viewer).orders.listOrderEvents({ orderId: "PO-1" });
  return events[0]?.position ?? expect.fail("no position");
}

/** What an identity is told of by streams. */
function hears({ name, sees }: Identity): readonly Mark[] {
  return name === "our link" ? ["orders"] : sees;
}

test("every RPC that the service tells of by reflection is asked for", async () => {
  const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");
  const { stdout } = await promisify(execFile)(buf, ["curl", "--list-methods", world.app.httpUrl]);
  const served = stdout.split("\n").filter((line) => line.startsWith("leadline."));
  const asked = new Set(requests.map(({ method }) => pathOf(method).slice(1)));
  expect(served.length).toBeGreaterThan(40);
  expect(served.filter((name) => !asked.has(name))).toEqual([]);
});

test("there is much to find: marks stand in every kind of text", () => {
  for (const whose of owners) expect(planted[whose], whose).toBeGreaterThan(whose === "rival" ? 1 : 20);
});

describe("no answer has a mark of somebody else", () => {
  const names = [
    "gRPC on the gRPC door",
    "gRPC on the HTTP door",
    "Connect over HTTP/2",
    "Connect over HTTP/1.1",
    "gRPC-Web over HTTP/1.1",
  ];
  test.each(names)(
    "over %s",
    async (name) => {
      const way = rawWays(world).find((one) => one.name === name) ?? expect.fail("no such way");
      const leaks: string[] = [];
      const seen = new Set<string>();
      const note = (who: Identity, what: string, answer: Buffer): void => {
        const said = answer.toString("latin1");
        for (const text of numbersOf(...owners)) if (said.includes(text)) seen.add(`${who.name} ${text}`);
        for (const whose of marksIn(answer)) {
          seen.add(`${who.name} ${whose}`);
          if (!who.sees.includes(whose)) leaks.push(`${who.name} was told of ${whose} by ${what}`);
        }
      };
      for (const who of identities) {
        // Links may call ten times in a second: what they may call comes first.
        const forLinks = (method: DescMethod) => Number(["GetOrder", "ListOrderEvents"].includes(method.name));
        const unary = requests
          .filter(({ method }) => method.methodKind === "unary")
          .toSorted((a, b) => forLinks(b.method) - forLinks(a.method));
        const calls = [
          ...unary.flatMap(({ method, request, cut }) => {
            const [path, message] = [pathOf(method), encoded(way, method, request)];
            const whole = { what: method.name, path, message };
            return cut
              ? [whole, { ...whole, what: `${whole.what}, cut off`, message: message.subarray(0, -1) }]
              : [whole];
          }),
          ...new Set(unary.map(({ method }) => pathOf(method))),
          "/leadline.v1.OrderService/Nothing",
        ].map((call) =>
          typeof call === "string" ? { what: `${call} of nothing`, path: call, message: NOTHING } : call,
        );
        // Some at a time, in this order: the database answers several in one go.
        const next = calls.values();
        const caller = async () => {
          for (const { what, path, message } of next) note(who, what, await way.send(path, message, who.bearer));
        };
        await Promise.all(Array.from({ length: CALLERS }, caller));
      }
      expect(leaks).toEqual([]);
      // What is theirs they do see, and of numbers the staff every one.
      for (const whole of [
        ...numbersOf("orders", "bookings", "rival").map((text) => `our viewer ${text}`),
        ...numbersOf("foreign").map((text) => `their viewer ${text}`),
        "our viewer orders",
        "our viewer bookings",
        "our viewer rival",
        "our carrier bookings",
        "its rival rival",
        "their viewer foreign",
        "our link orders",
      ]) {
        expect(seen, whole).toContain(whole);
      }
    },
    240_000,
  );
});

test("the metrics, which anybody may read, say nothing of any tenant", async () => {
  const metrics = await (await fetch(`${world.app.httpUrl}/metrics`)).text();
  expect(metrics).toContain("leadline_call_seconds_count");
  expect(marksIn(Buffer.from(metrics))).toEqual([]);
  const ids = [ours.id, foreign.id, ...Object.values(ours.keyIds), ...Object.values(CARRIERS), "PO-1", "RIVAL"];
  // Labels hold what the contracts and the table of limits name.
  const said = new Set([...metrics.matchAll(/="([^"]*)"/g)].map(([, value]) => value ?? ""));
  expect(ids.filter((id) => said.has(id) || metrics.includes(`"${id}`))).toEqual([]);
});

describe("no stream has a mark of somebody else", () => {
  test("over every protocol, from snapshots on, while all is done again", async () => {
    const streams: { who: Identity; way: string; what: string; chunks: Buffer[]; close(): void }[] = [];
    // Of links' streams only the first few are opened: orders, with a snapshot, before all others.
    const watches = requests
      .filter(({ method }) => method.methodKind === "server_streaming")
      .toSorted((a, b) => Number(b.method.name === "WatchOrders") - Number(a.method.name === "WatchOrders"));
    for (const who of identities.filter(({ bearer }) => bearer !== undefined)) {
      for (const way of rawStreamWays(world)) {
        const bearer = (await who.again?.()) ?? who.bearer;
        for (const { method, request } of watches) {
          const open = way.open(pathOf(method), encoded(way, method, request), bearer);
          streams.push({ who, way: way.name, what: `${method.name} over ${way.name}`, ...open });
        }
      }
    }
    const ways = new Set(streams.map(({ way }) => way));
    /** Who has not been told on every protocol of all that is theirs. */
    const waiting = () =>
      identities
        .filter(({ sees }) => sees.length > 0)
        .flatMap((who) => [...ways].map((way) => ({ who, way })))
        .flatMap(({ who, way }) => {
          const told = streams.filter((one) => one.who === who && one.way === way).flatMap(({ chunks }) => chunks);
          const marks = marksIn(Buffer.concat(told));
          return hears(who)
            .filter((whose) => !marks.includes(whose))
            .map((whose) => `${who.name}, of ${whose} over ${way}`);
        });
    await expect.poll(waiting, { timeout: 20_000 }).toEqual([]);
    for (const [tenant, whose] of [
      [ours, "orders"],
      [foreign, "foreign"],
    ] as const) {
      const { orders, bookings } = world.app.client(tenant.keys.operator);
      const text = MARKS[whose];
      await orders.createOrder({ orderId: `NEW-${text}`, parties: [{ role: "CONSIGNEE", name: text }] });
      await orders.holdOrder({ orderId: "PO-2", reason: text }).catch(() => undefined);
      await bookings.requestBooking({
        bookingId: `NEW-${tenant.id}`,
        request: oceanRequest(),
        requestReference: whose === "orders" ? MARKS.bookings : text,
      });
    }
    await world.app.client(ours.keys.operator).bookings.requestBooking({ bookingId: "NEW-RIVAL", ...rivals });
    /** The protocols over which somebody has not been told of something. */
    const deaf = (text: string, name: string) => () =>
      [...ways].filter(
        (way) =>
          !streams.some((one) => one.who.name === name && one.way === way && Buffer.concat(one.chunks).includes(text)),
      );
    for (const [text, name] of [
      [`NEW-${MARKS.orders}`, "our viewer"],
      [`NEW-${MARKS.foreign}`, "their viewer"],
      ["NEW-RIVAL", "its rival"],
      ["NEW-ours", "our carrier"],
      ["NEW-foreign", "their carrier"],
    ] as const) {
      await expect.poll(deaf(text, name), { timeout: 20_000 }).toEqual([]);
    }
    expect(ways.size).toBe(5);
    for (const { close } of streams) close();
    const leaks = streams.flatMap(({ who, what, chunks }) =>
      marksIn(Buffer.concat(chunks))
        .filter((whose) => !who.sees.includes(whose))
        .map((whose) => `${who.name} was told of ${whose} by ${what}`),
    );
    expect(leaks).toEqual([]);
  }, 120_000);
});
