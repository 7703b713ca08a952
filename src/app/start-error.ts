/** Exit codes of a start that was refused (BSD's sysexits.h). */
export const ExitCode = {
  /** The command line is wrong. */
  USAGE: 64,
  /** Something that is needed cannot be reached, or is taken by another process. */
  UNAVAILABLE: 69,
  /** A fault of ours. */
  SOFTWARE: 70,
  /** A setting, or the database as it stands, is not fit. */
  CONFIG: 78,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** A start that is refused. The message is one line: what is wrong, and what to do about it. */
export class StartError extends Error {
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message.replaceAll(/\s*\n\s*/g, "; "), cause === undefined ? undefined : { cause });
    this.name = "StartError";
    this.exitCode = exitCode;
  }
}

/** What an error says, in one line, for the end of a sentence of ours. */
export function reasonOf(error: unknown): string {
  // Node tries several addresses of one name and puts all their errors into one without a message.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message || error.name : String(error);
}
