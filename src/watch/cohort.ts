import type { Filter } from "../domain/filter.ts";
import type { Visibility } from "../domain/principal.ts";
import type { SubjectKind } from "../domain/subject.ts";
import type { Slot } from "./slot.ts";
import type { Codec, WatchSpec } from "./spec.ts";
import type { Watcher } from "./watcher.ts";

/** What an event is to a watcher: it is sent, its subject has left, or it is not the watcher's business. */
export type Verdict = "event" | "left" | undefined;

/**
 * Watchers that get the same bytes: equal kind, visibility, filter, mode and codec. What an event is to them is decided
 * once, and encoded once.
 */
export class Cohort {
  readonly tenant: string;
  readonly key: string;
  readonly kind: SubjectKind;
  readonly visibility: Visibility;
  readonly filter: Filter;
  readonly mode: "ALL" | "LATEST";
  readonly codec: Codec;
  /** The subjects that it can be about; undefined: any. */
  readonly ids: ReadonlySet<string> | undefined;
  /** Its watchers that stand where the hub stands. */
  readonly live = new Set<Watcher>();
  /** How many watchers belong to it, live or not. */
  members = 0;

  constructor(spec: WatchSpec, codec: Codec) {
    this.tenant = spec.tenant;
    this.key = cohortKey(spec, codec);
    this.kind = spec.kind;
    this.visibility = spec.visibility;
    this.filter = spec.filter;
    this.mode = spec.mode;
    this.codec = codec;
    this.ids = idsOf(spec);
  }

  /** Whether the event can be seen and is about one of the subjects: everything that needs no decoding. */
  concerns({ event }: Slot): boolean {
    if (event.kind !== this.kind) return false;
    if (this.visibility.class === "carrier" && event.carrier !== this.visibility.carrier) return false;
    return this.ids === undefined || this.ids.has(event.subjectId);
  }

  /**
   * What an event that concerns it is to it: compares the filter with the subject before and after. A booking's carrier and an order's link never change,
   * so what can be seen does not either.
   */
  verdict(slot: Slot): Verdict {
    if (!this.filter.needsFacets) return "event";
    const { before, after } = slot.facets();
    const id = slot.event.subjectId;
    // An event of a newer release that this one cannot judge is passed on rather than kept back.
    if (after === undefined || this.filter.matches(id, after)) return "event";
    return before !== undefined && this.filter.matches(id, before) ? "left" : undefined;
  }
}

/** Watches with equal keys get equal bytes. */
export function cohortKey({ kind, mode, visibility, filter }: WatchSpec, codec: Codec): string {
  const seen =
    visibility.class === "carrier" ? visibility.carrier : visibility.class === "link" ? visibility.orderId : "";
  return JSON.stringify([kind, mode, codec, visibility.class, seen, filter.key]);
}

function idsOf({ visibility, filter }: WatchSpec): ReadonlySet<string> | undefined {
  if (visibility.class !== "link") return filter.ids;
  const { orderId } = visibility;
  return new Set(filter.ids === undefined || filter.ids.has(orderId) ? [orderId] : []);
}
