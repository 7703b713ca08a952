/** What the watches of one instance have done since it started. */
export interface Counts {
  messages: number;
  /** Events and departures written. */
  events: number;
  /** Pages read for watches that were behind, and for snapshots. */
  catchUpReads: number;
  /** Comparisons of heads with the database, and those that failed. */
  headChecks: number;
  headCheckFailures: number;
  /** Times that someone said what does not fit the journal. */
  doubts: number;
  /** Times that a journal turned out to have another history. */
  divergences: number;
  /** Times that bytes were about to go to a reader whose they are not. Anything but 0 is a fault of ours. */
  wallBreaches: number;
  /** Watches ended, by the reason's name. */
  ends: Record<string, number>;
  /** Watches reset, by the reason's name. */
  resets: Record<string, number>;
}

export function noCounts(): Counts {
  return {
    messages: 0,
    events: 0,
    catchUpReads: 0,
    headChecks: 0,
    headCheckFailures: 0,
    doubts: 0,
    divergences: 0,
    wallBreaches: 0,
    ends: {},
    resets: {},
  };
}

export function countIn(record: Record<string, number>, name: string): void {
  record[name] = (record[name] ?? 0) + 1;
}
