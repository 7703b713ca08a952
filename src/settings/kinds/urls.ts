/** Settings that say where something is on the network, and how they are shown without their secrets. */
import { type Setting, setting, type Words } from "./setting.ts";

/** Where a JWKS document is; without TLS on this machine only. */
export function jwksUrl(variable: string, words: Words): Setting<string | undefined> {
  const accepts = "a URL with https, such as `https://id.example.com/keys`; with http on this machine only";
  return {
    ...setting<string | undefined>(variable, undefined, "none", accepts, words, (text) => {
      const { protocol, hostname, username, password } = new URL(text);
      const local = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
      if (protocol !== "https:" && !(protocol === "http:" && local)) throw new RangeError("no https");
      if (username !== "" || password !== "") throw new RangeError("a login");
      return text;
    }),
    redact: redactUrl,
  };
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

/** The origin of a web page: scheme, host and port, nothing after them. `*` is not accepted. */
export const origin = {
  accepts: "origins such as `https://app.example.com`, separated by commas",
  parse(text: string): string {
    const url = new URL(text);
    if (!["http:", "https:"].includes(url.protocol) || url.origin !== text.toLowerCase()) throw new RangeError(text);
    return url.origin;
  },
};

/** A URL without password and parameters, which may hold one too. Text that is no URL may hold anything: nothing is shown. */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return "(not a URL)";
  const url = new URL(text);
  if (url.password !== "") url.password = "***";
  url.search = "";
  return url.href;
}
