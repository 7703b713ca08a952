import type { StoredEvent } from "../../src/domain/stored-event.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import { Positions } from "../../src/wire/position.ts";
import type { MemoryJournal } from "../watch/memory-journal.ts";
import { type Floor, factsOf, History, Line } from "./history.ts";
import type { Place, Step, Watch } from "./trace.ts";

const positions = new Positions(Buffer.alloc(32, 7));

/** The whole history of a tenant of a journal in memory. */
export function historyIn(journal: MemoryJournal, tenant: string, floors: readonly Floor[] = []): History {
  const decoded = new Map<StoredEvent, ReturnType<typeof factsOf>[number]>();
  const facts = (events: readonly StoredEvent[]) =>
    events.flatMap((event) => {
      const fact = decoded.get(event) ?? factsOf(decodeEvents(event.payload))[0];
      if (fact) decoded.set(event, fact);
      return fact ? [fact] : [];
    });
  let fromMs = 0;
  const lines = journal.lost(tenant).map(({ journalId, events, untilMs }) => {
    const line = new Line(journalId, facts(events), fromMs, untilMs);
    fromMs = untilMs;
    return line;
  });
  const now = facts(journal.all(tenant));
  lines.push(new Line(journal.journalId(tenant), now, fromMs, Number.POSITIVE_INFINITY));
  return new History(tenant, lines, positions, floors);
}

/** What a watcher would do and be told if all went well: each method adds what it names. */
export class Faithful {
  readonly steps: Step[] = [];
  readonly #watch: Watch;
  readonly #history: History;
  #line: Line;
  #at: Place;
  atMs: number;

  constructor(watch: Watch, history: History, line: Line, atMs: number) {
    this.#watch = watch;
    this.#history = history;
    this.#line = line;
    this.#at = { revision: 0, eventId: line.journalId };
    this.atMs = atMs;
  }

  /** Opens a stream with a snapshot at a revision. */
  snapshot(revision: number): this {
    const { reader } = this.#watch;
    const at = this.#placeAt(revision);
    this.#await(revision);
    this.#add({ what: "open", from: "snapshot" });
    this.#add({ what: "started", head: at, messageMaxBytes: 1_000 });
    for (const [id, fact] of this.#line.stateAt(reader, revision)) {
      const content = this.#history.subjectFor(fact, reader.visibility);
      this.#add({ what: "row", id, version: Number(fact.event.version), content });
    }
    this.#add({ what: "synced", at });
    this.#at = at;
    return this;
  }

  /** Tells what is due up to a revision. */
  tell(revision: number): this {
    const { reader } = this.#watch;
    for (const { what, fact } of this.#line.due(reader, this.#at.revision, revision)) {
      this.#await(fact.revision);
      const told = { at: placeOf(fact), id: fact.event.subjectId };
      this.#add({ what: "message", bytes: 200 });
      if (what === "left") this.#add({ what, ...told });
      else {
        const content = this.#history.contentFor(fact, reader.visibility);
        this.#add({ what, ...told, version: Number(fact.event.version), content, shows: [] });
      }
    }
    this.#at = this.#placeAt(revision);
    return this;
  }

  bookmark(): this {
    return this.#add({ what: "bookmark", at: this.#at, verifiedAtMs: this.atMs });
  }

  /** The stream breaks, and another continues from there. */
  resume(): this {
    this.#add({ what: "cut" });
    this.#add({ what: "open", from: this.#at });
    return this.#add({ what: "started", head: this.#at, messageMaxBytes: 1_000 });
  }

  /** The journal has become another line. */
  reset(line: Line): this {
    this.atMs = line.fromMs + 10;
    this.#add({ what: "reset", reason: "HISTORY_DIVERGED", head: placeOf(line.head) });
    this.#line = line;
    return this;
  }

  note(step: { what: "healed" } | { what: "gauge"; name: string; value: number; limit: number }): this {
    return this.#add(step);
  }

  done(): this {
    return this.#add({ what: "done", upTo: this.#line.head.revision });
  }

  /** The event has been committed. */
  #await(revision: number): void {
    this.atMs = Math.max(this.atMs, this.#line.fact({ revision, eventId: "" })?.atMs ?? 0);
  }

  #placeAt(revision: number): Place {
    const fact = this.#line.fact({ revision, eventId: "" });
    return fact ? placeOf(fact) : { revision: 0, eventId: this.#line.journalId };
  }

  #add(step: StepWithoutTime): this {
    this.atMs += 1;
    this.steps.push({ ...step, atMs: this.atMs } as Step);
    return this;
  }
}

type StepWithoutTime = Step extends infer S ? (S extends Step ? Omit<S, "atMs"> : never) : never;

function placeOf({ revision, eventId }: Place): Place {
  return { revision, eventId };
}
