import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import {
  CreateKeyRequestSchema,
  CreateLinkRequestSchema,
  CreateTenantRequestSchema,
  GetTenantRequestSchema,
  ListKeysRequestSchema,
  ListTenantsRequestSchema,
  RevokeKeyRequestSchema,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { hashOf, keyIdOf } from "../../src/service/api-key.ts";
import { callWith, message, nowhere, refusalOf, type Service, serviceOwner, startService } from "./support.ts";

type KeyInit = MessageInitShape<typeof CreateKeyRequestSchema>;

let service: Service;
beforeAll(async () => {
  service = await startService();
  for (const tenantId of ["acme", "globex"]) {
    await service.tenants.createTenant(create(CreateTenantRequestSchema, { tenantId, name: tenantId }), serviceOwner);
  }
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

async function createKey(tenant: string, init: KeyInit = {}) {
  const request = create(CreateKeyRequestSchema, { name: "test", role: Role.OPERATOR, ...init });
  const { key, secret } = message(await service.tenants.createKey(request, callWith(tenant)));
  if (key === undefined) throw new Error("there is no key");
  return { key, secret };
}

describe("tenants", () => {
  test("a tenant comes with an empty journal, its head named by the journal's own id", async () => {
    const request = create(CreateTenantRequestSchema, { tenantId: "initech", name: "Initech", tier: Tier.ADAPTIVE });
    const { tenant } = message(await service.tenants.createTenant(request, serviceOwner));
    expect(tenant).toMatchObject({ id: "initech", name: "Initech", tier: Tier.ADAPTIVE });
    const [head] = await service.database.sql("select * from journal_head where tenant_id = 'initech'");
    expect(head).toMatchObject({ revision: "0", floor: "0", journal_id: expect.stringMatching(/^[0-9a-z]{13}$/) });
    expect(head?.event_id).toBe(head?.journal_id);
  });

  test("without an id one is drawn, and without a tier it is QUICK_DEPLOY", async () => {
    const request = create(CreateTenantRequestSchema, { name: "Hooli" });
    const { tenant } = message(await service.tenants.createTenant(request, serviceOwner));
    expect(tenant?.id).toMatch(/^ten_[0-9a-z]{16}$/);
    expect(tenant?.tier).toBe(Tier.QUICK_DEPLOY);
  });

  test("an id that is taken is refused, and the tenant who has it is left as it was", async () => {
    const request = create(CreateTenantRequestSchema, { tenantId: "acme", name: "Another" });
    const refusal = await refusalOf(() => service.tenants.createTenant(request, serviceOwner));
    expect(refusal).toMatchObject({ reason: ErrorReason.TENANT_EXISTS, metadata: { tenant_id: "acme" } });
    expect(await service.database.sql("select name from tenant where id = 'acme'")).toEqual([{ name: "acme" }]);
  });

  test("its people read their own with its usage, the service owner any without", async () => {
    await createKey("globex");
    const own = message(await service.tenants.getTenant(create(GetTenantRequestSchema), callWith("globex")));
    expect(own.tenant).toMatchObject({ id: "globex", usage: { events: 0n, activeKeys: 1 } });
    const request = create(GetTenantRequestSchema, { tenantId: "globex" });
    const seen = message(await service.tenants.getTenant(request, serviceOwner));
    expect(seen.tenant?.id).toBe("globex");
    expect(seen.tenant?.usage).toBeUndefined();
  });

  test.each(["nobody", "acme,globex", "ACME", ""])(
    "the service owner learns that there is no tenant %j",
    async (tenantId) => {
      const reason = tenantId === "" ? ErrorReason.FIELD_INVALID : ErrorReason.TENANT_UNKNOWN;
      const asked = [
        () => service.tenants.getTenant(create(GetTenantRequestSchema, { tenantId }), serviceOwner),
        () => service.tenants.listKeys(create(ListKeysRequestSchema, { tenantId }), serviceOwner),
        () =>
          service.tenants.createKey(
            create(CreateKeyRequestSchema, { tenantId, name: "x", role: Role.OWNER }),
            serviceOwner,
          ),
      ];
      for (const ask of asked) expect((await refusalOf(ask)).reason).toBe(reason);
    },
  );

  test("the list has every tenant once, by id, whatever the page size", async () => {
    const rows = await service.database.sql<{ id: string }>('select id from tenant order by id collate "C"');
    const seen: string[] = [];
    for (let pageToken = ""; ; ) {
      const request = create(ListTenantsRequestSchema, { pageSize: 2, pageToken });
      const page = message(await service.tenants.listTenants(request, serviceOwner));
      expect(page.tenants.length).toBeLessThanOrEqual(2);
      seen.push(...page.tenants.map((tenant) => tenant.id));
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect(seen).toEqual(rows.map((row) => row.id));
  });

  test("a page token of another list is refused", async () => {
    const { nextPageToken } = message(
      await service.tenants.listTenants(create(ListTenantsRequestSchema, { pageSize: 1 }), serviceOwner),
    );
    const request = create(ListKeysRequestSchema, { pageToken: nextPageToken });
    const refusal = await refusalOf(() => service.tenants.listKeys(request, callWith("acme")));
    expect(refusal.reason).toBe(ErrorReason.PAGE_TOKEN_INVALID);
  });
});

describe("keys", () => {
  test("the secret is shown once, and only its SHA-256 is kept", async () => {
    const { key, secret } = await createKey("acme", { name: "warehouse", role: Role.OPERATOR });
    expect(keyIdOf(secret)).toBe(key.id);
    expect(secret).toContain("lead_operator_");
    const [row] = await service.database.sql<Record<string, unknown>>("select * from api_key where id = $1", [key.id]);
    expect(row).toMatchObject({ tenant_id: "acme", name: "warehouse", role: Role.OPERATOR, revoked_at: null });
    expect(row?.secret_sha256).toEqual(hashOf(secret));
    expect(JSON.stringify(row)).not.toContain(secret.slice(-20));
  });

  test.each<[string, KeyInit, string]>([
    ["a carrier's key without a carrier", { role: Role.CARRIER }, "carrier"],
    ["a carrier on another's key", { role: Role.VIEWER, carrier: "HLCU" }, "carrier"],
    ["an end in the past", { expiresAt: timestampFromMs(Date.parse("2026-03-01T11:59:59Z")) }, "expires_at"],
    ["an end that is no time", { expiresAt: { seconds: 10n ** 17n } }, "expires_at"],
  ])("%s is refused", async (_what, init, field) => {
    const refusal = await refusalOf(() => createKey("acme", init));
    expect(refusal.reason).toBe(ErrorReason.FIELD_INVALID);
    expect(refusal.violations.map((violation) => violation.field)).toEqual([field]);
  });

  test("a key keeps what it was made with", async () => {
    const expiresAt = timestampFromMs(Date.parse("2027-01-01T00:00:00Z"));
    const { key } = await createKey("acme", { name: "hapag", role: Role.CARRIER, carrier: "HLCU", expiresAt });
    expect(key).toMatchObject({ name: "hapag", role: Role.CARRIER, carrier: "HLCU", expiresAt });
    expect(key.revokedAt).toBeUndefined();
    expect(key.createdAt && timestampMs(key.createdAt)).toBe(service.nowMs);
  });

  test("the list is the newest first, complete over pages, and of one tenant", async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) {
      if (i % 2 === 0) service.nowMs += 1; // some at the same time
      made.push((await createKey("initech")).key.id);
    }
    const seen: string[] = [];
    const times: number[] = [];
    for (let pageToken = ""; ; ) {
      const request = create(ListKeysRequestSchema, { pageSize: 2, pageToken });
      const page = message(await service.tenants.listKeys(request, callWith("initech")));
      seen.push(...page.keys.map((key) => key.id));
      times.push(...page.keys.map((key) => (key.createdAt ? timestampMs(key.createdAt) : 0)));
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect([...seen].sort()).toEqual([...made].sort());
    expect(times).toEqual([...times].sort((a, b) => b - a));
  });

  test("a revoked key says when, once, and whoever ends streams is told", async () => {
    const { key } = await createKey("acme");
    const request = create(RevokeKeyRequestSchema, { keyId: key.id });
    const first = message(await service.tenants.revokeKey(request, callWith("acme")));
    service.nowMs += 1_000;
    const second = message(await service.tenants.revokeKey(request, callWith("acme")));
    expect(first.key?.revokedAt).toBeDefined();
    expect(second.key).toEqual(first.key);
    expect(service.revoked).toContain(key.id);
  });

  test("another tenant's key is not told from one that there is not", async () => {
    const { key } = await createKey("acme");
    for (const keyId of [key.id, "key_nobodys"]) {
      const refusal = await refusalOf(() =>
        service.tenants.revokeKey(create(RevokeKeyRequestSchema, { keyId }), callWith("globex")),
      );
      expect(refusal.reason).toBe(ErrorReason.KEY_UNKNOWN);
      expect(refusal.message).toBe(`key "${keyId}" is unknown`);
    }
    expect(await service.database.sql("select revoked_at from api_key where id = $1", [key.id])).toEqual([
      { revoked_at: null },
    ]);
  });

  test("a secret sent in place of an id is not told back", async () => {
    const { secret } = await createKey("acme");
    const request = create(RevokeKeyRequestSchema, { keyId: secret });
    const refusal = await refusalOf(() => service.tenants.revokeKey(request, callWith("acme")));
    expect(refusal.reason).toBe(ErrorReason.KEY_UNKNOWN);
    expect(JSON.stringify([refusal.message, refusal.metadata])).not.toContain(secret);
  });
});

describe("links", () => {
  beforeAll(async () => {
    await service.database.sql(
      `insert into subject (tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, status, stage,
         space, carrier, summary, details) values ('acme', 1, 'PO-1', 1, 1, 1, 'e', '', 0, 0, '', '', '')`,
    );
  });

  test("a link opens the order for as long as was asked, a day by default", async () => {
    const day = message(
      await service.tenants.createLink(create(CreateLinkRequestSchema, { orderId: "PO-1" }), callWith("acme")),
    );
    expect(day.expiresAt && timestampMs(day.expiresAt)).toBe(Math.floor(service.nowMs / 1000) * 1000 + 86_400_000);
    const request = create(CreateLinkRequestSchema, { orderId: "PO-1", lifetime: { seconds: 60n } });
    const { token, expiresAt } = message(await service.tenants.createLink(request, callWith("acme")));
    expect(service.links.decode(token)).toMatchObject({
      tenant: "acme",
      orderId: "PO-1",
      expiresAtMs: expiresAt && timestampMs(expiresAt),
    });
  });

  test("an order of another tenant is as unknown as one that there is not", async () => {
    for (const [tenant, orderId] of [
      ["globex", "PO-1"],
      ["acme", "PO-2"],
    ] as const) {
      const request = create(CreateLinkRequestSchema, { orderId });
      const refusal = await refusalOf(() => service.tenants.createLink(request, callWith(tenant)));
      expect(refusal).toMatchObject({ reason: ErrorReason.ORDER_UNKNOWN, message: `order "${orderId}" is unknown` });
    }
  });
});

test("a database that does not answer is UNAVAILABLE, not a fault", async () => {
  await using away = await startService(nowhere);
  const refusal = await refusalOf(() => away.tenants.getTenant(create(GetTenantRequestSchema), callWith("acme")));
  expect(refusal.reason).toBe(ErrorReason.DATABASE_UNAVAILABLE);
});
