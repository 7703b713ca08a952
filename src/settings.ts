/** The kinds of settings: how each is read from text, what it accepts, and how it is shown without its secrets. */

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

interface Words {
  readonly about: string;
}

/** A whole number within bounds, both included. */
export function integer(
  variable: string,
  initial: number,
  words: Words & { readonly range: readonly [number, number]; readonly unit?: string },
): Setting<number> {
  const [min, max] = words.range;
  const unit = words.unit === undefined ? "" : ` ${words.unit}`;
  const accepts = `a whole number from ${min} to ${max}${unit}`;
  return setting(variable, initial, `${initial}${unit}`, accepts, words, (text) => {
    const value = Number(text);
    if (!/^[0-9]{1,15}$/.test(text) || value < min || value > max) throw new RangeError(text);
    return value;
  });
}

/** One of several words. */
export function choice<const W extends string>(
  variable: string,
  initial: NoInfer<W>,
  options: readonly W[],
  words: Words,
): Setting<W> {
  return setting<W>(variable, initial, initial, `one of ${options.join(", ")}`, words, (text) => {
    const found = options.find((option) => option === text);
    if (found === undefined) throw new RangeError(text);
    return found;
  });
}

/** A folder, as given. */
export function directory(variable: string, initial: string, words: Words): Setting<string> {
  return setting(variable, initial, `\`${initial}\``, "the path of a folder", words, (text) => text);
}

/** The path of a file, or nothing. Whether it can be read is found out where it is read. */
export function file(variable: string, words: Words): Setting<string | undefined> {
  return setting<string | undefined>(variable, undefined, "none", "the path of a file", words, (text) => text);
}

/** A host name or address to listen on. */
export function host(variable: string, initial: string, words: Words): Setting<string> {
  return setting(variable, initial, `\`${initial}\``, "a host name or an IP address", words, (text) => {
    if (!/^[A-Za-z0-9.:_-]{1,255}$/.test(text)) throw new RangeError(text);
    return text;
  });
}

/** The URL of a Postgres database, or nothing. */
export function databaseUrl(variable: string, without: string, words: Words): Setting<string | undefined> {
  const accepts = "a URL such as `postgres://user:password@host:5432/database`";
  return {
    ...setting<string | undefined>(variable, undefined, without, accepts, words, (text) => {
      const url = new URL(text);
      if (!["postgres:", "postgresql:"].includes(url.protocol) || url.pathname.length < 2) throw new RangeError(text);
      return text;
    }),
    redact: redactUrl,
  };
}

/** The URLs of NATS servers, or nothing. */
export function natsUrl(variable: string, without: string, words: Words): Setting<string | undefined> {
  const accepts = "URLs such as `nats://host:4222`, separated by commas";
  return {
    ...setting<string | undefined>(variable, undefined, without, accepts, words, (text) => {
      for (const part of text.split(",")) {
        const url = new URL(part.trim());
        if (!["nats:", "tls:", "ws:", "wss:"].includes(url.protocol) || url.hostname === "") throw new RangeError(part);
      }
      return text;
    }),
    redact: (text) =>
      text
        .split(",")
        .map((part) => redactUrl(part.trim()))
        .join(","),
  };
}

/** Several values separated by commas; none by default. */
export function list<T>(
  variable: string,
  item: { readonly accepts: string; parse(text: string): T },
  words: Words,
): Setting<readonly T[]> {
  return setting<readonly T[]>(variable, [], "none", item.accepts, words, (text) =>
    text.split(",").map((part) => item.parse(part.trim())),
  );
}

/** The origin of a web page: scheme, host and port, nothing after them. `*` is not accepted. */
export const origin = {
  accepts: "origins such as `https://app.example.com`, separated by commas",
  parse(text: string): string {
    const url = new URL(text);
    if (!["http:", "https:"].includes(url.protocol) || url.origin !== text.toLowerCase()) throw new RangeError(text);
    return url.origin;
  },
};

/** A credential: long enough to be beyond guessing. */
export function secret(variable: string, without: string, words: Words): Setting<string | undefined> {
  const accepts = "32 to 200 characters of letters, digits, `_` and `-`";
  return {
    ...setting<string | undefined>(variable, undefined, without, accepts, words, (text) => {
      if (!/^[A-Za-z0-9_-]{32,200}$/.test(text)) throw new RangeError("not shown");
      return text;
    }),
    redact: () => "(secret)",
  };
}

function setting<T>(
  variable: string,
  initial: T,
  initialText: string,
  accepts: string,
  words: Words,
  parse: (text: string) => T,
): Setting<T> {
  return { variable, initial, initialText, accepts, about: words.about, parse, redact: (text) => text };
}

/** A URL without password and parameters, which may hold one too. Text that is no URL may hold anything: nothing is shown. */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return "(not a URL)";
  const url = new URL(text);
  if (url.password !== "") url.password = "***";
  url.search = "";
  return url.href;
}
