import { createLogUpdate } from "log-update";
import type { ConnectionState } from "../client/watch-item.ts";
import type { Output } from "./terminal.ts";
import type { Item } from "./watch-text.ts";
import { WatchView } from "./watch-view.ts";

/** How items are shown. */
export interface Display {
  connection(state: ConnectionState): void;
  item(item: Item, position: string | undefined): Promise<void> | void;
  /** Before the command returns, however it ended. */
  close(): void;
}

/** The view is drawn no more often than this, however much happens. */
const redrawMs = 100;
/** It is drawn this often when nothing happens: the ages in it move. */
const tickMs = 1_000;

/** A table in a terminal that stays current until it is closed; the last state then stays on the screen. */
export function liveView(kind: "orders" | "bookings", address: string, output: Output): Display {
  const view = new WatchView(kind, address, Date.now());
  const draw = createLogUpdate(output.stream);
  let pending: NodeJS.Timeout | undefined;
  const redraw = (): void => {
    pending = undefined;
    draw(view.render(output.columns, output.rows, Date.now()));
  };
  const soon = (): void => {
    pending ??= setTimeout(redraw, redrawMs);
  };
  const ticks = setInterval(redraw, tickMs);
  redraw();
  return {
    connection(state) {
      view.connection(state, Date.now());
      soon();
    },
    item(item, position) {
      view.take(item, position);
      soon();
    },
    close() {
      clearInterval(ticks);
      clearTimeout(pending);
      redraw();
      draw.done();
    },
  };
}
