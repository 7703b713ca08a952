/** Every access by support, written down before it is answered. */
import { type DescMethod, type Message, toJsonString } from "@bufbuild/protobuf";
import { type Audit, actOf } from "./audit.ts";
import type { Call } from "./call.ts";

const EVERY_MS = 60_000;

/** What an access is noted as. */
const SUPPORT_ACCESS = "SUPPORT_ACCESS";

/**
 * Notes what is called with support keys, and what is asked: the same of each key once a minute on an instance. Page by page is
 * the same.
 */
export class SupportAccess {
  readonly #audit: Audit;
  readonly #now: () => number;
  /** By key and what is asked: when it was noted, and that it is durable. Bounded by what support asks in one minute. */
  readonly #noted = new Map<string, { readonly atMs: number; readonly durable: Promise<void> }>();

  constructor(audit: Audit, now: () => number = Date.now) {
    this.#audit = audit;
    this.#now = now;
  }

  /** Undefined: there is nothing to wait for. Rejects with DATABASE_UNAVAILABLE, and the call is not to be answered then. */
  note(call: Pick<Call, "principal" | "address">, method: DescMethod, request: Message): Promise<void> | undefined {
    const { principal } = call;
    if (principal.kind !== "key" || principal.support !== true) return undefined;
    const nowMs = this.#now();
    const details = { method: actOf(method), ...askedIn(method, request) };
    const key = JSON.stringify([principal.id, details]);
    const known = this.#noted.get(key);
    if (known !== undefined && nowMs - known.atMs < EVERY_MS) return known.durable;
    this.#forgetBefore(nowMs - EVERY_MS);
    const durable = this.#audit.administer(call, principal.tenant, async (_em, note) => {
      note({ act: SUPPORT_ACCESS, target: principal.id, details });
    });
    this.#noted.set(key, { atMs: nowMs, durable });
    durable.catch(() => this.#noted.delete(key)); // the next call tries again
    return durable;
  }

  #forgetBefore(ms: number): void {
    for (const [key, { atMs }] of this.#noted) if (atMs <= ms) this.#noted.delete(key);
  }
}

/** A longer request is cut: what it begins with says what it is about. */
const ASKED_CHARS = 1_000;

/** The request as JSON, without where its page begins; nothing of one that is empty. It is not validated yet. */
function askedIn({ input }: DescMethod, request: Message): { readonly request?: string } {
  let text: string;
  try {
    text = toJsonString(input, { ...request, pageToken: "" } as Message);
  } catch {
    return { request: "malformed" };
  }
  if (text === "{}") return {};
  return { request: text.length > ASKED_CHARS ? `${text.slice(0, ASKED_CHARS)}…`.toWellFormed() : text };
}
