import type { StoredEvent } from "../domain/stored-event.ts";
import type { SubjectKind } from "../domain/subject.ts";
import { Cohort, cohortKey } from "./cohort.ts";
import type { Codec, WatchSpec } from "./spec.ts";

/** The cohorts of one tenant and one kind, by what they can be about. */
interface Shelf {
  readonly bySubject: Map<string, Set<Cohort>>;
  readonly byCarrier: Map<string, Set<Cohort>>;
  readonly all: Set<Cohort>;
}

/**
 * Finds the cohorts that an event may concern: those that name its subject, those of its carrier, and those of the whole
 * tenant. So a change costs what its watchers cost, and ten thousand watchers of single orders cost nothing where none of
 * their orders changes.
 */
export class WatcherIndex {
  readonly #cohorts = new Map<string, Cohort>();
  readonly #shelves = new Map<SubjectKind, Shelf>();

  /** Cohorts, and subjects and carriers that they are found by. */
  get entries(): number {
    let entries = this.#cohorts.size;
    for (const { bySubject, byCarrier } of this.#shelves.values()) entries += bySubject.size + byCarrier.size;
    return entries;
  }

  /** The cohort that a watch belongs to; counts it in. */
  join(spec: WatchSpec, codec: Codec): Cohort {
    const key = cohortKey(spec, codec);
    let cohort = this.#cohorts.get(key);
    if (!cohort) {
      cohort = new Cohort(spec, codec);
      this.#cohorts.set(key, cohort);
      for (const place of this.#placesOf(cohort)) place.add(cohort);
    }
    cohort.members += 1;
    return cohort;
  }

  /** Counts a watch out; the last one takes its cohort along. */
  leave(cohort: Cohort): void {
    cohort.members -= 1;
    if (cohort.members > 0 || this.#cohorts.get(cohort.key) !== cohort) return;
    this.#cohorts.delete(cohort.key);
    for (const place of this.#placesOf(cohort)) place.delete(cohort);
    const shelf = this.#shelf(cohort.kind);
    for (const id of cohort.ids ?? []) dropIfEmpty(shelf.bySubject, id);
    if (cohort.visibility.class === "carrier") dropIfEmpty(shelf.byCarrier, cohort.visibility.carrier);
  }

  /** Those that the event may concern, each once; `Cohort.concerns` still has to be asked. */
  *candidates(event: StoredEvent): Generator<Cohort, void> {
    const shelf = this.#shelves.get(event.kind);
    if (!shelf) return;
    yield* shelf.bySubject.get(event.subjectId) ?? [];
    if (event.carrier !== "") yield* shelf.byCarrier.get(event.carrier) ?? [];
    yield* shelf.all;
  }

  #placesOf(cohort: Cohort): Set<Cohort>[] {
    const shelf = this.#shelf(cohort.kind);
    if (cohort.ids) return [...cohort.ids].map((id) => setAt(shelf.bySubject, id));
    if (cohort.visibility.class === "carrier") return [setAt(shelf.byCarrier, cohort.visibility.carrier)];
    return [shelf.all];
  }

  #shelf(kind: SubjectKind): Shelf {
    let shelf = this.#shelves.get(kind);
    if (!shelf) {
      shelf = { bySubject: new Map(), byCarrier: new Map(), all: new Set() };
      this.#shelves.set(kind, shelf);
    }
    return shelf;
  }
}

function setAt(map: Map<string, Set<Cohort>>, key: string): Set<Cohort> {
  let set = map.get(key);
  if (!set) {
    set = new Set();
    map.set(key, set);
  }
  return set;
}

function dropIfEmpty(map: Map<string, Set<Cohort>>, key: string): void {
  if (map.get(key)?.size === 0) map.delete(key);
}
