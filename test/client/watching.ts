import { type WatchOrdersOptions, watchOrders } from "../../src/client/watch.ts";
import type { ConnectionState } from "../../src/client/watch-item.ts";
import { ManualClock, ScriptedServer } from "./scripted-streams.ts";

/** What a consumer saw, one word an item. */
export function word(item: Awaited<ReturnType<ReturnType<typeof watchOrders>["next"]>>["value"]): string {
  if (item === undefined) return "done";
  switch (item.type) {
    case "event":
      return item.event.position;
    case "snapshot":
      return `row ${item.order.id}`;
    case "left":
      return `left ${item.id}`;
    case "bookmark":
      return `bookmark ${item.position}`;
    default:
      return item.type;
  }
}

/** A watch of orders on a scripted server and a clock that the test moves, and what a consumer of it has seen. */
export function watching(options: WatchOrdersOptions = {}) {
  const server = new ScriptedServer();
  const clock = new ManualClock();
  const states: ConnectionState[] = [];
  const watch = watchOrders(server.open, {
    clock,
    random: () => 0.5,
    onConnection: (state) => states.push(state),
    ...options,
  });
  const seen: string[] = [];
  const over = (async () => {
    for await (const item of watch) seen.push(word(item));
  })();
  over.catch(() => undefined);
  return { server, clock, states, watch, seen, over };
}
