/** A world whose clients are closed before its doors. */
interface Closing {
  onClose(close: () => void): void;
}

type Dispatcher = NonNullable<RequestInit["dispatcher"]>;

const own = new WeakMap<Closing, typeof fetch>();

/**
 * Node's fetch with connections of a world's own, which end before its door closes. Those of the fetch that all share stay idle,
 * and a door that closes lets idle connections of HTTP/1.1 linger for a second.
 */
export function fetchOf(world: Closing): typeof fetch {
  const known = own.get(world);
  if (known) return known;
  const dispatcher = newDispatcher();
  world.onClose(() => void dispatcher.close());
  const made: typeof fetch = (input, init) => fetch(input, { ...init, dispatcher });
  own.set(world, made);
  return made;
}

/** Node has no name for its class of dispatchers, but for the one that all share, once somebody has fetched something. */
function newDispatcher(): Dispatcher {
  void fetch("data:,");
  const shared = Reflect.get(globalThis, Symbol.for("undici.globalDispatcher.1")) as Dispatcher;
  return new (shared.constructor as new () => Dispatcher)();
}
