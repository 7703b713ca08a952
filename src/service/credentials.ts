/**
 * Who calls: from the text after `Bearer` to a principal, for both doors.
 *
 * A credential that was found is answered from memory, without a promise, for a short time (`cacheMs`). A key ends in one
 * of three ways, and its open streams with it:
 *  - it is revoked through this instance: `revoked` forgets it, ends its streams and tells the other instances, at once;
 *  - it is revoked through another one, which tells: the key is read again first, since what the bus says is not proof;
 *  - it is revoked and nobody tells: memory ends after `cacheMs`, streams at the next sweep.
 * That credentials expire is checked on every call; that streams end with them is the watch's own business. A token of the
 * identity provider is verified again as often as a key is read, and ends with its tenant and with the key that signed it,
 * at the next sweep.
 */
import { hash as digest } from "node:crypto";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { TenantState } from "../../gen/leadline/v1/tenant_pb.ts";
import { equalClaims } from "../domain/deficit-round-robin.ts";
import type { Principal } from "../domain/principal.ts";
import { Code, Refusal } from "../domain/refusal.ts";
import { Permits } from "../watch/permits.ts";
import { networkOf } from "./address.ts";
import { hashOf, keyIdOf, sameHash } from "./api-key.ts";
import { Doubts, READS_MOST } from "./doubts.ts";
import { isJwt, type JwtVerifier, tokenRefused } from "./jwt.ts";
import type { KeyOfTenant, KeyRecords } from "./key-records.ts";
import type { StreamHolder } from "./limits.ts";
import { isLinkToken, type LinkTokens } from "./link-token.ts";
import { PerSecond } from "./per-second.ts";
import { type Tenancy, type TenantTerms, tenantClosed } from "./tenancy.ts";

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
  /** What the credentials' tenants have bought, and whether they are closed. */
  readonly tenancy: Tenancy;
  readonly links: LinkTokens;
  /** Tokens of an identity provider; absent: none are taken. */
  readonly tokens?: Pick<JwtVerifier, "verify" | "withdrawn"> | undefined;
  /** SHA-256 of the service owner's credential. */
  readonly ownerHash: Uint8Array;
  readonly bus: RevocationBus;
  /** Ends all streams of a key or of a token's subject on this instance. */
  endStreams(id: string): void;
  /** Whose streams are open on this instance; links are of no interest, they cannot be revoked. */
  streamHolders(): Iterable<StreamHolder>;
  /** What could not be done in the background; it is tried again the next time. */
  onError(error: unknown): void;
  /** Default 5,000. 0: every call asks the database. */
  readonly cacheMs?: number;
  /** Default 10,000: how often the keys of open streams are read again. */
  readonly sweepMs?: number;
  /** Default 10,000: credentials kept in memory; the one least lately looked up goes first. */
  readonly cacheMax?: number;
  /** Default 20: wrong credentials of one address in a second. Past them only credentials in memory are taken. */
  readonly wrongPerSecond?: number;
  /** Milliseconds since the epoch. */
  now?(): number;
}

interface Known {
  readonly principal: Principal;
  /** From then on the database is asked again; Infinity: never. */
  readonly staleAtMs: number;
}

/** What a look at the database has found. */
interface Found {
  readonly principal: Exclude<Principal, { kind: "service-owner" }>;
  readonly terms: TenantTerms;
}

/** How often last uses are written down. */
const writeUsedMs = 60_000;

/** Longer texts are none of ours; hashing them would be the caller's to command. */
const maxLength = 1_024;

/** Credentials that are looked up at a time, addresses by turns: what is wrong is known only then. */
const looksAtATime = 8;

export class Credentials {
  readonly #options: CredentialsOptions;
  readonly #now: () => number;
  readonly #cacheMs: number;
  readonly #cacheMax: number;
  readonly #wrongPerSecond: number;
  /** By the SHA-256 of the text, so that no secret stays in memory. */
  readonly #known = new Map<string, Known>();
  readonly #hashesByKey = new Map<string, Set<string>>();
  readonly #looking = new Map<string, Promise<Found>>();
  /** A well-formed credential that is wrong costs a look at the database: this bounds how many one address gets. */
  readonly #failures = new PerSecond();
  /** Apart, so that an issuer that does not answer holds up no keys. */
  readonly #keyLooks = new Permits(looksAtATime, 1, equalClaims);
  readonly #tokenLooks = new Permits(looksAtATime, 1, equalClaims);
  #used = new Map<string, KeyOfTenant & { atMs: number }>();
  /** What was forgotten: an answer that was under way meanwhile is not trusted. */
  readonly #doubts = new Doubts();
  /** Keys whose end others told of, and that are to be read again: once, however often they were told of. */
  #due = new Set<string>();
  #stops: (() => void)[] = [];
  #background: Promise<void> = Promise.resolve();
  /** Apart from what else is done in the background: a sweep may wait for an issuer that does not answer. */
  #reading: Promise<void> = Promise.resolve();

  constructor(options: CredentialsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#cacheMs = options.cacheMs ?? 5_000;
    this.#cacheMax = options.cacheMax ?? 10_000;
    this.#wrongPerSecond = options.wrongPerSecond ?? 20;
  }

  /** Listens to the bus and starts the sweep. */
  start(): void {
    const sweep = setInterval(() => this.#later(() => this.sweep()), this.#options.sweepMs ?? 10_000);
    const used = setInterval(() => this.#later(() => this.writeUsed()), writeUsedMs);
    const unlisten = this.#options.bus.onRevocation((keyId) => this.#told(keyId));
    const resynced = this.#options.bus.onResync(() => this.#later(() => this.sweep()));
    this.#stops = [unlisten, resynced, () => clearInterval(sweep), () => clearInterval(used)];
    for (const timer of [sweep, used]) timer.unref();
  }

  /** Stops listening and sweeping, and writes the last uses down. The database must still be there. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    this.#later(() => this.writeUsed());
    await Promise.all([this.#background, this.#reading]);
  }

  /**
   * How the doors ask: the text after `Bearer `, and the caller's address without its port. A promise only where the database
   * has to be asked. Throws or rejects with a Refusal.
   */
  readonly authenticate = (bearer: string | undefined, peer: string): Principal | Promise<Principal> => {
    if (bearer === undefined || bearer === "") {
      throw new Refusal(ErrorReason.CREDENTIAL_MISSING, "there is no credential; send authorization: Bearer lead_...");
    }
    const { tokens } = this.#options;
    const token = tokens !== undefined && isJwt(bearer);
    if (bearer.length > maxLength && !token) throw invalid();
    const id = digest("sha256", bearer, "base64");
    const known = this.#known.get(id);
    if (known !== undefined && known.staleAtMs > this.#now()) return this.#enter(known.principal);
    if (token)
      return this.#shared(id, () => this.#inTurn(this.#tokenLooks, peer, () => this.#lookToken(tokens, id, bearer)));
    const hash = hashOf(bearer);
    if (sameHash(hash, this.#options.ownerHash)) return this.#learn(id, serviceOwner, Infinity);
    if (isLinkToken(bearer)) return this.#link(id, bearer);
    const keyId = keyIdOf(bearer);
    if (keyId === undefined) throw invalid();
    return this.#shared(id, () => this.#inTurn(this.#keyLooks, peer, () => this.#look(id, keyId, hash)));
  };

  /** A key was revoked through this instance, and the database says so already. */
  revoked(keyId: string): void {
    this.#forget(keyId);
    this.#options.endStreams(keyId);
    this.#options.bus.announceRevocation(keyId);
  }

  /**
   * Authorises open streams again, and ends those whose credential no longer holds. Rejects with the database's error, or
   * that of the issuer of tokens; what could be asked is ended before.
   */
  async sweep(): Promise<void> {
    const holders = [...this.#options.streamHolders()];
    const keys = holders.filter(({ kind }) => kind === "key");
    await this.#endUnlessHolding([...new Map(keys.map((key) => [key.id, key])).values()]);
    await this.#sweepTokens(holders.filter(({ kind }) => kind === "token"));
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

  /** Another instance tells of an end. Not believed: anyone on the bus may say so. */
  #told(keyId: string): void {
    this.#forget(keyId);
    this.#due.add(keyId);
    if (this.#due.size > 1) return;
    this.#reading = this.#reading.then(() => this.#readDue()).catch((error: unknown) => this.#options.onError(error));
  }

  /** Reads all keys with streams at once that were told of; who is told of from now on is read after this. */
  async #readDue(): Promise<void> {
    const due = this.#due;
    this.#due = new Set();
    const keys = [...this.#options.streamHolders()].filter(({ kind, id }) => kind === "key" && due.has(id));
    await this.#endUnlessHolding([...new Map(keys.map((key) => [key.id, key])).values()]);
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

  /** Tokens end with their tenant, and with the key that signed them. */
  async #sweepTokens(holders: readonly StreamHolder[]): Promise<void> {
    const { keys, tokens } = this.#options;
    if (holders.length === 0 || tokens === undefined) return;
    const terms = await keys.terms(new Set(holders.map(({ tenant }) => tenant)));
    const end = (lost: (holder: StreamHolder) => boolean): void => {
      for (const { id } of holders.filter(lost)) {
        this.#forget(id);
        this.#options.endStreams(id);
      }
    };
    end(({ tenant }) => !terms.has(tenant));
    const withdrawn = await tokens.withdrawn(new Set(holders.map(({ signer }) => signer)));
    end(({ signer }) => withdrawn.has(signer));
  }

  #link(hash: string, token: string): Principal | Promise<Principal> {
    const link = this.#options.links.decode(token);
    if (link === undefined) throw invalid();
    return this.#enter(this.#learn(hash, { kind: "link", ...link }, Infinity));
  }

  /** The door of those whose credential is known: what is known of their tenant may have to be looked up. */
  #enter(principal: Principal): Principal | Promise<Principal> {
    if (principal.kind === "service-owner") return principal;
    const { tenancy } = this.#options;
    const terms = tenancy.fresh(principal.tenant);
    if (terms !== undefined) return this.#admit(principal, terms);
    return tenancy.look(principal.tenant).then((found) => {
      if (found === undefined) throw invalid();
      return this.#admit(principal, found);
    });
  }

  /** One look at the database serves all callers that wait for it. */
  #shared(hash: string, look: () => Promise<Found>): Promise<Principal> {
    let looking = this.#looking.get(hash);
    if (looking === undefined) {
      const made = look().finally(() => {
        if (this.#looking.get(hash) === made) this.#looking.delete(hash);
      });
      this.#looking.set(hash, made);
      looking = made;
    }
    return looking.then(({ principal, terms }) => this.#admit(principal, terms));
  }

  /** Looks when it is the address's turn, unless it has guessed too often this second. */
  async #inTurn(looks: Permits, peer: string, look: () => Promise<Found>): Promise<Found> {
    const network = networkOf(peer);
    const guarded = async (): Promise<Found> => {
      this.#slowDown(network);
      try {
        return await look();
      } catch (error) {
        const wrong = error instanceof Refusal && error.code === Code.UNAUTHENTICATED;
        if (wrong) this.#failures.take(network, Number.POSITIVE_INFINITY, this.#now());
        throw error;
      }
    };
    const found = await looks.use({ tenant: network, items: 1, wanted: () => true }, guarded, () => 1);
    if (found === undefined) throw new Error("a look that is wanted was not made");
    return found;
  }

  /** Throws a Refusal when the address has guessed too often. */
  #slowDown(network: string): void {
    const nowMs = this.#now();
    const used = this.#failures.count(network, nowMs);
    if (used < this.#wrongPerSecond) return;
    throw new Refusal(ErrorReason.RATE_LIMITED, `too many wrong credentials from ${network}; wait a second`, {
      retryAfterMs: 1_000 - (nowMs % 1_000),
      metadata: {
        limit: "address_wrong_credentials_per_second",
        allowed: String(this.#wrongPerSecond),
        used: String(used),
      },
    });
  }

  async #lookToken(tokens: Pick<JwtVerifier, "verify">, hash: string, token: string): Promise<Found> {
    for (let reads = 1; ; reads++) {
      if (reads === READS_MOST) this.#looking.delete(hash);
      const { age } = this.#doubts;
      const principal = await tokens.verify(token);
      const terms = await this.#options.tenancy.look(principal.tenant);
      const doubted = this.#doubts.since(principal.id, age);
      if (doubted && reads < READS_MOST) continue;
      if (terms === undefined) throw tokenRefused("TENANT_UNKNOWN", "there is no tenant that it names");
      return { principal: doubted ? principal : this.#learnRead(hash, principal), terms };
    }
  }

  async #look(hash: string, keyId: string, bytes: Uint8Array): Promise<Found> {
    const { tenancy } = this.#options;
    for (let reads = 1; ; reads++) {
      if (reads === READS_MOST) this.#looking.delete(hash);
      const { age } = this.#doubts;
      const tenancyAge = tenancy.age;
      const key = await this.#options.keys.find(keyId);
      // What ends a key is never taken back, so this needs no second read.
      if (key === undefined || key.revoked || !sameHash(key.hash, bytes)) throw invalid();
      const doubted = this.#doubts.since(keyId, age);
      if ((doubted || tenancy.doubted(key.tenant, tenancyAge)) && reads < READS_MOST) continue;
      const { id, name, tenant, role, carrier, expiresAtMs, support, terms } = key;
      tenancy.remember(terms, tenancyAge);
      const known = { kind: "key", id, name, tenant, role, carrier, expiresAtMs } as const;
      const principal = { ...known, ...(support && { support }) };
      return { principal: doubted ? principal : this.#learnRead(hash, principal), terms };
    }
  }

  #learnRead<P extends Principal>(hash: string, principal: P): P {
    return this.#learn(hash, principal, this.#now() + this.#cacheMs);
  }

  #learn<P extends Principal>(hash: string, principal: P, staleAtMs: number): P {
    this.#drop(hash);
    this.#known.set(hash, { principal, staleAtMs });
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
    this.#doubts.cast(keyId);
    for (const hash of [...(this.#hashesByKey.get(keyId) ?? [])]) this.#drop(hash);
  }

  /** The last check of every call, and the note that the key was used. */
  #admit(principal: Found["principal"], terms: TenantTerms): Principal {
    if (terms.state === TenantState.CLOSED) throw tenantClosed(principal.tenant);
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
