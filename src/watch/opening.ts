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
  /** Watches that have not started, each with the head that was found when it was asked for last. */
  readonly #waiting = new Map<Watcher, Place | undefined>();

  constructor(home: CatchUpHome) {
    this.#home = home;
  }

  add(watcher: Watcher): void {
    this.#waiting.set(watcher, undefined);
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
    const found = this.#waiting.get(watcher) ?? this.#home.live;
    this.#waiting.delete(watcher);
    this.#greet(watcher);
    if (watcher.isOver()) return;
    const { place, start } = watcher;
    if (start.from === "position" && place) this.#resume(watcher, place, head);
    else this.#startHere(watcher, found);
  }

  /** The head is asked for: the watches that the answer will be good for. */
  ask(): readonly Watcher[] {
    const asked = [...this.#waiting.keys()];
    for (const watcher of asked) if (watcher.newest === "unasked") watcher.newest = "asked";
    return asked;
  }

  /** What was known here has come up to the answers. */
  answer(answers: readonly { readonly openers: readonly Watcher[]; readonly place: Place }[]): void {
    for (const { openers, place } of answers) {
      for (const watcher of openers) {
        watcher.newest = "known";
        if (!this.#waiting.has(watcher)) continue;
        this.#waiting.set(watcher, place);
        this.#home.wake(watcher);
      }
    }
  }

  /** The history is another one: what was asked before is void. */
  retry(): void {
    for (const watcher of this.#waiting.keys()) {
      this.#waiting.set(watcher, undefined);
      watcher.newest = "unasked";
      this.#home.wake(watcher);
    }
  }

  /** There is a head: those that need no more may start. */
  begin(): void {
    for (const watcher of this.#waiting.keys()) this.#home.wake(watcher);
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

  /** @param found a head of the database, which stands between two commands: where live watches stand may split one */
  #startHere(watcher: Watcher, found: Place): void {
    watcher.verified = true;
    if (watcher.start.from === "snapshot") watcher.pin(found);
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
