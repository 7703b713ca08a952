import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { type Caller, callerKinds } from "../doors/callers.ts";
import { oceanRequest } from "../interop/parts.ts";
import { refusalOf } from "../interop/refusals.ts";
import { CARRIERS, startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { type Issuer, newKey, startIssuer, type TokenWords } from "../support/issuer.ts";
import { Recording } from "./recording.ts";

/*
 * Tokens of an identity provider at both doors of an instance, over a client of each protocol.
 */

const names = [
  "grpc-js on the gRPC door",
  "connect-node connect over HTTP/1.1 in JSON",
  "connect-web grpc-web through fetch",
];
const kinds = callerKinds.filter(({ name }) => names.includes(name));

let issuer: Issuer;
let database: TestDatabase;
let app: TestApp;
let tenant: TestTenant;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  issuer = stack.use(await startIssuer());
  database = stack.use(await createTestDatabase());
  const env = {
    ...issuer.env,
    LEADLINE_JWT_CLOCK_TOLERANCE_MS: "0",
    LEADLINE_JWT_JWKS_CACHE_MS: "1000",
    LEADLINE_KEY_SWEEP_MS: "300",
    LEADLINE_KEY_CACHE_MS: "300000",
  };
  app = stack.use(await startTestApp({ database, env }));
  tenant = await app.makeTenant("acme");
  const { orders, bookings } = app.client(tenant.keys.operator);
  await orders.createOrder({ orderId: "PO-1" });
  await bookings.requestBooking({ bookingId: "OURS", request: oceanRequest(CARRIERS.carrier) });
  await bookings.requestBooking({ bookingId: "RIVAL", request: oceanRequest(CARRIERS.rival) });
});
afterAll(() => stack.disposeAsync());

/** A token with this role in the tenant. */
function tokenOf(role: string, words: TokenWords = {}): Promise<string> {
  return issuer.token({ ...words, claims: { leadline_tenant: "acme", leadline_role: role, ...words.claims } });
}

const open = (kind: (typeof kinds)[number]): Caller =>
  kind.open({ grpcPort: app.grpcPort, httpPort: app.httpPort, onClose: (close) => stack.defer(close) });

function watch(caller: Caller, bearer: string): Recording {
  return stack.use(new Recording(caller, bearer, { of: "orders", request: {} }));
}

/** Each ends with its position, a verified bookmark, and says why. */
async function expectCredentialEnd(recording: Recording): Promise<void> {
  const error = await recording.end();
  expect(error?.code).toBe(Code.Unauthenticated);
  const last = recording.messages.at(-1)?.end;
  expect(last).toMatchObject({ reason: EndReason.CREDENTIAL, position: expect.stringMatching(/^\d+-/) });
  expect(last?.verifiedAt).toBeDefined();
}

describe.each(kinds.map((kind) => [kind.name, kind] as const))("to %s, a token", (_name, kind) => {
  const { createOrder, getOrder } = OrderService.method;

  test("may what its role may, in its tenant, and is the actor of what it does", async () => {
    const caller = open(kind);
    const [viewer, operator] = [await tokenOf("viewer"), await tokenOf("operator", { claims: { sub: "op@acme" } })];
    expect((await caller.unary(getOrder, { orderId: "PO-1" }, { bearer: viewer })).order?.id).toBe("PO-1");
    const refused = await refusalOf(caller.unary(createOrder, {}, { bearer: viewer }));
    expect(refused).toMatchObject({ reason: "ROLE_FORBIDS", metadata: { role: "viewer" } });
    const { order } = await caller.unary(createOrder, {}, { bearer: operator });
    const orderId = order?.id ?? "";
    const history = await caller.unary(OrderService.method.listOrderEvents, { orderId }, { bearer: viewer });
    expect(history.events[0]?.actor).toMatch(/^jwt_[0-9a-f]{24}$/);
    const { tenant: told } = await caller.unary(TenantService.method.getTenant, {}, { bearer: viewer });
    expect(told?.id).toBe("acme");
  });

  test("of a carrier sees that carrier's bookings and no others", async () => {
    const caller = open(kind);
    const bearer = await tokenOf("carrier", { claims: { leadline_carrier: CARRIERS.carrier } });
    const { bookings } = await caller.unary(BookingService.method.listBookings, {}, { bearer });
    expect(bookings.map(({ id }) => id)).toEqual(["OURS"]);
    const refused = await refusalOf(caller.unary(BookingService.method.getBooking, { bookingId: "RIVAL" }, { bearer }));
    expect(refused.reason).toBe("BOOKING_UNKNOWN");
  });

  test("that is no good is refused with its problem", async () => {
    const caller = open(kind);
    const past = Math.floor(Date.now() / 1_000) - 60;
    const bad: [Promise<string>, string, Record<string, string>][] = [
      [
        tokenOf("viewer", { claims: { leadline_tenant: "nobody" } }),
        "CREDENTIAL_INVALID",
        { problem: "TENANT_UNKNOWN" },
      ],
      [tokenOf("viewer", { claims: { aud: "x" } }), "CREDENTIAL_INVALID", { problem: "CLAIM_WRONG", claim: "aud" }],
      [
        tokenOf("viewer", { key: { ...(await newKey("first")) } }),
        "CREDENTIAL_INVALID",
        { problem: "SIGNATURE_WRONG" },
      ],
      [tokenOf("viewer", { claims: { exp: past } }), "CREDENTIAL_EXPIRED", {}],
    ];
    for (const [token, reason, metadata] of bad) {
      const refusal = await refusalOf(caller.unary(getOrder, { orderId: "PO-1" }, { bearer: await token }));
      expect(refusal).toMatchObject({ code: Code.Unauthenticated, reason });
      expect(refusal.metadata).toEqual(metadata);
      expect(JSON.stringify(refusal)).not.toContain(await token);
    }
  });

  test("that expires ends its streams after a last bookmark, and is refused from then on", async () => {
    const caller = open(kind);
    const exp = Math.floor(Date.now() / 1_000) + 3;
    const bearer = await tokenOf("viewer", { claims: { exp, sub: `brief ${kind.name}`.replaceAll(" ", "-") } });
    const recording = await watch(caller, bearer).started();
    await expectCredentialEnd(recording);
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1_000);
    const refused = await refusalOf(caller.unary(getOrder, { orderId: "PO-1" }, { bearer }));
    expect(refused.reason).toBe("CREDENTIAL_EXPIRED");
  });
});

describe("at the next sweep", () => {
  test("streams end whose token was signed with a key that was withdrawn, and no others", async () => {
    const [caller] = kinds.map(open);
    if (caller === undefined) throw new Error("there is no caller");
    const [first] = issuer.keys;
    const second = await newKey("second");
    issuer.keys = first ? [first, second] : [second];
    const [before, after] = [
      await tokenOf("viewer", { ...(first && { key: first }), claims: { sub: "before" } }),
      await tokenOf("viewer", { key: second, claims: { sub: "after" } }),
    ];
    const old = await watch(caller, before).started();
    // The keys that are kept are too old after a second, and the second one is known then.
    const known = () => caller.unary(OrderService.method.getOrder, { orderId: "PO-1" }, { bearer: after });
    await expect
      .poll(
        () =>
          known().then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);
    const fresh = await watch(caller, after).started();
    issuer.keys = [second];
    await expectCredentialEnd(old);
    await app.client(tenant.keys.operator).orders.createOrder({ orderId: "PO-AFTER" });
    await fresh.until("PO-AFTER", (messages) => messages.some(({ events }) => events[0]?.subjectId === "PO-AFTER"));
  });
});
