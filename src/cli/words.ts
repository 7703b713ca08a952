import type { DescEnum } from "@bufbuild/protobuf";
import { InvalidArgumentError } from "commander";

/** An enum's values as people write them: `IN_TRANSIT` without the enum's own prefix, the zero value left out. */
export function wordsOf(desc: DescEnum): string[] {
  return desc.values.filter((value) => value.number !== 0).map((value) => value.localName);
}

/** A value's word; `-` for the zero value, its number where this release does not know it. */
export function wordOf(desc: DescEnum, value: number): string {
  if (value === 0) return "-";
  return desc.value[value]?.localName ?? String(value);
}

/** The value that a word on the command line names, in either case, with `-` for `_`. */
export function numberOf(desc: DescEnum, text: string): number {
  const wanted = text.toUpperCase().replaceAll("-", "_");
  const found = desc.values.find((value) => value.localName === wanted && value.number !== 0);
  if (found) return found.number;
  throw new InvalidArgumentError(`It must be one of ${wordsOf(desc).join(", ")}.`);
}

/** An option's parser for an enum. */
export function oneWord<T extends number>(desc: DescEnum): (text: string) => T {
  // The descriptor's numbers are the enum's type; the descriptor does not carry it.
  return (text) => numberOf(desc, text) as T;
}

/** An option's parser for several values of an enum: repeated, or with commas. */
export function manyWords<T extends number>(desc: DescEnum): (text: string, before: T[] | undefined) => T[] {
  return (text, before = []) => [...before, ...parts(text).map((part) => numberOf(desc, part) as T)];
}

/** An option's parser for several texts: repeated, or with commas. */
export function manyTexts(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), ...parts(text)];
}

/** An option's parser for a whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,12}$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

function parts(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
