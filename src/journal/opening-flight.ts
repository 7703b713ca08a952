import type { Answer, Statement } from "../store/flight.ts";
import { Fields } from "../store/question.ts";
import type { LockedHead } from "./batch.ts";
import type { Pending } from "./command-queue.ts";
import type { Loaded, Portion } from "./portion.ts";
import * as sql from "./sql.ts";

/** What was read when the locks were taken. */
export interface Opened {
  /** Heads by tenant; those that others hold are missing. */
  readonly locked: ReadonlyMap<string, LockedHead>;
  /** The database's clock, microseconds since the epoch. */
  readonly nowUs: bigint;
  readonly first: Loaded;
}

/** The first flight of a batch: its statements, and how their answers are read. */
export class OpeningFlight {
  readonly statements: readonly Statement[];
  readonly #first: Portion;

  /**
   * @param commands the batch
   * @param first its first portion, which is loaded at once
   * @param wait for the heads that others hold; otherwise they are left out
   */
  constructor(commands: readonly Pending[], first: Portion, wait: boolean) {
    const tenants = [...new Set(commands.map((p) => p.command.tenant))].sort();
    this.#first = first;
    this.statements = [
      sql.BEGIN,
      wait ? sql.scopeToAndWait(tenants) : sql.scopeTo(tenants),
      sql.lockHeads(tenants, wait),
      sql.CLOCK,
      ...first.statements(),
    ];
  }

  read([, , heads, clock, ...first]: readonly Answer[]): Opened {
    return { locked: headsOf(heads), nowUs: BigInt(clock?.rows[0]?.[0] ?? 0), first: this.#first.read(first) };
  }
}

function headsOf(answer: Answer | undefined): Map<string, LockedHead> {
  const heads = new Map<string, LockedHead>();
  for (const row of answer?.rows ?? []) {
    const fields = new Fields(row);
    const tenant = fields.text();
    heads.set(tenant, { revision: fields.bigint(), eventId: fields.text(), recordedUs: fields.bigint() });
  }
  return heads;
}
