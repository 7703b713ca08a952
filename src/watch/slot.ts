import type { Event, Facets } from "../../gen/leadline/v1/event_pb.ts";
import { facetsOfBooking, facetsOfOrder } from "../domain/facets.ts";
import type { Place, StoredEvent } from "../domain/stored-event.ts";
import { decodeEvents } from "../wire/event-view.ts";

/** What filters ask of an event. `before`: undefined for a subject's first event. `after`: undefined if this release cannot tell. */
export interface FacetPair {
  readonly before: Facets | undefined;
  readonly after: Facets | undefined;
}

/**
 * One event in memory, with what was once worked out about it: many watchers ask the same. It knows whose it is, so that
 * it can be checked once more before its bytes go out.
 */
export class Slot {
  readonly tenant: string;
  /** Stored bytes when it came: what it counts for. */
  readonly bytes: number;
  /** Apart from the event, so that whoever remembers the place does not keep the event. */
  readonly place: Place;
  #event: StoredEvent;
  #facets: FacetPair | undefined;
  #pieces: Map<string, Uint8Array> | undefined;

  constructor(tenant: string, event: StoredEvent) {
    this.tenant = tenant;
    this.#event = event;
    this.bytes = event.payload.length;
    this.place = { revision: event.revision, eventId: event.eventId };
  }

  get event(): StoredEvent {
    return this.#event;
  }

  /** Replaces the bytes: the journal's have been rewritten in the same way. What was made of the old ones is forgotten. */
  rewrite(payload: Uint8Array): void {
    this.#event = { ...this.#event, payload };
    this.#pieces = undefined;
  }

  /** The event itself; not kept, because it is several times as large as its bytes. Throws if they cannot be read. */
  decode(): Event {
    const [event] = decodeEvents(this.event.payload);
    if (!event) throw new Error(`event ${this.place.revision} of tenant "${this.tenant}" is empty`);
    return event;
  }

  facets(): FacetPair {
    this.#facets ??= facetPair(this.decode());
    return this.#facets;
  }

  /** An encoding that is made once. There are four at most: staff and the event's one carrier, in two codecs. */
  piece(key: string, make: () => Uint8Array): Uint8Array {
    this.#pieces ??= new Map();
    let piece = this.#pieces.get(key);
    if (!piece) {
      piece = make();
      this.#pieces.set(key, piece);
    }
    return piece;
  }
}

function facetPair(event: Event): FacetPair {
  const after = facetsAfter(event);
  if (event.version <= 1n) return { before: undefined, after };
  return { before: event.before ?? after, after };
}

function facetsAfter({ after }: Event): Facets | undefined {
  switch (after.case) {
    case "order":
      return facetsOfOrder(after.value);
    case "booking":
      return facetsOfBooking(after.value);
    default:
      return undefined;
  }
}
