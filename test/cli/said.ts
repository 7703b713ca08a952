import { allThatIsSaid } from "../interop/raw-answers.ts";

/** Everything that was said, and the secrets that may stand in none of it. */
export class Said {
  /** Texts that nobody may ever read, each character a byte, by what they are. */
  readonly secrets = new Map<string, string>();
  readonly #said = new Map<string, Buffer[]>();

  plant(what: string, secret: string): void {
    this.secrets.set(what, secret);
  }

  /** Bytes, in each way in which they may be written: by hand, and as JavaScript writes a Buffer. */
  plantBytes(what: string, secret: Buffer): void {
    const hex = secret.toString("hex");
    this.plant(`${what}, raw`, secret.toString("latin1"));
    this.plant(`${what}, in hex`, hex);
    this.plant(`${what}, in upper hex`, hex.toUpperCase());
    this.plant(`${what}, in spaced hex`, hex.replaceAll(/..(?=.)/g, "$& "));
    this.plant(`${what}, in base64`, secret.toString("base64"));
    this.plant(`${what}, in base64url`, secret.toString("base64url"));
    this.plant(`${what}, in numbers`, secret.join(","));
  }

  note(by: string, words: Buffer | string): void {
    const all = this.#said.get(by) ?? [];
    all.push(Buffer.from(words));
    this.#said.set(by, all);
  }

  /** All that was said by one; without a name, by anybody. */
  textOf(by?: string): string {
    const all = by === undefined ? [...this.#said.values()].flat() : (this.#said.get(by) ?? []);
    return allThatIsSaid(Buffer.concat(all));
  }

  /** The secrets that stand in some words, in whole or in a half. */
  foundIn(words: Buffer | string): string[] {
    const all = allThatIsSaid(Buffer.from(words));
    return [...this.secrets]
      .filter(([, secret]) => partsOf(secret).some((part) => all.includes(part)))
      .map(([what]) => what);
  }

  /** What was said of secrets, and by whom. What one said in pieces, as logs are, is searched as one. */
  leaks(): string[] {
    return [...this.#said].flatMap(([by, all]) => this.foundIn(Buffer.concat(all)).map((what) => `${what}, by ${by}`));
  }
}

/** A secret is given away by half of it as well: each half, and of tokens each part. */
function partsOf(secret: string): string[] {
  const middle = Math.floor(secret.length / 2);
  const parts = secret.split(".").filter((part) => part.length > 30);
  return [secret, secret.slice(0, middle), secret.slice(middle), ...parts].filter((part) => part.length >= 8);
}
