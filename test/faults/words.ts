/** Levels of pino's. */
const ERROR = 50;
const FATAL = 60;

/**
 * What an instance may call an error in a run: a journal was replaced by an older one, or pruned under a watch, by the faults.
 * The validators hold each reset against what happened.
 */
const EXPECTED: ReadonlySet<string> = new Set([
  "the journal has another history; watches are reset",
  "the journal no longer has what follows; watches are reset",
]);

/** The lines of a log that must not be there: everything fatal, and errors that no fault of a run explains. */
export function graveIn(log: string): string[] {
  return log.split("\n").filter((line) => {
    const { level, msg } = said(line);
    return level >= FATAL || (level >= ERROR && !EXPECTED.has(msg));
  });
}

/** Times that an instance's metrics say that a wall was about to be crossed; undefined: they do not say. */
export function breachesIn(metrics: string): number | undefined {
  const count = /^leadline_wall_breaches (\S+)$/m.exec(metrics)?.[1];
  return count === undefined ? undefined : Number(count);
}

/** A line of pino's; what else a process writes has no level. */
function said(line: string): { readonly level: number; readonly msg: string } {
  try {
    const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
    return { level: Number(level ?? 0), msg: String(msg ?? "") };
  } catch {
    return { level: 0, msg: "" };
  }
}
