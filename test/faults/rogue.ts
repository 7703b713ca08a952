import { randomBytes } from "node:crypto";
import { connect, type Msg, type NatsConnection } from "nats";
import { type DecodedHint, decodeHint, encodeHint } from "../../src/bus/hint-codec.ts";
import type { Place, StoredEvent } from "../../src/domain/stored-event.ts";

/** How many messages are remembered, to be said again. */
const MEMORY = 200;
const TAG_BYTES = 16;
const HEAD_ONLY = -1;
const ALL = 1 << 20;

/** What was heard last on a subject. */
interface Heard {
  readonly tenant: string;
  readonly place: Place;
  readonly event: StoredEvent | undefined;
  readonly tag: Uint8Array;
}

/**
 * A client on the NATS server that has no business there: it hears every hint, and says what it likes. It can repeat a hint
 * with its tag, but not make a tag.
 */
export class Rogue implements AsyncDisposable {
  readonly #connection: NatsConnection;
  readonly #random: () => number;
  readonly #say: "again" | "forged";
  readonly #memory: { readonly subject: string; readonly data: Uint8Array }[] = [];
  readonly #last = new Map<string, Heard>();
  /** Messages that it sent. */
  said = 0;

  private constructor(connection: NatsConnection, say: "again" | "forged", random: () => number) {
    this.#connection = connection;
    this.#random = random;
    this.#say = say;
    connection.subscribe("leadline.>", { callback: (error, message) => error ?? this.#hear(message) });
  }

  /** Connects, and goes on until it is disposed of. `again`: repeats what it hears, now and later, out of order. */
  static async join(url: string, say: "again" | "forged", random: () => number): Promise<Rogue> {
    return new Rogue(await connect({ servers: [url], name: "rogue", noEcho: true }), say, random);
  }

  /** Ends the streams of a credential, as far as NATS can. */
  revoke(credential: string): void {
    const [known] = this.#last.keys();
    const prefix = known?.split(".").slice(0, 2).join(".");
    const words = Buffer.concat([Buffer.of(1), Buffer.from(credential)]);
    if (!prefix) return;
    this.#publish(`${prefix}.revoked`, words);
    this.#publish(`${prefix}.revoked`, Buffer.concat([words, randomBytes(TAG_BYTES)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }

  #hear({ subject, data }: Msg): void {
    const copy = Uint8Array.from(data);
    this.#memory.push({ subject, data: copy });
    if (this.#memory.length > MEMORY) this.#memory.shift();
    const heard = this.#read(subject, copy);
    if (heard) this.#last.set(subject, heard);
    if (this.#say === "again") this.#repeat(subject, copy);
    else if (heard) this.#forge(subject, heard);
  }

  #repeat(subject: string, data: Uint8Array): void {
    this.#publish(subject, data);
    const old = this.#memory[Math.floor(this.#random() * this.#memory.length)];
    if (old) setTimeout(() => this.#publish(old.subject, old.data), this.#random() * 500);
  }

  /** Says that something else came next; something far ahead; another event in the last one's place; another tenant's. */
  #forge(subject: string, { tenant, place, event, tag }: Heard): void {
    const id = () => randomBytes(13).toString("hex").slice(0, 13);
    const others = [...this.#last.values()].filter((one) => one.tenant !== tenant && one.event);
    const foreign = others[Math.floor(this.#random() * others.length)]?.event;
    const next = (from: StoredEvent) => ({ ...from, revision: place.revision + 1n, eventId: id() });
    const places = [
      { revision: place.revision, eventId: id() },
      { revision: place.revision + 1_000n, eventId: id() },
    ];
    const hints = places.map((head) => encodeHint({ tenant, previous: head, events: [] }, HEAD_ONLY));
    for (const made of [event, foreign]) {
      if (made) hints.push(encodeHint({ tenant, previous: place, events: [next(made)] }, ALL));
    }
    if (event) hints.push(encodeHint({ tenant, previous: place, events: [next(event)] }, HEAD_ONLY));
    hints.push(randomBytes(40));
    for (const hint of hints) {
      this.#publish(subject, hint);
      this.#publish(subject, Buffer.concat([hint, tag]));
    }
  }

  #read(subject: string, data: Uint8Array): Heard | undefined {
    if (!subject.includes(".ext.")) return undefined;
    const tenant = subject.slice(subject.lastIndexOf(".") + 1);
    for (const end of [data.length, data.length - TAG_BYTES]) {
      const tag = data.subarray(end);
      const hint = decoded(data.subarray(0, end), tenant);
      if (hint?.say === "head") return { tenant, place: hint.head, event: undefined, tag };
      const event = hint?.extension.events.at(-1);
      if (event) return { tenant, place: event, event, tag };
    }
    return undefined;
  }

  #publish(subject: string, data: Uint8Array): void {
    if (this.#connection.isClosed()) return;
    this.#connection.publish(subject, data);
    this.said += 1;
  }
}

function decoded(data: Uint8Array, tenant: string): DecodedHint | undefined {
  try {
    return decodeHint(data, tenant);
  } catch {
    return undefined;
  }
}
