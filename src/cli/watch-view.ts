import { styleText } from "node:util";
import { LeadlineError } from "../client/leadline-error.ts";
import { statusName } from "../client/status.ts";
import type { ConnectionState } from "../client/watch-item.ts";
import { duration } from "./progress.ts";
import { cut, plain, table } from "./table.ts";
import { changeOf, type Item, type Shown, shownOf } from "./watch-text.ts";

/** Subjects kept for the table. Beyond it the one that has not changed for the longest is left out. */
const subjectsMax = 5_000;

interface Line {
  readonly shown: Shown;
  readonly what: string;
}

/** What the live view of a watch knows; `render` draws it. */
export class WatchView {
  readonly #title: string;
  readonly #address: string;
  readonly #header: readonly string[];
  /** By id; the one that changed last is at the end. */
  readonly #lines = new Map<string, Line>();
  #state: ConnectionState = { state: "connecting", attempt: 0 };
  #stateSinceMs: number;
  #position: string | undefined;
  #verifiedAtMs: number | undefined;
  #events = 0;

  constructor(kind: "orders" | "bookings", address: string, nowMs: number) {
    this.#title = kind;
    this.#address = address;
    this.#stateSinceMs = nowMs;
    this.#header =
      kind === "orders"
        ? ["ORDER", "STATUS", "PHASE", "ETA", "ROUTE", "CHANGED", "LAST CHANGE"]
        : ["BOOKING", "STATE", "SPACE", "ETA", "ROUTE", "CHANGED", "LAST CHANGE"];
  }

  connection(state: ConnectionState, nowMs: number): void {
    this.#state = state;
    this.#stateSinceMs = nowMs;
  }

  take(item: Item, position: string | undefined): void {
    this.#position = position;
    switch (item.type) {
      case "reset":
      case "restart":
        this.#lines.clear();
        return;
      case "left":
        this.#lines.delete(item.id);
        return;
      case "bookmark":
        this.#verifiedAtMs = item.verifiedAt?.getTime();
        return;
      case "event":
        this.#events += 1;
        this.#show(shownOf(item), changeOf(item.event));
        return;
      case "snapshot":
        // They come in the order of their making, the newest first: what is too much is the oldest.
        if (this.#lines.size < subjectsMax) this.#show(shownOf(item), "");
        return;
      case "synced":
        this.#sort();
        return;
    }
  }

  /** Puts what a snapshot has brought in the order of its changes. */
  #sort(): void {
    const order = ({ changed: a }: Shown, { changed: b }: Shown): number => (a < b ? -1 : a > b ? 1 : 0);
    const lines = [...this.#lines].reverse().sort(([, a], [, b]) => order(a.shown, b.shown));
    this.#lines.clear();
    for (const [id, line] of lines) this.#lines.set(id, line);
  }

  #show(shown: Shown | undefined, what: string): void {
    if (shown === undefined) return;
    this.#lines.delete(shown.id);
    this.#lines.set(shown.id, { shown, what });
    if (this.#lines.size <= subjectsMax) return;
    const [oldest] = this.#lines.keys();
    if (oldest !== undefined) this.#lines.delete(oldest);
  }

  /** The view as text of at most `rows` lines of at most `columns` columns: those that changed last come first. */
  render(columns: number, rows: number, nowMs: number): string {
    const room = Math.max(1, rows - 5);
    const newest = [...this.#lines.values()].slice(-room).reverse();
    const body = table(
      this.#header,
      newest.map(({ shown, what }) => [
        shown.id,
        shown.status,
        shown.stage,
        shown.eta,
        shown.route,
        shown.changed,
        what,
      ]),
      columns,
    );
    const [header = "", ...lines] = body;
    const hidden = this.#lines.size - newest.length;
    const count = `${this.#lines.size} ${this.#title}, ${this.#events} events`;
    const more = hidden > 0 ? `  (${hidden} that changed longer ago are not shown)` : "";
    return [
      this.#connectionLine(columns, nowMs),
      cut(count + more, columns),
      "",
      styleText("bold", header),
      ...lines,
    ].join("\n");
  }

  #connectionLine(columns: number, nowMs: number): string {
    const position = this.#position === undefined ? "" : `  position ${this.#position}`;
    switch (this.#state.state) {
      case "connecting":
        return styleText("yellow", cut(`○ connecting to ${this.#address}${position}`, columns));
      case "open": {
        const age = this.#verifiedAtMs === undefined ? "" : `  verified ${ago(nowMs - this.#verifiedAtMs)} ago`;
        return styleText("green", cut(`● live  ${this.#address}${position}${age}`, columns));
      }
      case "waiting": {
        const left = Math.max(0, this.#stateSinceMs + this.#state.delayMs - nowMs);
        const why = whyOf(this.#state.error);
        return styleText("red", cut(`○ again in ${ago(left)}  ${this.#address}${position}${why}`, columns));
      }
    }
  }
}

function ago(ms: number): string {
  return duration(Math.max(0, Math.floor(ms / 1000) * 1000));
}

/** Why a stream broke, to follow other words; empty when the server ended it as planned. */
export function whyOf(error: unknown): string {
  if (error === undefined) return "";
  if (!(error instanceof LeadlineError)) return `: ${String(error)}`;
  return `: ${plain(error.message)} (${error.reason === "" ? statusName(error.code) : error.reason})`;
}
