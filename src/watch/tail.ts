import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Extension, Place } from "../domain/stored-event.ts";
import type { Head } from "../journal/journal.ts";
import type { WatchReader } from "./bounded-reader.ts";
import { faultOf, readFollowing } from "./page.ts";
import type { Permits } from "./permits.ts";
import { isRedaction, redactBefore } from "./redacted.ts";
import { Ring } from "./ring.ts";
import { Slot } from "./slot.ts";

/** What a tail tells its hub. */
export interface TailEvents {
  /** The head has moved. */
  grown(): void;
  /** Something does not fit, and whoever said so cannot be trusted: compare the head with the database. */
  doubt(): void;
  /**
   * The database holds another history than was followed, or no longer what comes next. Nothing is taken up any more until
   * `begin`.
   */
  lost(reason: ResetReason): void;
  /** Events before one that has come are not to be shown as they were: what was made or read of them is stale. */
  redacted(): void;
  /** A read failed; it is tried again after a pause. */
  failed(error: unknown): void;
  /** Runs after a pause. */
  later(run: () => void): void;
}

/** Bounds of a tail: see WatchOptions. */
export interface TailBounds {
  readonly ringEvents: number;
  readonly ringBytes: number;
  readonly messageBytes: number;
  readonly pageEvents: number;
}

/**
 * The end of one journal as this instance knows it: its last events, where it ends, and how far live watchers were brought.
 *
 * It grows by what local commits and hints say, and by what it reads. Whatever is appended must name the head as its
 * predecessor, revision and id. What leaves a hole, or names another predecessor, is not believed: the tail reads on from
 * its own head, that event included, and so either closes the hole or finds that the database has another history.
 *
 * Memory stays bounded when watchers cannot follow: what would push events out of the ring that live watchers have not
 * had is left to be read later.
 */
export class Tail {
  readonly tenant: string;
  readonly #reader: WatchReader;
  readonly #permits: Permits;
  readonly #bounds: TailBounds;
  readonly #events: TailEvents;
  #ring: Ring;
  #live: Place;
  #wanted = 0n;
  #unservedBytes = 0;
  #filling = false;
  #stopped = true;
  /** Counts the times it began: what was read for an earlier one is dropped. */
  #age = 0;

  constructor(tenant: string, reader: WatchReader, permits: Permits, bounds: TailBounds, events: TailEvents) {
    this.tenant = tenant;
    this.#reader = reader;
    this.#permits = permits;
    this.#bounds = bounds;
    this.#events = events;
    this.#live = { revision: 0n, eventId: "" };
    this.#ring = this.#emptyRing();
  }

  /** The last event that is known here. */
  get head(): Place {
    return this.#ring.head;
  }

  /** Where live watchers stand. Never beyond the head. */
  get live(): Place {
    return this.#live;
  }

  get bytes(): number {
    return this.#ring.bytes;
  }

  /** Starts over at a head that was read from the database. What was heard meanwhile is read from there. */
  begin(head: Head): void {
    this.#age += 1;
    this.#stopped = false;
    this.#live = placeOf(head);
    this.#ring = this.#emptyRing();
    this.#unservedBytes = 0;
    this.#fill();
  }

  /** Takes nothing up any more. */
  stop(): void {
    this.#age += 1;
    this.#stopped = true;
  }

  /** New events of the tenant, from a local commit or from another instance. */
  extend({ previous, events }: Extension): void {
    const last = events.at(-1);
    if (!last) return;
    if (this.#stopped || previous.revision > this.head.revision) {
      this.want(last.revision);
    } else if (last.revision <= this.head.revision) {
      if (events.some((event) => this.#contradicts(event))) this.#events.doubt();
    } else {
      const known = Number(this.head.revision - previous.revision);
      const predecessor = known === 0 ? previous : events[known - 1];
      if (predecessor && isSame(predecessor, this.head)) this.#append(events.slice(known));
      else this.want(last.revision);
    }
  }

  /** Someone says that the journal has come to this place. */
  heard(place: Place): void {
    if (this.#stopped || place.revision > this.head.revision) this.want(place.revision);
    else if (this.#contradicts(place)) this.#events.doubt();
  }

  /** Reads on until this revision is reached, or found not to exist. */
  want(revision: bigint): void {
    if (revision > this.#wanted) this.#wanted = revision;
    this.#fill();
  }

  /** Whether the event that is known at the place's revision is another one. Places beyond what is known contradict nothing. */
  #contradicts(place: Place): boolean {
    const known = this.#ring.placeAt(place.revision);
    return known !== undefined && known.eventId !== place.eventId;
  }

  /** The place at a revision, if it is known here. */
  placeAt(revision: bigint): Place | undefined {
    return this.#ring.placeAt(revision);
  }

  /** The events after a revision that live watchers have had: see `Ring.between`. */
  served(after: bigint): Slot[] | undefined {
    return this.#ring.between(after, this.#live.revision, this.#bounds.messageBytes);
  }

  /** The next events that live watchers have not had. */
  unserved(): Slot[] {
    return this.#ring.between(this.#live.revision, this.head.revision, this.#bounds.messageBytes) ?? [];
  }

  /** Live watchers are brought over these, the first of `unserved`. */
  serve(slots: readonly Slot[]): void {
    for (const slot of slots) {
      this.#live = slot.place;
      this.#unservedBytes -= slot.bytes;
    }
    this.#fill();
  }

  #append(events: readonly Extension["events"][number][]): void {
    for (const event of events) {
      if (!this.#hasRoom()) {
        this.want(events.at(-1)?.revision ?? 0n);
        break;
      }
      const slot = new Slot(this.tenant, event);
      this.#ring.append(slot, this.#live.revision);
      this.#unservedBytes += slot.bytes;
      if (isRedaction(event)) {
        this.#redactBefore(slot);
      }
    }
    this.#events.grown();
  }

  #redactBefore(redaction: Slot): void {
    try {
      redactBefore(redaction, this.#ring.slots());
    } catch {
      this.#events.doubt(); // what cannot be read cannot be what the journal has
    }
    this.#events.redacted();
  }

  /** Whether one more event pushes out nothing that live watchers have not had. */
  #hasRoom(): boolean {
    const unserved = this.head.revision - this.#live.revision;
    return unserved < BigInt(this.#bounds.ringEvents) && this.#unservedBytes < this.#bounds.ringBytes;
  }

  /** Reads what is wanted, one page after the other, one reader at a time. */
  #fill(): void {
    if (this.#filling || this.#stopped || this.#wanted <= this.head.revision || !this.#hasRoom()) return;
    this.#filling = true;
    const age = this.#age;
    this.#readOn(age).then(
      () => {
        this.#filling = false;
        this.#fill();
      },
      (error: unknown) => {
        this.#events.failed(error);
        this.#events.later(() => {
          this.#filling = false;
          this.#fill();
        });
      },
    );
  }

  async #readOn(age: number): Promise<void> {
    const from = this.head;
    const { pageEvents, messageBytes } = this.#bounds;
    const page = await this.#permits.use(
      { tenant: this.tenant, items: pageEvents, wanted: () => age === this.#age },
      () => readFollowing(this.#reader, this.tenant, from, pageEvents, messageBytes),
      (events) => (typeof events === "number" ? 0 : events.length),
    );
    if (!page || age !== this.#age) return;
    const reason = typeof page === "number" ? page : this.#faultIn(from, page);
    if (typeof page === "number" || reason !== undefined) {
      this.stop();
      this.#events.lost(typeof page === "number" ? page : (reason ?? ResetReason.HISTORY_DIVERGED));
      return;
    }
    const events = page.filter((event) => event.revision > this.head.revision);
    // Whoever named a later revision was wrong, or so far ahead of the database that a comparison will tell.
    if (events.length === 0) this.#wanted = this.head.revision;
    else this.#append(events);
  }

  /** Why what was read from a place on cannot be taken up. */
  #faultIn(from: Place, page: readonly Place[]): ResetReason | undefined {
    // While the page was on its way the head may have moved on to where it begins, or beyond.
    const [first] = page;
    const hasCome = first !== undefined && this.#ring.placeAt(first.revision)?.eventId === first.eventId;
    const fault = faultOf(hasCome ? first : from, page);
    if (fault !== undefined) return fault;
    const isGone = page.length === 0 && from.revision > 0n;
    return isGone || page.some((event) => this.#contradicts(event)) ? ResetReason.HISTORY_DIVERGED : undefined;
  }

  #emptyRing(): Ring {
    return new Ring(this.#live, this.#bounds.ringEvents, this.#bounds.ringBytes);
  }
}

function isSame(a: Place, b: Place): boolean {
  return a.revision === b.revision && a.eventId === b.eventId;
}

/** The place of a head: at revision 0 the journal's own id. */
export function placeOf({ revision, eventId, journalId }: Head): Place {
  return { revision, eventId: revision === 0n ? journalId : eventId };
}
