/** What others on the bus say of keys and tenants, as often as they like, and what it does to calls and streams here. */
import { afterEach, describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { InProcessBus, Wire } from "../../src/bus/in-process.ts";
import { drawKey, hashOf } from "../../src/service/api-key.ts";
import { Credentials, type CredentialsOptions } from "../../src/service/credentials.ts";
import type { KeyRecord, KeyRecords } from "../../src/service/key-records.ts";
import type { StreamHolder } from "../../src/service/limits.ts";
import { LinkTokens } from "../../src/service/link-token.ts";
import { nothingAgreed, Tenancy, type TenantTerms } from "../../src/service/tenancy.ts";
import { refusalOf } from "./support.ts";

const peer = "192.0.2.1";
const { text: secret } = drawKey("operator", "key_1");

const running: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
});

const termsOf = (tenant: string): TenantTerms => ({
  ...{ tenant, tier: Tier.ASSISTED, state: TenantState.ACTIVE, agreed: nothingAgreed },
});

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What takes place between the n-th read of the key and its answer. */
type Meanwhile = (world: ReturnType<typeof open>, reads: number) => Promise<void>;

/** One instance that knows the key `key_1` of acme, and someone on the bus who says what they like. */
function open(meanwhile: Meanwhile = async () => {}, options: Partial<CredentialsOptions> = {}) {
  const wire = new Wire();
  const [bus, anyone] = [new InProcessBus(wire), new InProcessBus(wire)];
  const ended: string[] = [];
  const streams: StreamHolder[] = [];
  const counts = { find: 0, holding: 0 };
  let revoked = false;
  const key = (): KeyRecord => ({
    ...{ id: "key_1", tenant: "acme", terms: termsOf("acme"), name: "one", role: Role.OPERATOR, carrier: "" },
    ...{ hash: hashOf(secret), expiresAtMs: undefined, revoked, support: false },
  });
  const keys: KeyRecords = {
    async find() {
      counts.find += 1;
      const found = key();
      // So that whoever begins again without end is found out, and does not hang.
      if (counts.find < 20) await meanwhile(world, counts.find);
      return found;
    },
    terms: async (tenants) => new Map([...tenants].map((tenant) => [tenant, termsOf(tenant)])),
    async holding(asked) {
      counts.holding += 1;
      return new Set(revoked ? [] : asked.map(({ id }) => id));
    },
    used: async () => {},
  };
  const onError = (error: unknown) => {
    throw error;
  };
  const tenancy = new Tenancy({ read: keys.terms, ...{ bus, streaming: () => [], hold: () => {}, onError } });
  tenancy.start();
  const credentials = new Credentials({
    ...{ keys, tenancy, bus, onError, links: new LinkTokens(Buffer.alloc(32)), ownerHash: hashOf("the owner") },
    endStreams: (id) => ended.push(id),
    streamHolders: () => streams,
    ...options,
  });
  credentials.start();
  running.push(
    () => credentials.stop(),
    () => tenancy.stop(),
    () => bus.close(),
    () => anyone.close(),
  );
  const revoke = () => {
    revoked = true;
  };
  const world = { anyone, credentials, counts, ended, revoke, streams, tenancy };
  return world;
}

const reasonOf = async (call: () => unknown) => (await refusalOf(call)).reason;

describe("while a key is looked up", () => {
  test("what is said of other keys is of no interest", async () => {
    const { credentials, counts } = open(async ({ anyone }) => {
      for (let i = 0; i < 10; i++) {
        anyone.announceRevocation("key_other");
        await turn();
      }
    });
    const principal = await credentials.authenticate(secret, peer);
    expect(counts.find).toBe(1);
    expect(credentials.authenticate(secret, peer)).toBe(principal);
  });

  test("what is said of other tenants is of no interest", async () => {
    const { credentials, counts, tenancy } = open(async ({ anyone }) => {
      for (let i = 0; i < 10; i++) {
        anyone.announceTenant("other");
        await turn();
      }
    });
    tenancy.remember(termsOf("other"), tenancy.age);
    const principal = await credentials.authenticate(secret, peer);
    expect(counts.find).toBe(1);
    expect(credentials.authenticate(secret, peer)).toBe(principal);
  });

  test("what is said of its tenant again and again does not keep it out", async () => {
    const { credentials, counts, tenancy } = open(async ({ anyone }) => {
      anyone.announceTenant("acme");
      await turn();
    });
    tenancy.remember(termsOf("acme"), tenancy.age);
    expect(await credentials.authenticate(secret, peer)).toMatchObject({ id: "key_1" });
    expect(counts.find).toBe(3);
    expect(tenancy.of("acme")).toEqual(termsOf("acme"));
  });

  test("what is said of it again and again does not keep it out, and it is not remembered", async () => {
    const { credentials, counts } = open(async ({ anyone }) => {
      anyone.announceRevocation("key_1");
      await turn();
    });
    expect(await credentials.authenticate(secret, peer)).toMatchObject({ id: "key_1" });
    expect(counts.find).toBe(3);
    expect(credentials.authenticate(secret, peer)).toBeInstanceOf(Promise);
  });

  test.each([1, 2])("its end during read %d keeps it out, whatever is said besides", async (read) => {
    const { credentials, counts } = open(async ({ anyone, revoke }, reads) => {
      if (reads === read) revoke();
      anyone.announceRevocation("key_1");
      await turn();
    });
    expect(await reasonOf(() => credentials.authenticate(secret, peer))).toBe(ErrorReason.CREDENTIAL_INVALID);
    expect(counts.find).toBe(read + 1);
  });

  test("who comes after its end is kept out, even if the last read of another call was sent before", async () => {
    const after: Promise<unknown>[] = [];
    const { credentials } = open(async ({ anyone, credentials, revoke }, reads) => {
      if (reads > 3) return;
      if (reads === 3) revoke();
      anyone.announceRevocation("key_1");
      await turn();
      if (reads === 3) after.push(reasonOf(() => credentials.authenticate(secret, peer)));
    });
    // This one came before, and may be let in once.
    await credentials.authenticate(secret, peer);
    expect(await after[0]).toBe(ErrorReason.CREDENTIAL_INVALID);
    expect(await reasonOf(() => credentials.authenticate(secret, peer))).toBe(ErrorReason.CREDENTIAL_INVALID);
  });
});

describe("a key with streams that is said to have ended", () => {
  const ofKey = { kind: "key", tenant: "acme", id: "key_1", signer: "" } as const;

  test("is read again once for all that was said while it was read", async () => {
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    let asked = 0;
    const { anyone, credentials, streams } = open(undefined, {
      keys: {
        ...{ find: async () => undefined, terms: async () => new Map(), used: async () => {} },
        async holding(keys) {
          asked += 1;
          await gate;
          return new Set(keys.map(({ id }) => id));
        },
      },
    });
    streams.push(ofKey);
    for (let i = 0; i < 100; i++) {
      anyone.announceRevocation("key_1");
      await turn();
    }
    go();
    await credentials.stop();
    expect(asked).toBe(2);
  });

  test("loses them at once, though a sweep waits for an issuer that does not answer", async () => {
    let answer = (_: Set<string>) => {};
    let asked = false;
    let back = () => {};
    const wire = new Wire();
    const [bus, anyone] = [new InProcessBus(wire), new InProcessBus(wire)];
    const withdrawn = () => {
      asked = true;
      return new Promise<Set<string>>((resolve) => {
        answer = resolve;
      });
    };
    const { credentials, ended, revoke, streams } = open(undefined, {
      tokens: { verify: () => Promise.reject(new Error("not asked")), withdrawn },
      bus: {
        announceRevocation: () => {},
        onRevocation: (listener) => bus.onRevocation(listener),
        onResync(listener) {
          back = listener;
          return () => {};
        },
      },
    });
    streams.push(ofKey, { kind: "token", tenant: "acme", id: "jwt_1", signer: "first" });
    back();
    await expect.poll(() => asked).toBe(true);
    revoke();
    anyone.announceRevocation("key_1");
    await turn();
    await turn();
    expect(ended).toEqual(["key_1"]);
    answer(new Set());
    await credentials.stop();
    for (const end of [bus, anyone]) await end.close();
  });
});
