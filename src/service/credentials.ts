/**
 * Who calls: from the text after `Bearer` to a principal, for both doors.
 *
 * A credential that was found is answered from memory, without a promise, for a short time (`cacheMs`). A key ends in one
 * of three ways, and its open streams with it:
 *  - it is revoked through this instance: `revoked` forgets it, ends its streams and tells the other instances, at once;
 *  - it is revoked through another one, which tells: the key is read again first, since what the bus says is not proof;
 *  - it is revoked and nobody tells: memory ends after `cacheMs`, streams at the next sweep.
 * That keys expire is checked on every call; that streams end with them is the watch's own business.
 */
import { hash as digest } from "node:crypto";
import { RateLimiterMemory } from "rate-limiter-flexible";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import { hashOf, keyIdOf, sameHash } from "./api-key.ts";
import type { KeyOfTenant, KeyRecords } from "./key-records.ts";
import { isLinkToken, type LinkTokens } from "./link-token.ts";

/** How the doors ask: the text after `Bearer `, and the caller's address without its port. Throws or rejects with a Refusal. */
export type Authenticator = (bearer: string | undefined, peer: string) => Principal | Promise<Principal>;

/** The part of the bus that tells of revoked keys. Announcements may be lost, repeated or made up. */
export interface RevocationBus {
  announceRevocation(credential: string): void;
  /** @returns stops listening */
  onRevocation(listener: (credential: string) => void): () => void;
  /** Calls back when announcements may have been missed. @returns stops listening */
  onResync(listener: () => void): () => void;
}

export interface CredentialsOptions {
  readonly keys: KeyRecords;
  readonly links: LinkTokens;
  /** SHA-256 of the service owner's credential. */
  readonly ownerHash: Uint8Array;
  readonly bus: RevocationBus;
  /** Ends all streams of a key on this instance. */
  endStreams(keyId: string): void;
  /** The keys that have streams open on this instance; links are of no interest, they cannot be revoked. */
  streamKeys(): Iterable<KeyOfTenant>;
  /** What could not be done in the background; it is tried again the next time. */
  onError(error: unknown): void;
  /** Default 5,000. 0: every call asks the database. */
  readonly cacheMs?: number;
  /** Default 10,000: how often the keys of open streams are read again. */
  readonly sweepMs?: number;
  /** Default 60,000: how often last uses are written down. */
  readonly usedMs?: number;
  /** Default 10,000: credentials kept in memory; the one least lately looked up goes first. */
  readonly cacheMax?: number;
  /** Milliseconds since the epoch. */
  now?(): number;
}

interface Known {
  readonly principal: Principal;
  readonly tier: Tier;
  /** From then on the database is asked again; Infinity: never. */
  readonly staleAtMs: number;
}

/** Longer texts are none of ours; hashing them would be the caller's to command. */
const maxLength = 1_024;

/** Wrong credentials of one peer in a second. Credentials in memory are not affected. */
const failuresPerSecond = 20;

export class Credentials {
  readonly #options: CredentialsOptions;
  readonly #now: () => number;
  readonly #cacheMs: number;
  readonly #cacheMax: number;
  /** By the SHA-256 of the text, so that no secret stays in memory. */
  readonly #known = new Map<string, Known>();
  readonly #hashesByKey = new Map<string, Set<string>>();
  readonly #looking = new Map<string, Promise<Principal>>();
  /** A well-formed credential that is wrong costs a look at the database: this bounds how many one peer gets. */
  readonly #failures = new RateLimiterMemory({ points: failuresPerSecond, duration: 1 });
  #used = new Map<string, KeyOfTenant & { atMs: number }>();
  /** Counts what was forgotten, so that an answer which was under way meanwhile is not trusted. */
  #forgotten = 0;
  #stops: (() => void)[] = [];
  #background: Promise<void> = Promise.resolve();

  constructor(options: CredentialsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#cacheMs = options.cacheMs ?? 5_000;
    this.#cacheMax = options.cacheMax ?? 10_000;
  }

  /** Listens to the bus and starts the sweep. */
  start(): void {
    const sweep = setInterval(() => this.#later(() => this.sweep()), this.#options.sweepMs ?? 10_000);
    const used = setInterval(() => this.#later(() => this.writeUsed()), this.#options.usedMs ?? 60_000);
    const unlisten = this.#options.bus.onRevocation((keyId) => this.#told(keyId));
    const resynced = this.#options.bus.onResync(() => this.#later(() => this.sweep()));
    this.#stops = [unlisten, resynced, () => clearInterval(sweep), () => clearInterval(used)];
    for (const timer of [sweep, used]) timer.unref();
  }

  /** Stops listening and sweeping, and writes the last uses down. The database must still be there. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    this.#later(() => this.writeUsed());
    await this.#background;
  }

  /** @see Authenticator */
  readonly authenticate: Authenticator = (bearer, peer) => {
    if (bearer === undefined || bearer === "") {
      throw new Refusal(ErrorReason.CREDENTIAL_MISSING, "there is no credential; send authorization: Bearer lead_...");
    }
    if (bearer.length > maxLength) throw invalid();
    const id = digest("sha256", bearer, "base64");
    const known = this.#known.get(id);
    if (known !== undefined && known.staleAtMs > this.#now()) return this.#admit(known.principal);
    const hash = hashOf(bearer);
    if (sameHash(hash, this.#options.ownerHash))
      return this.#admit(this.#learn(id, serviceOwner, Tier.UNSPECIFIED, Infinity));
    if (isLinkToken(bearer)) return this.#link(id, bearer);
    const keyId = keyIdOf(bearer);
    if (keyId === undefined) throw invalid();
    return this.#key(id, keyId, hash, peer);
  };

  /** What the tenant of a key that was authenticated here has bought. */
  tierOf(principal: Principal): Tier {
    for (const hash of this.#hashesByKey.get(principal.id) ?? [])
      return this.#known.get(hash)?.tier ?? Tier.UNSPECIFIED;
    return Tier.UNSPECIFIED;
  }

  /** A key was revoked through this instance, and the database says so already. */
  revoked(keyId: string): void {
    this.#forget(keyId);
    this.#options.endStreams(keyId);
    this.#options.bus.announceRevocation(keyId);
  }

  /** Reads the keys of open streams again, and ends the streams of those that no longer hold. Rejects with the database's error. */
  async sweep(): Promise<void> {
    await this.#endUnlessHolding([...new Map([...this.#options.streamKeys()].map((key) => [key.id, key])).values()]);
  }

  /** Writes down when keys were last used. Rejects with the database's error; the uses are kept for the next time. */
  async writeUsed(): Promise<void> {
    const used = this.#used;
    if (used.size === 0) return;
    this.#used = new Map();
    try {
      await this.#options.keys.used([...used.values()]);
    } catch (error) {
      this.#used = new Map([...used, ...this.#used]);
      throw error;
    }
  }

  /** Tells of an end that another instance announced. Not believed: anyone on the bus may say so. */
  #told(keyId: string): void {
    this.#forget(keyId);
    const streams = [...this.#options.streamKeys()].filter((key) => key.id === keyId);
    if (streams.length > 0) this.#later(() => this.#endUnlessHolding(streams.slice(0, 1)));
  }

  async #endUnlessHolding(keys: readonly KeyOfTenant[]): Promise<void> {
    if (keys.length === 0) return;
    const holding = await this.#options.keys.holding(keys);
    for (const { id } of keys) {
      if (holding.has(id)) continue;
      this.#forget(id);
      this.#options.endStreams(id);
    }
  }

  #link(hash: string, token: string): Principal {
    const link = this.#options.links.decode(token);
    if (link === undefined) throw invalid();
    return this.#admit(this.#learn(hash, { kind: "link", ...link }, Tier.UNSPECIFIED, Infinity));
  }

  /** One look at the database serves all callers that wait for it. */
  #key(hash: string, keyId: string, bytes: Uint8Array, peer: string): Promise<Principal> {
    const under = this.#looking.get(hash);
    if (under !== undefined) return under.then((principal) => this.#admit(principal));
    const looking = this.#look(hash, keyId, bytes, peer).finally(() => this.#looking.delete(hash));
    this.#looking.set(hash, looking);
    return looking.then((principal) => this.#admit(principal));
  }

  async #look(hash: string, keyId: string, bytes: Uint8Array, peer: string): Promise<Principal> {
    const failures = await this.#failures.get(peer);
    if (failures !== null && failures.consumedPoints >= failuresPerSecond && failures.msBeforeNext > 0) {
      throw new Refusal(ErrorReason.RATE_LIMITED, `too many wrong credentials from ${peer}; wait a second`, {
        retryAfterMs: failures.msBeforeNext,
      });
    }
    for (;;) {
      const before = this.#forgotten;
      const key = await this.#options.keys.find(keyId);
      if (before !== this.#forgotten) continue;
      if (key === undefined || key.revoked || !sameHash(key.hash, bytes)) {
        await this.#failures.penalty(peer);
        throw invalid();
      }
      const { id, name, tenant, role, carrier, expiresAtMs } = key;
      return this.#learn(
        hash,
        { kind: "key", id, name, tenant, role, carrier, expiresAtMs },
        key.tier,
        this.#now() + this.#cacheMs,
      );
    }
  }

  #learn(hash: string, principal: Principal, tier: Tier, staleAtMs: number): Principal {
    this.#drop(hash);
    this.#known.set(hash, { principal, tier, staleAtMs });
    const hashes = this.#hashesByKey.get(principal.id) ?? new Set();
    this.#hashesByKey.set(principal.id, hashes.add(hash));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= this.#cacheMax) break;
      this.#drop(oldest);
    }
    return principal;
  }

  #drop(hash: string): void {
    const known = this.#known.get(hash);
    if (known === undefined) return;
    this.#known.delete(hash);
    const hashes = this.#hashesByKey.get(known.principal.id);
    hashes?.delete(hash);
    if (hashes?.size === 0) this.#hashesByKey.delete(known.principal.id);
  }

  #forget(keyId: string): void {
    this.#forgotten++;
    for (const hash of [...(this.#hashesByKey.get(keyId) ?? [])]) this.#drop(hash);
  }

  /** The last check of every call, and the note that the key was used. */
  #admit(principal: Principal): Principal {
    if (principal.kind === "service-owner") return principal;
    const nowMs = this.#now();
    if (principal.expiresAtMs !== undefined && principal.expiresAtMs <= nowMs) {
      throw new Refusal(
        ErrorReason.CREDENTIAL_EXPIRED,
        `the credential "${principal.id}" expired at ${new Date(principal.expiresAtMs).toISOString()}; ask for a new one`,
      );
    }
    if (principal.kind === "key")
      this.#used.set(principal.id, { tenant: principal.tenant, id: principal.id, atMs: nowMs });
    return principal;
  }

  /** Background work, one after another; `stop` waits for it. */
  #later(work: () => Promise<void>): void {
    this.#background = this.#background.then(work).catch((error: unknown) => this.#options.onError(error));
  }
}

const serviceOwner: Principal = { kind: "service-owner", id: "service-owner" };

/** Says the same of a credential that is malformed, unknown and revoked: nothing is to be learnt by trying. */
function invalid(): Refusal {
  return new Refusal(ErrorReason.CREDENTIAL_INVALID, "the credential is not one of ours, or was revoked");
}
