import { stripVTControlCharacters } from "node:util";

/**
 * Rows as aligned columns, with two spaces between them; the last column is not padded. With `width`, lines are cut to it.
 */
export function table(header: readonly string[], rows: readonly (readonly string[])[], width?: number): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ""))));
  return all.map((row) => {
    const cells = row.map((cell, column) => (column === row.length - 1 ? cell : pad(cell, widths[column] ?? 0)));
    return cut(cells.join("  ").trimEnd(), width);
  });
}

/** The columns that a text takes: what colours it takes none. */
function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

/** A text of at most `width` columns; cut texts end in `…` and lose their colours. */
export function cut(text: string, width: number | undefined): string {
  if (width === undefined || widthOf(text) <= width) return text;
  return `${[...stripVTControlCharacters(text)].slice(0, Math.max(0, width - 1)).join("")}…`;
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - widthOf(text)));
}

/** A text from outside without what a terminal would act on: control characters and escape sequences. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}/gu, " ");
}
