/** What a simulation may meet; over enough seeds each of them is met. */
export const EXPECTED = {
  fault: [
    "hint dropped",
    "hint repeated",
    "hint delayed",
    "hint reordered",
    "hint garbled",
    "hint without events",
    "hint forged",
    "bus away",
    "instance stalled",
    "instance killed",
    "instance drained",
    "reader stalled",
    "stream cut",
    "stream silent",
    "client restarted",
    "database slow",
    "database away",
    "answer lost",
    "commit unanswered",
    "history pruned",
    "tail lost by a failover",
    "another journal",
    "key revoked",
  ],
  state: ["opening", "snapshot", "behind", "live", "over"],
  transition: [
    "opening -> snapshot",
    "opening -> behind",
    "opening -> over",
    "snapshot -> behind",
    "snapshot -> over",
    "behind -> live",
    "behind -> over",
    "live -> behind",
    "live -> over",
  ],
  end: ["DRAINING", "MAX_AGE", "SLOW_READER", "UNVERIFIED", "CREDENTIAL", "DEADLINE"],
  reset: ["HISTORY_DIVERGED", "POSITION_AHEAD", "POSITION_TOO_OLD", "OTHER_JOURNAL"],
  read: ["heads", "events", "stretch", "latest", "rows", "before"],
  told: ["event", "left", "row", "synced", "bookmark", "restart"],
} as const;

export type CoverageKind = keyof typeof EXPECTED;

/** How often each happened: `fault/bus away` -> 7. */
export class Coverage {
  readonly counts: Record<string, number> = {};

  count(kind: CoverageKind, name: string, times = 1): void {
    const key = `${kind}/${name}`;
    this.counts[key] = (this.counts[key] ?? 0) + times;
  }

  add(counts: Readonly<Record<string, number>>): void {
    for (const [key, times] of Object.entries(counts)) this.counts[key] = (this.counts[key] ?? 0) + times;
  }

  /** What never happened, and what happened and was not expected to. */
  gaps(): { never: string[]; unknown: string[] } {
    const expected = Object.entries(EXPECTED).flatMap(([kind, names]) => names.map((name) => `${kind}/${name}`));
    const known = new Set(expected);
    return {
      never: expected.filter((key) => !this.counts[key]),
      unknown: Object.keys(this.counts).filter((key) => !known.has(key)),
    };
  }

  /** A table of all that is expected, a row each. */
  rows(): (readonly [kind: string, name: string, times: number])[] {
    return Object.entries(EXPECTED).flatMap(([kind, names]) =>
      names.map((name) => [kind, name, this.counts[`${kind}/${name}`] ?? 0] as const),
    );
  }
}
