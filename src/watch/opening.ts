import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Place } from "../domain/stored-event.ts";
import type { Head } from "../journal/journal.ts";
import type { CatchUpHome } from "./catch-up.ts";
import type { Watcher } from "./watcher.ts";

/**
 * How watches start, once their hub has a head: with `started`, and then live from here on, with a snapshot pinned here, or
 * behind, at the place they want to continue from.
 *
 * Some depend on the newest head, and wait for a comparison with the database: a snapshot must hold every write that was
 * answered before it was asked for; a position beyond what is known here may come from an instance that knows more; and one
 * of mode LATEST may come out of the middle of a catch-up, which passes events over up to the head of its time.
 */
export class Openings {
  readonly #home: CatchUpHome;
  /** Watches that have not started. */
  readonly #waiting = new Set<Watcher>();

  constructor(home: CatchUpHome) {
    this.#home = home;
  }

  add(watcher: Watcher): void {
    this.#waiting.add(watcher);
  }

  forget(watcher: Watcher): void {
    this.#waiting.delete(watcher);
  }

  /** Starts it if it can. @param head what the hub was last compared with; undefined: it does not know at present */
  open(watcher: Watcher, head: Head | undefined): void {
    if (!head || (this.#needsNewest(watcher) && watcher.newest !== "known")) {
      if (watcher.newest === "unasked") this.#home.check();
      return;
    }
    this.#waiting.delete(watcher);
    this.#greet(watcher);
    if (watcher.isOver()) return;
    const { place, start } = watcher;
    if (start.from === "position" && place) this.#resume(watcher, place, head);
    else this.#startHere(watcher);
  }

  /** The head is asked for: the watches that the answer will be good for. */
  ask(): readonly Watcher[] {
    const asked = [...this.#waiting];
    for (const watcher of asked) if (watcher.newest === "unasked") watcher.newest = "asked";
    return asked;
  }

  /** What was known here has come up to the answer. */
  answer(watchers: readonly Watcher[]): void {
    for (const watcher of watchers) {
      watcher.newest = "known";
      if (this.#waiting.has(watcher)) this.#home.wake(watcher);
    }
  }

  /** The history is another one: what was asked before is void. */
  retry(): void {
    for (const watcher of this.#waiting) {
      watcher.newest = "unasked";
      this.#home.wake(watcher);
    }
  }

  /** There is a head: those that need no more may start. */
  begin(): void {
    for (const watcher of this.#waiting) this.#home.wake(watcher);
  }

  #needsNewest({ cohort, place, start }: Watcher): boolean {
    if (start.from !== "position" || !place) return start.from === "snapshot";
    return cohort.mode === "LATEST" || place.revision > this.#home.live.revision;
  }

  #greet(watcher: Watcher): void {
    const { encoder, live, options } = this.#home;
    watcher.notify({
      started: {
        head: encoder.position(live, watcher.cohort),
        heartbeat: durationFromMs(options.heartbeatMs * 1.25),
        messageMaxBytes: options.messageMaxBytes,
        maxAge: durationFromMs(options.maxAgeMs),
      },
    });
  }

  #startHere(watcher: Watcher): void {
    watcher.verified = true;
    if (watcher.start.from === "snapshot") watcher.pin(this.#home.live);
    else watcher.fallBehind(this.#home.live);
    this.#home.wake(watcher);
  }

  /** Whether the journal still has the place is seen by catching up from it. */
  #resume(watcher: Watcher, place: Place, head: Head): void {
    const refused = refusalOf(place, head, this.#home.live);
    if (refused !== undefined) {
      this.#home.reset(watcher, refused);
      return;
    }
    watcher.verified = place.revision === 0n;
    if (watcher.cohort.mode === "LATEST") watcher.hide(this.#home.live.revision);
    watcher.fallBehind(place);
    this.#home.wake(watcher);
  }
}

/** Why a watch cannot continue from a place, as far as the head tells. */
function refusalOf(place: Place, head: Head, live: Place): ResetReason | undefined {
  if (place.revision === 0n && place.eventId !== head.journalId) return ResetReason.OTHER_JOURNAL;
  if (place.revision < head.floor) return ResetReason.POSITION_TOO_OLD;
  if (place.revision > live.revision) return ResetReason.POSITION_AHEAD;
  return undefined;
}
