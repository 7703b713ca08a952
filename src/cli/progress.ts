import type { Output } from "./terminal.ts";

const barWidth = 24;
/** The terminal is redrawn no more often than this. */
const redrawMs = 80;

/** A line at the bottom of a terminal that tells how far long work has come. */
export interface Progress {
  /** `done` of `total`; `note` says what is going on. */
  show(done: number, total: number, note?: string): void;
  /** Takes the line away. */
  clear(): void;
}

/** Draws on a terminal and nowhere else. `now`: milliseconds, injectable. */
export function progressOn(output: Output, now: () => number = Date.now): Progress {
  if (!output.isTerminal) return { show() {}, clear() {} };
  const startedAt = now();
  let drawnAt = Number.NEGATIVE_INFINITY;
  let drawn = false;
  return {
    show(done, total, note = "") {
      if (now() - drawnAt < redrawMs && done < total) return;
      drawnAt = now();
      drawn = true;
      output.stream.write(`\r\u001b[2K${progressLine(done, total, now() - startedAt, note, output.columns)}`);
    },
    clear() {
      if (drawn) output.stream.write("\r\u001b[2K");
      drawn = false;
    },
  };
}

/** `████████░░░░  45 %  450/1,000  12 s left  note`, cut to the terminal's width. */
export function progressLine(done: number, total: number, elapsedMs: number, note: string, columns: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.round(share * barWidth);
  const bar = "█".repeat(full) + "░".repeat(barWidth - full);
  const percent = `${Math.floor(share * 100)} %`.padStart(5);
  const left = share > 0 && share < 1 ? `${duration((elapsedMs * (1 - share)) / share)} left` : "";
  const counts = `${done.toLocaleString("en")}/${total.toLocaleString("en")}`;
  const line = [bar, percent, counts, left, note].filter((part) => part !== "").join("  ");
  return [...line].slice(0, Math.max(0, columns - 1)).join("");
}

/** `850 ms` -> `1 s`, `75 s` -> `1 min 15 s`, `2 h 5 min`. */
export function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
