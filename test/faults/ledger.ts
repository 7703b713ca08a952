import type { Event } from "../../gen/leadline/v1/event_pb.ts";

/**
 * What became of a command, as its caller knows: `acked`, answered; `refused`, answered with a refusal; `unknown`, never
 * answered, so that it may be in the journal or not.
 */
export type Outcome = "open" | "acked" | "refused" | "unknown";

/** A command, by a token that stands in its event and in no other command's. */
export interface Entry {
  readonly token: string;
  readonly tenant: string;
  readonly what: string;
  outcome: Outcome;
  /** When it was sent first, milliseconds since the epoch. */
  readonly askedAtMs: number;
  /** When the last word on it came, milliseconds since the epoch. */
  atMs: number;
  /** Its turns among everything that was asked and settled; undefined: it is open. What came first has the lower one. */
  readonly askedTurn: number;
  settledTurn: number | undefined;
  /** Where its event was answered to stand; undefined: the answer does not say. */
  position: string | undefined;
  /** Refused, and no attempt before went unanswered: it has no effect, and will have none. */
  isCertain: boolean;
}

/** What more is known of a command when it is settled: see `Entry`. */
export type Known = Partial<Pick<Entry, "position" | "isCertain">>;

/** The journals of all tenants as they were at one time: now, or before a failover that lost their tails. */
export interface Timeline {
  /** When the database that had it was replaced; undefined: never. */
  readonly lostAtMs: number | undefined;
  readonly journals: ReadonlyMap<string, readonly Event[]>;
}

/** Every command that was sent. */
export class Ledger {
  readonly entries: Entry[] = [];
  readonly #tenants = new Map<string, string>();
  #next = 1;
  #turn = 0;

  open(tenant: string, what: string, prefix: string): Entry {
    const token = `${prefix}-${String(this.#next++).padStart(7, "0")}`;
    const entry: Entry = {
      ...{ token, tenant, what, outcome: "open", askedAtMs: Date.now(), atMs: Date.now() },
      ...{ askedTurn: this.#turn++, settledTurn: undefined, position: undefined, isCertain: false },
    };
    this.entries.push(entry);
    this.#tenants.set(token, tenant);
    return entry;
  }

  /** Whose command a token is of; undefined: it is no token. */
  tenantOf(token: string): string | undefined {
    return this.#tenants.get(token);
  }

  settle(entry: Entry, outcome: Outcome, { position, isCertain = false }: Known = {}): void {
    entry.outcome = outcome;
    entry.atMs = Date.now();
    entry.settledTurn = this.#turn++;
    entry.position = position;
    entry.isCertain = isCertain;
  }

  count(outcome: Outcome): number {
    return this.entries.filter((entry) => entry.outcome === outcome).length;
  }

  /**
   * Whether every answered command is in the journal exactly once, and every other at most once.
   *
   * @param timelines oldest first; the last is how it is now. An answered command may be missing from it only where a
   *   failover has lost it: it was answered before, and the journal that was lost has it. The items of a batch are committed
   *   one after the other and answered together: of them it is enough that they were sent before.
   */
  faults(timelines: readonly Timeline[]): { faults: string[]; lostByFailover: number } {
    const found = timelines.map(commandsByToken);
    const faults: string[] = [];
    let lostByFailover = 0;
    for (const { token, tenant, what, outcome, askedAtMs, atMs } of this.entries) {
      const doneAtMs = doneBy({ what, askedAtMs, atMs });
      const key = `${tenant} ${token}`;
      const counts = found.map((timeline) => timeline.get(key)?.size ?? 0);
      const named = `${what} ${token} of ${tenant}, ${outcome}`;
      if (counts.some((count) => count > 1)) faults.push(`${named}: took effect ${Math.max(...counts)} times`);
      if (outcome !== "acked" || (counts.at(-1) ?? 0) > 0) continue;
      const isLost = timelines.some(
        ({ lostAtMs }, i) => lostAtMs !== undefined && doneAtMs < lostAtMs && counts[i] === 1,
      );
      if (isLost) lostByFailover += 1;
      else faults.push(`${named}: is not in the journal`);
    }
    return { faults, lostByFailover };
  }
}

/** When a command that was answered had surely been committed for the first time: of a batch no more is known than when it was sent. */
export function doneBy({ what, askedAtMs, atMs }: Pick<Entry, "what" | "askedAtMs" | "atMs">): number {
  return what === "BatchReportStatus" ? askedAtMs : atMs;
}

/** By tenant and token: the ids of the commands that carry it. */
function commandsByToken({ journals }: Timeline): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const [tenant, journal] of journals) {
    for (const event of journal) {
      const token = tokenOf(event);
      if (token === undefined) continue;
      const key = `${tenant} ${token}`;
      const commands = found.get(key) ?? new Set();
      commands.add(event.command?.id ?? event.position);
      found.set(key, commands);
    }
  }
  return found;
}

/** The token in an event, if it is of a kind that carries one. */
export function tokenOf({ change, subjectId }: Event): string | undefined {
  switch (change.case) {
    case "orderCreated":
    case "bookingRequested":
      return subjectId;
    case "reported":
      return change.value.report?.report?.sourceId;
    case "orderHeld":
      return change.value.reason;
    case "orderReleased":
      return change.value.remark;
    case "bookingActed":
      return change.value.confirmation?.bookingReference || change.value.reason;
    default:
      return undefined;
  }
}
