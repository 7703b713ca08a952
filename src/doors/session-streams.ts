import type { Http2Session } from "node:http2";
import { types } from "node:util";

/** What Node asks of the Map in which a session keeps its open streams. */
class Streams {
  readonly #byId: Record<number, unknown> = {};
  size = 0;

  get(id: number): unknown {
    return this.#byId[id];
  }

  set(id: number, stream: unknown): this {
    if (this.#byId[id] === undefined) this.size++;
    this.#byId[id] = stream;
    return this;
  }

  delete(id: number): boolean {
    if (this.#byId[id] === undefined) return false;
    this.size--;
    return delete this.#byId[id];
  }

  forEach(visit: (stream: unknown, id: number) => void): void {
    for (const [id, stream] of Object.entries(this.#byId)) visit(stream, Number(id));
  }
}

/**
 * Has a session keep its open streams in an object with numbered properties, in place of the Map that Node gives it.
 *
 * When the table of a Map is outgrown, or half empty, V8 makes another, and the old one keeps its entries and points at the
 * new one. A table that has lived for two collections of the young generation is old, and stays until a full collection,
 * and by it what it points at, and by that the next one: of a Map that every call enters and leaves, all that was ever
 * in it when it was made anew. With such Maps every call lives until the next full collection, a few KB each, and is copied twice before.
 * The figures stand in the bench's README.
 *
 * @returns whether it does; false: this Node keeps them elsewhere, and nothing has changed
 */
export function keepStreamsByNumber(session: Http2Session): boolean {
  const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === "state");
  const state: unknown = symbol && Reflect.get(session, symbol);
  const streams: unknown = typeof state === "object" && state !== null && Reflect.get(state, "streams");
  if (!types.isMap(streams)) return false;
  const kept = new Streams();
  // Node's own kind of Map has no prototype of ours.
  Map.prototype.forEach.call(streams, (stream: unknown, id: number) => kept.set(id, stream));
  return Reflect.set(Object(state), "streams", kept);
}
