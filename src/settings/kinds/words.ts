/** Settings that are words: names, paths, secrets and lists of them. */
import { type Setting, setting, type Words } from "./setting.ts";

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

/** Some of several words, separated by commas. */
export function choices<const W extends string>(
  variable: string,
  initial: readonly NoInfer<W>[],
  options: readonly W[],
  words: Words,
): Setting<readonly W[]> {
  const accepts = `some of ${options.join(", ")}, separated by commas`;
  return setting<readonly W[]>(variable, initial, initial.join(","), accepts, words, (text) =>
    text.split(",").map((part) => {
      const found = options.find((option) => option === part.trim());
      if (found === undefined) throw new RangeError(text);
      return found;
    }),
  );
}

/** A name that somebody else gives: printable characters without spaces. */
export function name(variable: string, words: Words & { readonly without: string }): Setting<string>;
export function name(variable: string, words: Words): Setting<string | undefined>;
export function name(variable: string, words: Words & { readonly without?: string }): Setting<string | undefined> {
  const accepts = "1 to 200 printable characters without spaces";
  const initialText = words.without === undefined ? "none" : `\`${words.without}\``;
  return setting<string | undefined>(variable, words.without, initialText, accepts, words, (text) => {
    if (!/^[\x21-\x7e]{1,200}$/.test(text)) throw new RangeError(text);
    return text;
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
