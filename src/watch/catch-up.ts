import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Place } from "../domain/stored-event.ts";
import type { Stretch } from "../journal/journal.ts";
import type { WatchReader } from "./bounded-reader.ts";
import { CatchUpReads } from "./catch-up-reads.ts";
import type { Cohort } from "./cohort.ts";
import { deliveryOf } from "./delivery.ts";
import { WallBreach } from "./encoder.ts";
import { faultOf } from "./page.ts";
import type { Permits } from "./permits.ts";
import type { AheadRoom } from "./read-ahead.ts";
import type { Slot } from "./slot.ts";
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
  readonly #reads: CatchUpReads;

  constructor(home: CatchUpHome, tail: Tail, reader: WatchReader, permits: Permits, room: AheadRoom) {
    this.#home = home;
    this.#tail = tail;
    this.#reads = new CatchUpReads(home, tail, reader, permits, room);
  }

  /** The watcher is over. */
  forget(watcher: Watcher): void {
    this.#reads.forget(watcher);
  }

  /** What was read so far, or is being read, is not to be used: the journal's events have been rewritten. */
  forgetReads(): void {
    this.#reads.forgetAll();
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
    // A stretch from the very start has no predecessor that shows whose it is.
    const mayCopy = takesEverything(watcher.cohort) && place.revision > 0n;
    if (mayCopy && place.revision < this.#tail.live.revision) this.#readStretch(watcher, place);
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

  /** Brings on who gets every event as it is stored: payloads are copied, and nothing is looked into. */
  #readStretch(watcher: Watcher, place: Place): void {
    this.#await(watcher, this.#reads.stretch(watcher, place.revision), ({ stretch, readers }) => {
      // What does not fit is looked at event by event.
      if (!stretch || !follows(place, stretch)) this.#readPage(watcher, place);
      else this.#copy(watcher, stretch, readers.size === 1);
    });
  }

  #copy(watcher: Watcher, { events, payloads, last }: Stretch, isLast: boolean): void {
    const { cohort } = watcher;
    if (cohort.tenant !== this.#tail.tenant) {
      const breach = `events of "${this.#tail.tenant}" were about to go to "${cohort.tenant}"`;
      this.#home.breached(watcher, new WallBreach(breach));
      return;
    }
    watcher.verified = true;
    if (last.revision < this.#tail.live.revision && !this.#tail.placeAt(last.revision)) {
      this.#reads.beginStretch(watcher, last.revision);
    }
    watcher.deliver({
      cohort,
      runs: events === 0 ? [] : [{ message: payloads, at: last, events, isLast }],
      upTo: last,
    });
    this.#home.wake(watcher);
  }

  #readPage(watcher: Watcher, place: Place): void {
    this.#await(watcher, this.#reads.page(watcher, place), (slots) => this.#turnPage(watcher, place, slots));
  }

  #turnPage(watcher: Watcher, place: Place, page: readonly Slot[] | ResetReason): void {
    const slots = typeof page === "number" ? [] : page;
    const places = slots.map((slot) => slot.place);
    const fault = typeof page === "number" ? page : faultOf(place, places);
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
    this.#await(watcher, this.#reads.latest(watcher, place), (slots) => {
      if (typeof slots === "number") {
        this.#home.reset(watcher, slots);
        return;
      }
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
    const age = this.#reads.age;
    read.then(
      (result) => {
        watcher.reading = false;
        if (watcher.state !== "behind") return;
        if (result !== undefined && age === this.#reads.age) use(result);
        else this.#home.wake(watcher); // it joined a page that nobody wanted any more, or that is stale
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
