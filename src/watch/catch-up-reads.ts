import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Place, StoredEvent } from "../domain/stored-event.ts";
import type { Stretch } from "../journal/journal.ts";
import type { WatchReader } from "./bounded-reader.ts";
import { isBelowFloor, orCut, readFollowing, whyLost } from "./page.ts";
import type { Permits } from "./permits.ts";
import { type AheadRoom, ReadAhead } from "./read-ahead.ts";
import { Slot } from "./slot.ts";
import type { Tail } from "./tail.ts";
import type { Home, Watcher } from "./watcher.ts";

const FIRST_GUESS_BYTES = 400;
/** The part by which an estimate lies above what was seen. */
const SPARE = 1.05;
/** How fast an estimate comes down. */
const SLOWLY = 0.8;

/** Journals do not come as far. */
const MAX_REVISION = 2n ** 63n - 1n;

/** Events, or why the watcher is to be reset. */
type Read = readonly Slot[] | ResetReason;

/** A stretch, and for whom it was read. */
interface Fetched {
  /** Undefined: there is none that can be sent as it is. */
  readonly stretch: Stretch | undefined;
  readonly readers: ReadonlySet<Watcher>;
}

/** What is to be read. */
interface Wanted<T> {
  /** Those who want the same share it. */
  readonly key: string;
  /** Events at most. */
  readonly items: number;
  read(readers: ReadonlySet<Watcher>): Promise<T>;
  /** Events that were read. */
  sizeOf(page: T): number;
}

/** A read that several watchers wait for. */
interface Page<T> {
  readonly readers: Set<Watcher>;
  readonly read: Promise<T | undefined>;
}

/**
 * The reads of one tenant's watchers that are behind: only so many at a time on the whole instance, shared by watchers that
 * continue from the same place, and stretches one ahead. Each resolves with undefined when by its turn nobody wanted it.
 */
export class CatchUpReads {
  readonly #home: Pick<Home, "clock" | "counts" | "options">;
  readonly #tail: Tail;
  readonly #reader: WatchReader;
  readonly #permits: Permits;
  readonly #pages = new Map<string, Page<Read>>();
  readonly #stretches = new Map<string, Page<Fetched>>();
  readonly #ahead: ReadAhead<Watcher, Fetched | undefined>;
  /** About how many stored bytes an event takes. */
  #eventBytes = FIRST_GUESS_BYTES;
  #age = 0;

  constructor(
    home: Pick<Home, "clock" | "counts" | "options">,
    tail: Tail,
    reader: WatchReader,
    permits: Permits,
    room: AheadRoom,
  ) {
    this.#home = home;
    this.#tail = tail;
    this.#reader = reader;
    this.#permits = permits;
    this.#ahead = new ReadAhead(home.clock, room, home.options.readAheadMs);
  }

  /** Counts the times that reads were forgotten: what was begun at another age is stale. */
  get age(): number {
    return this.#age;
  }

  /** The watcher is over. */
  forget(watcher: Watcher): void {
    this.#ahead.drop(watcher);
  }

  /** What was read so far, or is being read, is given to nobody any more. */
  forgetAll(): void {
    this.#age += 1;
    this.#pages.clear();
    this.#stretches.clear();
    this.#ahead.clear();
  }

  /** Payloads as they are stored, after a revision. */
  stretch(watcher: Watcher, revision: bigint): Promise<Fetched | undefined> {
    return this.#ahead.take(watcher, revision) ?? this.#fetchStretch(watcher, revision);
  }

  /** Begins to read the stretch that the watcher will ask for next, if there is room to keep it. */
  beginStretch(watcher: Watcher, revision: bigint): void {
    this.#ahead.begin(watcher, revision, () => this.#fetchStretch(watcher, revision));
  }

  /** The events from a place on, the one at the place among them; in mode LATEST that one alone. */
  page(watcher: Watcher, place: Place): Promise<Read | undefined> {
    const { mode } = watcher.cohort;
    const read = () => (mode === "ALL" ? this.#readAfter(place) : this.#readAt(place));
    const items = mode === "ALL" ? this.#home.options.pageEvents : 1;
    return this.#pageFor(this.#pages, { key: `${place.revision} ${mode}`, items, read, sizeOf: countOf }, watcher);
  }

  /** Each subject's last event after a place, `pageEvents` at most. */
  latest(watcher: Watcher, place: Place): Promise<Read | undefined> {
    const { pageEvents } = this.#home.options;
    const turn = { tenant: this.#tail.tenant, items: pageEvents, wanted: () => watcher.state === "behind" };
    return this.#permits.use(turn, () => this.#readLatest(watcher, place, pageEvents), countOf);
  }

  #fetchStretch(watcher: Watcher, revision: bigint): Promise<Fetched | undefined> {
    const { tenant, live } = this.#tail;
    const { kind } = watcher.cohort;
    const { stretchBytes, stretchEvents } = this.#home.options;
    const limit = Math.max(1, Math.min(stretchEvents, Math.floor(stretchBytes / this.#eventBytes)));
    const query = { tenant, kind, after: revision, upTo: live.revision, limit, maxBytes: stretchBytes };
    const read = async (readers: ReadonlySet<Watcher>): Promise<Fetched> => {
      this.#home.counts.catchUpReads += 1;
      const stretch = await this.#reader.stretch(query);
      this.#estimate(stretch);
      return { stretch, readers };
    };
    const page = {
      key: `${revision} ${kind}`,
      items: limit,
      read,
      sizeOf: ({ stretch }: Fetched) => stretch?.all ?? 0,
    };
    return this.#pageFor(this.#stretches, page, watcher);
  }

  /** Learns how large events are, so that pages are nearly full and seldom too large. */
  #estimate(stretch: Stretch | undefined): void {
    if (!stretch) this.#eventBytes = Math.min(this.#eventBytes * 2, this.#home.options.stretchBytes);
    else if (stretch.events > 0) {
      const average = (stretch.payloads.length / stretch.events) * SPARE;
      this.#eventBytes = Math.max(1, average, this.#eventBytes * SLOWLY);
    }
  }

  /** Reads a page, or joins those for whom it is being read. */
  #pageFor<T>(pages: Map<string, Page<T>>, wanted: Wanted<T>, watcher: Watcher): Promise<T | undefined> {
    const { key, items, sizeOf } = wanted;
    const known = pages.get(key);
    known?.readers.add(watcher);
    if (known) return known.read;
    const readers = new Set([watcher]);
    const isBehind = () => [...readers].some((reader) => reader.state === "behind");
    const turn = { tenant: this.#tail.tenant, items, wanted: isBehind };
    const read = this.#permits.use(turn, () => wanted.read(readers), sizeOf);
    const forget = () => {
      if (pages.get(key)?.read === read) pages.delete(key);
    };
    read.then(forget, forget);
    pages.set(key, { readers, read });
    return read;
  }

  async #readAfter(place: Place): Promise<Read> {
    const { pageEvents, messageBytes } = this.#home.options;
    const { tenant, live } = this.#tail;
    this.#home.counts.catchUpReads += 1;
    const page = await readFollowing(this.#reader, tenant, place, pageEvents, messageBytes, live.revision);
    return typeof page === "number" ? page : this.#slots(page);
  }

  async #readAt(place: Place): Promise<Read> {
    this.#home.counts.catchUpReads += 1;
    const { tenant } = this.#tail;
    const there = await this.#reader.events(tenant, place.revision, 1, 1);
    const page = there.length > 0 ? there : await orCut(this.#reader, tenant, place, there);
    return typeof page === "number" ? page : this.#slots(page);
  }

  /** That the page follows the place is seen afterwards: the place is still there. */
  async #readLatest({ cohort }: Watcher, place: Place, limit: number): Promise<Read> {
    this.#home.counts.catchUpReads += 1;
    const { tenant } = this.#tail;
    const latest = await this.#reader.latest(tenant, cohort.kind, place.revision + 1n, MAX_REVISION, limit);
    const lost = await whyLost(this.#reader, tenant, place);
    if (lost === undefined && (await isBelowFloor(this.#reader, tenant, place))) return ResetReason.POSITION_TOO_OLD;
    return lost ?? this.#slots(latest);
  }

  #slots(events: readonly StoredEvent[]): Slot[] {
    return events.map((event) => new Slot(this.#tail.tenant, event));
  }
}

function countOf(page: Read): number {
  return typeof page === "number" ? 0 : page.length;
}
