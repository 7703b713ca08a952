import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Place, StoredEvent } from "../domain/stored-event.ts";
import type { Stretch } from "../journal/journal.ts";
import type { WatchReader } from "./bounded-reader.ts";
import type { Cohort } from "./cohort.ts";
import { deliveryOf } from "./delivery.ts";
import { WallBreach } from "./encoder.ts";
import { readFollowing } from "./page.ts";
import type { Permits } from "./permits.ts";
import { Slot } from "./slot.ts";
import type { Tail } from "./tail.ts";
import type { Home, Watcher } from "./watcher.ts";

/** What catching up needs of the hub, beside what a watcher does. */
export interface CatchUpHome extends Home {
  /** Has the head compared soon. */
  check(): void;
  /** The same, because something does not fit. */
  doubt(): void;
  /** A read failed. */
  failed(error: unknown): void;
  /** Makes what decodes stored bytes. If they cannot be read, the watcher is ended, and undefined is answered. */
  readable<T>(watcher: Watcher, make: () => T): T | undefined;
  /** Wakes the watcher after a pause. */
  wakeLater(watcher: Watcher): void;
  /** Resets one watcher. */
  reset(watcher: Watcher, reason: ResetReason): void;
}

const FIRST_GUESS_BYTES = 400;
/** The part by which an estimate lies above what was seen. */
const SPARE = 1.05;
/** How fast an estimate comes down. */
const SLOWLY = 0.8;

/** A read that several watchers wait for. */
interface Page<T> {
  readonly readers: Set<Watcher>;
  readonly read: Promise<T | undefined>;
}

/**
 * Brings watchers that are behind to where the live ones stand: out of the ring, or in pages out of the journal, of which
 * only so many are read at a time on the whole instance. Watchers that continue from the same place share a page.
 *
 * A page starts with the event that the watcher has already had. That it is still the same event proves that what follows
 * does follow; that it is another one, or gone, is the watcher's reset.
 */
export class CatchUp {
  readonly #home: CatchUpHome;
  readonly #tail: Tail;
  readonly #reader: WatchReader;
  readonly #permits: Permits;
  readonly #pages = new Map<string, Page<Slot[]>>();
  /** About how many stored bytes an event takes. */
  #eventBytes = FIRST_GUESS_BYTES;
  readonly #stretches = new Map<string, Page<Stretch | "none">>();

  constructor(home: CatchUpHome, tail: Tail, reader: WatchReader, permits: Permits) {
    this.#home = home;
    this.#tail = tail;
    this.#reader = reader;
    this.#permits = permits;
  }

  /** Brings the watcher on by one delivery, or starts to read one. */
  step(watcher: Watcher): void {
    const { place } = watcher;
    if (watcher.state !== "behind" || !place || watcher.blocked || watcher.reading) return;
    const known = this.#tail.placeAt(place.revision);
    if (known && known.eventId !== place.eventId) {
      this.#home.reset(watcher, ResetReason.HISTORY_DIVERGED);
      return;
    }
    if (known) watcher.verified = true;
    if (!watcher.verified) this.#readOn(watcher, place);
    else if (watcher.sweeping) this.#sweep(watcher, place);
    else if (place.revision === this.#tail.live.revision) this.#join(watcher);
    else this.#bringOn(watcher, place);
  }

  /** It stands where the live ones stand. */
  #join(watcher: Watcher): void {
    if (watcher.hiddenUpTo <= this.#tail.live.revision) watcher.goLive();
    else this.#home.wakeLater(watcher); // live watchers' events are not looked at for what they hide
  }

  #bringOn(watcher: Watcher, place: Place): void {
    const slots = this.#tail.served(place.revision);
    const last = slots?.at(-1);
    if (slots && last) this.#deliver(watcher, slots, last.place);
    else if (watcher.cohort.mode === "LATEST") this.#sweep(watcher, place);
    else this.#readOn(watcher, place);
  }

  #readOn(watcher: Watcher, place: Place): void {
    if (takesEverything(watcher.cohort) && place.revision < this.#tail.live.revision) this.#readStretch(watcher, place);
    else this.#readPage(watcher, place);
  }

  #deliver(watcher: Watcher, slots: readonly Slot[], upTo: Place): void {
    const { encoder, options } = this.#home;
    const { cohort, hiddenUpTo } = watcher;
    const make = () => deliveryOf(cohort, slots, upTo, encoder, options.messageBytes, hiddenUpTo);
    const delivery = this.#home.readable(watcher, make);
    if (!delivery) return;
    watcher.deliver(delivery);
    this.#home.wake(watcher);
  }

  /** Brings on who gets every event as it is stored: the database lays a page end to end, and nothing is looked into. */
  #readStretch(watcher: Watcher, place: Place): void {
    const { tenant, live } = this.#tail;
    const { kind } = watcher.cohort;
    const { pageEvents, messageBytes } = this.#home.options;
    const limit = Math.max(1, Math.min(pageEvents, Math.floor(messageBytes / this.#eventBytes)));
    const page = this.#pageFor(this.#stretches, `${place.revision} ${kind}`, watcher, async () => {
      this.#home.counts.catchUpReads += 1;
      const { revision } = place;
      return (await this.#reader.stretch(tenant, kind, revision, live.revision, limit, messageBytes)) ?? "none";
    });
    this.#await(watcher, page, (stretch) => {
      this.#estimate(stretch);
      // What does not fit is looked at event by event.
      if (stretch === "none" || !follows(place, stretch)) this.#readPage(watcher, place);
      else this.#copy(watcher, stretch);
    });
  }

  /** Learns how large events are, so that pages are nearly full and seldom too large. */
  #estimate(stretch: Stretch | "none"): void {
    if (stretch === "none") this.#eventBytes = Math.min(this.#eventBytes * 2, this.#home.options.messageBytes);
    else if (stretch.events > 0) {
      const average = (stretch.payloads.length / stretch.events) * SPARE;
      this.#eventBytes = Math.max(1, average, this.#eventBytes * SLOWLY);
    }
  }

  #copy(watcher: Watcher, { events, payloads, last }: Stretch): void {
    const { cohort } = watcher;
    if (cohort.tenant !== this.#tail.tenant) {
      throw new WallBreach(`events of "${this.#tail.tenant}" were about to go to "${cohort.tenant}"`);
    }
    watcher.verified = true;
    watcher.deliver({ cohort, runs: events === 0 ? [] : [{ message: payloads, at: last, events }], upTo: last });
    this.#home.wake(watcher);
  }

  #readPage(watcher: Watcher, place: Place): void {
    // In mode LATEST only the place itself is of interest.
    const { mode } = watcher.cohort;
    const page = this.#pageFor(this.#pages, `${place.revision} ${mode}`, watcher, () =>
      mode === "ALL" ? this.#readAfter(place.revision) : this.#readAt(place.revision),
    );
    this.#await(watcher, page, (slots) => this.#turnPage(watcher, place, slots));
  }

  /** Reads a page, or joins those for whom it is being read. */
  #pageFor<T>(
    pages: Map<string, Page<T>>,
    key: string,
    watcher: Watcher,
    task: () => Promise<T>,
  ): Promise<T | undefined> {
    const known = pages.get(key);
    known?.readers.add(watcher);
    if (known) return known.read;
    const readers = new Set([watcher]);
    const read = this.#permits.use(() => [...readers].some((reader) => reader.state === "behind"), task);
    const forget = () => void pages.delete(key);
    read.then(forget, forget);
    pages.set(key, { readers, read });
    return read;
  }

  async #readAfter(revision: bigint): Promise<Slot[]> {
    const { pageEvents, messageBytes } = this.#home.options;
    const { tenant } = this.#tail;
    this.#home.counts.catchUpReads += 1;
    return this.#slots(await readFollowing(this.#reader, tenant, revision, pageEvents, messageBytes));
  }

  async #readAt(revision: bigint): Promise<Slot[]> {
    this.#home.counts.catchUpReads += 1;
    return this.#slots(await this.#reader.events(this.#tail.tenant, revision, 1, 1));
  }

  async #readLatest({ cohort }: Watcher, from: bigint, limit: number): Promise<Slot[]> {
    this.#home.counts.catchUpReads += 1;
    return this.#slots(await this.#reader.latest(this.#tail.tenant, cohort.kind, from, MAX_REVISION, limit));
  }

  #slots(events: readonly StoredEvent[]): Slot[] {
    return events.map((event) => new Slot(this.#tail.tenant, event));
  }

  #turnPage(watcher: Watcher, place: Place, slots: readonly Slot[]): void {
    const fault = faultOf(place, slots);
    if (fault !== undefined) {
      this.#home.reset(watcher, fault);
      return;
    }
    watcher.verified = slots.length > 0;
    const isNew = (at: bigint) => at > place.revision && at <= this.#tail.live.revision;
    const news = slots.filter((slot) => isNew(slot.place.revision));
    const last = news.at(-1);
    if (last && watcher.cohort.mode === "ALL") this.#deliver(watcher, news, last.place);
    else if (last || (watcher.verified && this.#mayGoOn(watcher, place))) this.#home.wake(watcher);
    else this.#stuck(watcher);
  }

  /** Whether the place alone, which was seen to exist, lets the next step do without this page. */
  #mayGoOn(watcher: Watcher, place: Place): boolean {
    return watcher.cohort.mode === "LATEST" || place.revision === this.#tail.live.revision;
  }

  /**
   * Mode LATEST, beyond the ring: reads only each subject's last event. What such a page passes over may have said that a
   * subject left, and that subject's last event may lie beyond the page or beyond what is known here; so until the watcher
   * has come past everything that there was when the last page was read, what does not match has left.
   */
  #sweep(watcher: Watcher, place: Place): void {
    const { live } = this.#tail;
    const { pageEvents } = this.#home.options;
    watcher.sweeping = true;
    const read = this.#permits.use(
      () => watcher.state === "behind",
      () => this.#readLatest(watcher, place.revision + 1n, pageEvents),
    );
    this.#await(watcher, read, (slots) => {
      const last = slots.at(-1)?.place ?? live;
      watcher.sweeping = slots.length >= pageEvents;
      watcher.hide(last.revision);
      const upTo = watcher.sweeping && last.revision < live.revision ? last : live;
      const reached = slots.filter((slot) => slot.place.revision <= upTo.revision);
      this.#deliver(watcher, reached, upTo);
    });
  }

  #await<T>(watcher: Watcher, read: Promise<T | undefined>, use: (result: T) => void): void {
    watcher.reading = true;
    read.then(
      (result) => {
        watcher.reading = false;
        if (watcher.state !== "behind") return;
        if (result !== undefined) use(result);
        else this.#home.wake(watcher); // it joined a page that nobody wanted any more
      },
      (error: unknown) => {
        watcher.reading = false;
        if (watcher.state !== "behind") return;
        this.#home.failed(error);
        this.#home.wakeLater(watcher);
      },
    );
  }

  /** The journal does not reach as far as is known here. */
  #stuck(watcher: Watcher): void {
    this.#home.doubt();
    this.#home.wakeLater(watcher);
  }
}

/** Journals do not come as far. */
const MAX_REVISION = 2n ** 63n - 1n;

/** Whether every event of its kind goes to it as it is stored. */
function takesEverything({ codec, mode, visibility, filter }: Cohort): boolean {
  const isWhole = filter.ids === undefined && !filter.needsFacets;
  return codec === "proto" && mode === "ALL" && visibility.class === "staff" && isWhole;
}

/** Whether a stretch continues from a place without a hole. */
function follows(place: Place, { predecessor, last, all }: Stretch): boolean {
  const isDense = last.revision - place.revision === BigInt(all);
  return isDense && (place.revision === 0n || predecessor === place.eventId);
}

/** Why a watch cannot go on with a page that was read from its place on, that event included. */
function faultOf(place: Place, page: readonly Slot[]): ResetReason | undefined {
  const first = page[0]?.place;
  const expected = place.revision > 0n ? place.revision : 1n;
  if (!first) return undefined;
  if (first.revision > expected) return ResetReason.POSITION_TOO_OLD;
  if (place.revision > 0n && first.eventId !== place.eventId) return ResetReason.HISTORY_DIVERGED;
  return undefined;
}
