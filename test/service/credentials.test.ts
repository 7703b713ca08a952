import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { CreateKeyRequestSchema, CreateTenantRequestSchema } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { InProcessBus, Wire } from "../../src/bus/in-process.ts";
import { drawKey, hashOf } from "../../src/service/api-key.ts";
import { Credentials, type CredentialsOptions } from "../../src/service/credentials.ts";
import { type KeyRecords, keyRecords } from "../../src/service/key-records.ts";
import type { StreamHolder } from "../../src/service/limits.ts";
import { Tenancy, type TenantTerms } from "../../src/service/tenancy.ts";
import { callWith, message, nowhere, refusalOf, type Service, serviceOwner, startService } from "./support.ts";

const ownerSecret = "the-service-owner-has-a-long-secret";
const peer = "192.0.2.1";

let service: Service;
/** Reads of the database that authentication made. */
let reads = 0;
let keys: KeyRecords;
const running: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  service = await startService();
  const request = create(CreateTenantRequestSchema, { tenantId: "acme", name: "Acme", tier: Tier.ASSISTED });
  await service.tenants.createTenant(request, serviceOwner);
  const records = keyRecords(service.orm);
  keys = {
    ...records,
    find(id) {
      reads++;
      return records.find(id);
    },
  };
});
afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

const ofKey = (id: string): StreamHolder => ({ kind: "key", tenant: "acme", id, signer: "" });

/** One instance's credentials, with what it was told to end. */
function instance(wire = new Wire(), options: Partial<CredentialsOptions> = {}) {
  const bus = new InProcessBus(wire);
  const ended: string[] = [];
  const streams: StreamHolder[] = [];
  const fail = (error: unknown) => {
    throw error;
  };
  const held: TenantTerms[] = [];
  const now = () => service.nowMs;
  const tenancy = new Tenancy({
    read: (tenants) => (options.keys ?? keys).terms(tenants),
    streaming: () => new Set(streams.map(({ tenant }) => tenant)),
    hold: (terms) => held.push(terms),
    ...{ bus, onError: fail, now, cacheMs: options.cacheMs ?? 5_000 },
  });
  tenancy.start();
  const credentials = new Credentials({
    keys,
    tenancy,
    links: service.links,
    ownerHash: hashOf(ownerSecret),
    bus,
    endStreams: (id) => ended.push(id),
    streamHolders: () => streams,
    onError: fail,
    now,
    ...options,
  });
  credentials.start();
  running.push(
    () => credentials.stop(),
    () => tenancy.stop(),
    () => bus.close(),
  );
  return { credentials, tenancy, authenticate: credentials.authenticate, ended, streams, held };
}

async function createKey(init: MessageInitShape<typeof CreateKeyRequestSchema> = {}) {
  const request = create(CreateKeyRequestSchema, { name: "test", role: Role.OPERATOR, ...init });
  const { key, secret } = message(await service.tenants.createKey(request, callWith("acme")));
  return { id: key?.id ?? "", secret };
}

function revokeInDatabase(id: string) {
  return service.database.sql("update api_key set revoked_at = now() where id = $1", [id]);
}

describe("who calls", () => {
  test("a key is its tenant, role, carrier and name", async () => {
    const { id, secret } = await createKey({ name: "hapag", role: Role.CARRIER, carrier: "HLCU" });
    const { authenticate, tenancy } = instance();
    const principal = await authenticate(secret, peer);
    expect(principal).toEqual({
      kind: "key",
      id,
      name: "hapag",
      tenant: "acme",
      role: Role.CARRIER,
      carrier: "HLCU",
      expiresAtMs: undefined,
    });
    expect(tenancy.ofPrincipal(principal).tier).toBe(Tier.ASSISTED);
  });

  test("a key that is known is answered at once, without the database", async () => {
    const { secret } = await createKey();
    const { authenticate } = instance();
    const first = await authenticate(secret, peer);
    reads = 0;
    expect(authenticate(secret, peer)).toBe(first);
    expect(reads).toBe(0);
  });

  test("callers who come together share one look at the database", async () => {
    const { secret } = await createKey();
    const { authenticate } = instance();
    reads = 0;
    await Promise.all(Array.from({ length: 20 }, () => authenticate(secret, peer)));
    expect(reads).toBe(1);
  });

  test("what is known goes stale, and is read again", async () => {
    const { secret } = await createKey();
    const { authenticate } = instance(undefined, { cacheMs: 1_000 });
    await authenticate(secret, peer);
    service.nowMs += 999;
    expect(authenticate(secret, peer)).not.toBeInstanceOf(Promise);
    service.nowMs += 1;
    expect(authenticate(secret, peer)).toBeInstanceOf(Promise);
  });

  test("memory holds as many as it may, the newest", async () => {
    const { authenticate } = instance(undefined, { cacheMax: 2 });
    const made = [await createKey(), await createKey(), await createKey()];
    for (const { secret } of made) await authenticate(secret, peer);
    const known = made.map(({ secret }) => !(authenticate(secret, peer) instanceof Promise));
    expect(known).toEqual([false, true, true]);
  });

  test("the service owner is answered without the database, and a link once its tenant is known", async () => {
    const { authenticate } = instance();
    expect(authenticate(ownerSecret, peer)).toEqual({ kind: "service-owner", id: "service-owner" });
    const link = {
      id: "lnk_1",
      tenant: "acme",
      orderId: "PO-1",
      expiresAtMs: Math.ceil(service.nowMs / 1000) * 1000 + 60_000,
    };
    expect(await authenticate(service.links.encode(link), peer)).toEqual({ kind: "link", ...link });
    expect(authenticate(service.links.encode(link), peer)).toEqual({ kind: "link", ...link });
    const nobodys = service.links.encode({ ...link, tenant: "nobody" });
    expect((await refusalOf(() => authenticate(nobodys, peer))).reason).toBe(ErrorReason.CREDENTIAL_INVALID);
  });
});

describe("who is refused", () => {
  test.each([undefined, ""])("no credential (%j) is said to be missing", async (bearer) => {
    const { authenticate } = instance();
    expect((await refusalOf(() => authenticate(bearer, peer))).reason).toBe(ErrorReason.CREDENTIAL_MISSING);
  });

  test.each(["x", "Bearer", "lead_owner_abc_def", "link_AAAA", `${ownerSecret} `, "A".repeat(100_000), "lead_\u0000"])(
    "%# is refused without the database",
    async (bearer) => {
      const { authenticate } = instance();
      reads = 0;
      expect((await refusalOf(() => authenticate(bearer, peer))).reason).toBe(ErrorReason.CREDENTIAL_INVALID);
      expect(reads).toBe(0);
    },
  );

  test("an unknown key, another's secret and a revoked key are refused in the same words", async () => {
    const { authenticate } = instance();
    const { id } = await createKey();
    const revoked = await createKey();
    await revokeInDatabase(revoked.id);
    const texts = [drawKey("owner", "key_nobodys").text, drawKey("operator", id).text, revoked.secret];
    const refusals = await Promise.all(texts.map((text) => refusalOf(() => authenticate(text, peer))));
    expect(refusals.map((refusal) => refusal.reason)).toEqual(Array(3).fill(ErrorReason.CREDENTIAL_INVALID));
    expect(new Set(refusals.map((refusal) => refusal.message)).size).toBe(1);
  });

  test("a key is refused from the moment it expires, known or not", async () => {
    const expiresAtMs = service.nowMs + 1_000;
    const { secret } = await createKey({ expiresAt: timestampFromMs(expiresAtMs) });
    const { authenticate } = instance();
    expect(await authenticate(secret, peer)).toMatchObject({ expiresAtMs });
    service.nowMs = expiresAtMs;
    expect((await refusalOf(() => authenticate(secret, peer))).reason).toBe(ErrorReason.CREDENTIAL_EXPIRED);
    const fresh = instance();
    expect((await refusalOf(() => fresh.authenticate(secret, peer))).reason).toBe(ErrorReason.CREDENTIAL_EXPIRED);
  });

  test("a link that has expired is refused", async () => {
    const { authenticate } = instance();
    const token = service.links.encode({
      id: "lnk_1",
      tenant: "acme",
      orderId: "PO-1",
      expiresAtMs: service.nowMs - 1_000,
    });
    expect((await refusalOf(() => authenticate(token, peer))).reason).toBe(ErrorReason.CREDENTIAL_EXPIRED);
  });

  test("a peer that keeps guessing is slowed down; others, and keys that are known, are not", async () => {
    const { authenticate } = instance();
    const { secret } = await createKey();
    await authenticate(secret, peer);
    const guess = () => refusalOf(() => authenticate(drawKey("owner", "key_nobodys").text, peer));
    const reasons: unknown[] = [];
    for (let i = 0; i < 21; i++) reasons.push((await guess()).reason);
    expect(reasons.slice(0, 20)).toEqual(Array(20).fill(ErrorReason.CREDENTIAL_INVALID));
    expect(reasons[20]).toBe(ErrorReason.RATE_LIMITED);
    expect(authenticate(secret, peer)).toMatchObject({ kind: "key" });
    const another = await createKey();
    expect(await authenticate(another.secret, "192.0.2.2")).toMatchObject({ kind: "key" });
  });

  test("a peer whose guesses come all at once has no more of them looked up, whatever host of its network says them", async () => {
    const { authenticate } = instance();
    const { secret } = await createKey();
    const guesses = Array.from({ length: 300 }, (_, i) => [drawKey("owner", `key_${i}`).text, `2001:db8:0:1::${i}`]);
    reads = 0;
    const asked = guesses.map(([text = "", from = ""]) => refusalOf(() => authenticate(text, from)));
    // Nor does another address wait for all of them.
    expect(await authenticate(secret, "2001:db8:0:2::1")).toMatchObject({ kind: "key" });
    const wrong = (await Promise.all(asked)).filter(({ reason }) => reason === ErrorReason.CREDENTIAL_INVALID);
    // Twenty, and those that were under way when the twentieth was found to be wrong.
    expect(wrong.length).toBeGreaterThanOrEqual(20);
    expect(wrong.length).toBeLessThan(28);
    expect(reads).toBeLessThanOrEqual(wrong.length + 1);
    service.nowMs += 1_000;
    const again = await refusalOf(() => authenticate(drawKey("owner", "key_nobodys").text, "2001:db8:0:1::9"));
    expect(again.reason).toBe(ErrorReason.CREDENTIAL_INVALID);
  });

  test("when the database cannot be asked, that is what is said", async () => {
    await using away = await startService(nowhere);
    const { authenticate } = instance(undefined, { keys: keyRecords(away.orm) });
    const refusal = await refusalOf(() => authenticate(drawKey("owner", "key_a").text, peer));
    expect(refusal.reason).toBe(ErrorReason.DATABASE_UNAVAILABLE);
  });
});

describe("revocation", () => {
  test("through this instance it holds at once, and ends the key's streams", async () => {
    const { id, secret } = await createKey();
    const { credentials, authenticate, ended } = instance();
    await authenticate(secret, peer);
    await revokeInDatabase(id);
    credentials.revoked(id);
    expect(ended).toEqual([id]);
    expect((await refusalOf(() => authenticate(secret, peer))).reason).toBe(ErrorReason.CREDENTIAL_INVALID);
  });

  test("through another instance it holds as soon as that one tells", async () => {
    const { id, secret } = await createKey();
    const wire = new Wire();
    const [here, there] = [instance(wire), instance(wire)];
    await there.authenticate(secret, peer);
    there.streams.push(ofKey(id));
    await revokeInDatabase(id);
    here.credentials.revoked(id);
    await expect.poll(() => there.ended).toEqual([id]);
    expect((await refusalOf(() => there.authenticate(secret, peer))).reason).toBe(ErrorReason.CREDENTIAL_INVALID);
  });

  test("what the bus says is not believed: a key that still holds keeps its streams", async () => {
    const { id, secret } = await createKey();
    const wire = new Wire();
    const there = instance(wire);
    const principal = await there.authenticate(secret, peer);
    there.streams.push(ofKey(id));
    new InProcessBus(wire).announceRevocation(id);
    await expect.poll(() => there.authenticate(secret, peer) instanceof Promise).toBe(true);
    expect(await there.authenticate(secret, peer)).toEqual(principal);
    await there.credentials.stop();
    expect(there.ended).toEqual([]);
  });

  test("when nobody tells, the sweep ends the streams of keys that were revoked or are gone, and no others", async () => {
    const { credentials, streams, ended } = instance();
    const [kept, revoked, gone] = [await createKey(), await createKey(), await createKey()];
    for (const { id } of [kept, revoked, gone]) streams.push(ofKey(id));
    await revokeInDatabase(revoked.id);
    await service.database.sql("delete from api_key where id = $1", [gone.id]);
    await credentials.sweep();
    expect(ended.sort()).toEqual([revoked.id, gone.id].sort());
  });

  test("what may have been missed on the bus is looked for when it is back, and not at the next sweep alone", async () => {
    const { id } = await createKey();
    const wire = new InProcessBus(new Wire());
    let back: () => void = () => {};
    const bus = {
      announceRevocation: wire.announceRevocation.bind(wire),
      onRevocation: wire.onRevocation.bind(wire),
      onResync(listener: () => void) {
        back = listener;
        return () => {};
      },
    };
    const { credentials, streams, ended } = instance(undefined, { bus });
    streams.push(ofKey(id));
    await revokeInDatabase(id);
    back();
    await credentials.stop();
    expect(ended).toEqual([id]);
    await wire.close();
  });

  test("the sweep ends the streams of tokens whose tenant is gone, or whose signing key was withdrawn, and no others", async () => {
    const tokens = { verify: () => Promise.reject(new Error("not asked")), withdrawn: async () => new Set(["second"]) };
    const { credentials, streams, ended } = instance(undefined, { tokens });
    const token = (id: string, tenant: string, signer: string) => ({ kind: "token", tenant, id, signer }) as const;
    streams.push(
      token("kept", "acme", "first"),
      token("tenantless", "nobody", "first"),
      token("old", "acme", "second"),
    );
    await credentials.sweep();
    expect(ended.sort()).toEqual(["old", "tenantless"]);
  });

  test("a key that is revoked while it is looked up is not remembered", async () => {
    const { id, secret } = await createKey();
    const records = keyRecords(service.orm);
    const { credentials, authenticate } = instance(undefined, {
      keys: {
        ...records,
        async find(keyId) {
          const found = await records.find(keyId);
          if (found?.revoked === false) {
            await revokeInDatabase(id);
            credentials.revoked(id);
          }
          return found;
        },
      },
    });
    expect((await refusalOf(() => authenticate(secret, peer))).reason).toBe(ErrorReason.CREDENTIAL_INVALID);
  });
});

describe("the last use", () => {
  async function lastUsed(id: string): Promise<number | undefined> {
    const [row] = await service.database.sql<{ last_used_at: Date | null }>(
      "select last_used_at from api_key where id = $1",
      [id],
    );
    return row?.last_used_at?.getTime();
  }

  test("is written in batches, with the time of the last call, and on stop", async () => {
    const { credentials, authenticate } = instance();
    const [a, b] = [await createKey(), await createKey()];
    await authenticate(a.secret, peer);
    await authenticate(b.secret, peer);
    expect(await lastUsed(a.id)).toBeUndefined();
    await credentials.writeUsed();
    expect([await lastUsed(a.id), await lastUsed(b.id)]).toEqual([service.nowMs, service.nowMs]);
    const before = service.nowMs;
    service.nowMs += 1_000;
    await authenticate(a.secret, peer);
    await credentials.stop();
    expect([await lastUsed(a.id), await lastUsed(b.id)]).toEqual([service.nowMs, before]);
  });

  test("never goes back, whichever instance writes last", async () => {
    const { id } = await createKey();
    const records = keyRecords(service.orm);
    await records.used([{ tenant: "acme", id, atMs: service.nowMs }]);
    await records.used([{ tenant: "acme", id, atMs: service.nowMs - 60_000 }]);
    expect(await lastUsed(id)).toBe(service.nowMs);
  });

  test("is kept for the next time when it cannot be written", async () => {
    const { id, secret } = await createKey();
    let broken = true;
    const records = keyRecords(service.orm);
    const { credentials, authenticate } = instance(undefined, {
      keys: { ...records, used: (used) => (broken ? Promise.reject(new Error("away")) : records.used(used)) },
    });
    await authenticate(secret, peer);
    await expect(credentials.writeUsed()).rejects.toThrow("away");
    broken = false;
    await credentials.writeUsed();
    expect(await lastUsed(id)).toBe(service.nowMs);
  });
});
