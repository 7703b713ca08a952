/** What a setting is, whatever its kind. */

/** One setting. `parse` throws for text that it does not accept; what it throws is not shown. */
export interface Setting<T> {
  readonly variable: string;
  /** The value when it is not set. */
  readonly initial: T;
  /** The same for people. */
  readonly initialText: string;
  /** What is accepted, to follow "it must be". */
  readonly accepts: string;
  readonly about: string;
  parse(text: string): T;
  /** The text without its secrets. */
  redact(text: string): string;
}

/** What a row of the table says of its setting beside its kind. */
export interface Words {
  /** What it does, for the README and `leadline doctor`. */
  readonly about: string;
}

/** A setting whose text holds no secret: it is shown as it was given. */
export function setting<T>(
  variable: string,
  initial: T,
  initialText: string,
  accepts: string,
  words: Words,
  parse: (text: string) => T,
): Setting<T> {
  return { variable, initial, initialText, accepts, about: words.about, parse, redact: (text) => text };
}
