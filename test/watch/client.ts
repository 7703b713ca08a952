import type { Filter } from "../../src/domain/filter.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import type { WatchSpec } from "../../src/watch/spec.ts";
import { decodeEvents, summaryAfter } from "../../src/wire/event-view.ts";
import type { Instance, Watch } from "./instance.ts";
import { facetsIn, type MemoryJournal } from "./memory-journal.ts";
import { type Message, RecordingSink } from "./recording-sink.ts";

/** One thing that a client was told of a subject: where, and whether it left. */
interface Told {
  readonly revision: number;
  readonly id: string;
  readonly left: boolean;
}

/**
 * A client that follows one filter over many streams, resuming wherever it is sent, and checks what it is told against the
 * journal itself.
 */
export class Client {
  readonly #filter: Filter;
  readonly #mode: "ALL" | "LATEST";
  readonly #snapshot: boolean;
  readonly #journal: MemoryJournal;
  readonly #window: number;
  #watch: Watch | undefined;
  #seen = 0;
  /** Where it would resume, as a text; undefined: nowhere yet. */
  #position: string | undefined;
  /** The revision after which it was told everything. */
  #from = 0;
  readonly told: Told[] = [];
  /** Subjects that match as far as it was told, with their versions. */
  readonly state = new Map<string, bigint>();
  resets = 0;

  constructor(
    journal: MemoryJournal,
    options: { filter: Filter; mode: "ALL" | "LATEST"; snapshot: boolean; window: number },
  ) {
    this.#journal = journal;
    this.#filter = options.filter;
    this.#mode = options.mode;
    this.#snapshot = options.snapshot;
    this.#window = options.window;
  }

  /** Opens a stream on an instance if it has none. */
  connect(instance: Instance): void {
    if (this.#watch) return;
    const sink = new RecordingSink({ window: this.#window });
    const fresh: WatchSpec["start"] = { from: this.#snapshot ? "snapshot" : "now" };
    const start = this.#position ? ({ from: "position", position: this.#position } as const) : fresh;
    this.#seen = 0;
    this.#watch = instance.open({ filter: this.#filter, mode: this.#mode, start }, sink);
  }

  /** Its connection breaks; what was written and not read is lost with it. */
  disconnect(): void {
    this.#watch?.cancel();
    this.#watch = undefined;
  }

  /** Reads what has come; true: there was something. */
  read(): boolean {
    const watch = this.#watch;
    if (!watch) return false;
    const news = watch.sink.messages.slice(this.#seen);
    this.#seen += news.length;
    for (const message of news) this.#hear(message);
    if (watch.sink.outcome) this.#watch = undefined;
    else watch.read();
    return news.length > 0;
  }

  /** The events that it must have been told of up to a revision, out of the journal alone. */
  expected(upTo = Number.POSITIVE_INFINITY): Told[] {
    return this.#journal.all("t1").flatMap((event): Told[] => {
      const revision = Number(event.revision);
      if (revision <= this.#from || revision > upTo || event.kind !== SubjectKind.ORDER) return [];
      const after = facetsIn(event.kind, summaryAfter(event.payload));
      const before = event.version > 1n ? (decodeEvents(event.payload)[0]?.before ?? after) : undefined;
      const id = event.subjectId;
      if (this.#filter.matches(id, after)) return [{ revision, id, left: false }];
      return before && this.#filter.matches(id, before) ? [{ revision, id, left: true }] : [];
    });
  }

  /** The subjects that match now, with their versions, out of the journal alone. */
  expectedState(): Map<string, bigint> {
    const rows = [...this.#journal.rowsNow("t1").values()];
    const matching = rows.filter((row) => this.#filter.matches(row.id, facetsIn(row.kind, row.summary)));
    return new Map(matching.map((row) => [row.id, row.version]));
  }

  get startedAt(): number {
    return this.#from;
  }

  #hear(message: Message): void {
    if (message.started) this.#start(message.started.head);
    const rows = message.$typeName === "leadline.v1.WatchOrdersResponse" ? message.orders : [];
    for (const row of rows) this.state.set(row.id, row.version);
    if (message.synced) this.#begin(message.synced.position);
    for (const event of message.events) {
      this.#tell({ revision: Number(event.revision), id: event.subjectId, left: false });
      this.state.set(event.subjectId, event.version);
      this.#position = event.position;
    }
    for (const { id, position } of message.left) {
      this.#tell({ revision: revisionOf(position), id, left: true });
      this.state.delete(id);
      this.#position = position;
    }
    const promise = message.bookmark ?? message.end;
    if (promise?.position) this.#promised(promise.position);
    if (message.reset) {
      this.resets += 1;
      this.#position = undefined;
    }
  }

  #start(head: string): void {
    if (this.#position) return;
    this.state.clear();
    if (!this.#snapshot) this.#begin(head);
  }

  #begin(position: string): void {
    this.#position = position;
    this.#from = revisionOf(position);
    this.told.length = 0;
  }

  #tell(told: Told): void {
    const last = this.told.at(-1)?.revision ?? this.#from;
    if (told.revision <= last) throw new Error(`told of ${told.revision} after ${last}`);
    this.told.push(told);
  }

  /** Everything up to here was delivered, says the server: is it so? */
  #promised(position: string): void {
    const upTo = revisionOf(position);
    const missing = this.#mode === "ALL" ? this.expected(upTo).slice(this.told.length) : [];
    const first = missing[0];
    if (first) throw new Error(`promised up to ${upTo} without ${first.id}@${first.revision}`);
    const last = this.told.at(-1);
    if (last && last.revision > upTo) throw new Error(`promised ${upTo} after ${last.revision}`);
    this.#position = position;
  }
}

function revisionOf(position: string): number {
  return Number(position.split("-")[0]);
}
