import { LeadlineError } from "../client/leadline-error.ts";
import { Status } from "../client/status.ts";

/** The exit codes of every command, beside 1 those of BSD's sysexits.h; `leadline --help` lists them. */
export const Exit = {
  /** Done. */
  DONE: 0,
  /** The service refused the call or an item, or a check failed. */
  REFUSED: 1,
  /** The command or a file is wrong. */
  USAGE: 64,
  /** The service or the database cannot be reached, did not answer in time, or is taken by another process. */
  UNREACHABLE: 69,
  /** A fault of ours. */
  SOFTWARE: 70,
  /** The credential is missing, not accepted, or may not do this. */
  CREDENTIAL: 77,
  /** A setting, or the database as it stands, is not fit. */
  CONFIG: 78,
  /** Ctrl-C. */
  INTERRUPTED: 130,
} as const;
export type Exit = (typeof Exit)[keyof typeof Exit];

export const exitCodesHelp = `
Exit codes:
  0    done
  1    the service refused the call or an item, or a check failed
  64   the command or a file is wrong
  69   the service or the database cannot be reached, did not answer in time, or is taken by another process
  70   a fault of Leadline's
  77   the credential is missing, not accepted, or may not do this
  78   a setting, or the database as it stands, is not fit
  130  interrupted with Ctrl-C`;

/** A command that cannot be carried out, for people: what is wrong, and in `hint` what to do about it. */
export class CliError extends Error {
  readonly exit: number;
  /** A machine-readable name, as errors of the service have one. */
  readonly reason: string;
  readonly hint: string | undefined;

  constructor(exit: number, reason: string, message: string, hint?: string) {
    super(message);
    this.name = "CliError";
    this.exit = exit;
    this.reason = reason;
    this.hint = hint;
  }
}

/** A value on the command line, or a file, that cannot be used. */
export function wrongUse(message: string, hint?: string): CliError {
  return new CliError(Exit.USAGE, "WRONG_USE", message, hint);
}

/** Any error as the command line shows it; `address` is where the service was looked for. */
export function asCliError(error: unknown, address?: string): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof LeadlineError) return fromService(error, address);
  const message = error instanceof Error ? error.message : String(error);
  // A start that is refused brings its own exit code.
  if (error instanceof Error && "exitCode" in error && typeof error.exitCode === "number") {
    return new CliError(error.exitCode, "START_REFUSED", message);
  }
  return new CliError(Exit.SOFTWARE, "INTERNAL", message);
}

function fromService(error: LeadlineError, address = "the service"): CliError {
  const { code, reasonName } = error;
  switch (code) {
    case Status.UNAVAILABLE:
      if (error.reason !== "") break;
      return new CliError(
        Exit.UNREACHABLE,
        reasonName,
        `cannot reach ${address}: ${error.message}`,
        "start it with `leadline serve`, or say where it is with --address or LEADLINE_ADDRESS",
      );
    case Status.UNAUTHENTICATED:
    case Status.PERMISSION_DENIED:
      return new CliError(
        Exit.CREDENTIAL,
        reasonName,
        error.message,
        "give a key with --key or LEADLINE_KEY; `leadline keys create` makes one",
      );
  }
  const unreachable = code === Status.UNAVAILABLE || code === Status.DEADLINE_EXCEEDED;
  return new CliError(unreachable ? Exit.UNREACHABLE : Exit.REFUSED, reasonName, error.message, hintOf(error));
}

/** What the message does not say already: the fields at fault, the state and what it allows, when to try again. */
function hintOf(error: LeadlineError): string | undefined {
  const { message, code, metadata, violations, retryAfterMs } = error;
  const isNew = (text: string): boolean => !message.includes(text);
  const fields = violations.map(({ field, description }) => `${field}: ${description}`).filter(isNew);
  if (fields.length > 0) return fields.join("\n      ");
  const known = Object.entries(metadata).filter(([name, value]) =>
    name === "call_id" ? code === Status.INTERNAL : name !== "violations" && isNew(value),
  );
  if (known.length > 0) return known.map(([name, value]) => `${name}: ${value}`).join(", ");
  return retryAfterMs === undefined ? undefined : `try again in ${Math.ceil(retryAfterMs / 1000)} s`;
}

/** One line for standard error, and a second one with the hint where there is one. */
export function errorText(error: CliError): string {
  const hint = error.hint === undefined ? "" : `\nhint: ${error.hint}`;
  return `leadline: ${error.message.replaceAll(/\s*\n\s*/g, "; ")} (${error.reason})${hint}\n`;
}
