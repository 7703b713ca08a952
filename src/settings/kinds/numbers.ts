/** Settings that are whole numbers, and the sizes and times that their bounds are given in. */
import { type Setting, setting, type Words } from "./setting.ts";

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** Times in milliseconds. */
export const minute = 60_000;
export const hour = 60 * minute;
export const day = 24 * hour;

/** The smallest and the largest that is accepted. */
type Bounds = readonly [min: number, max: number];

/** A whole number within bounds, both included. `unit` stands after it where people read it. */
export function integer(
  variable: string,
  initial: number,
  [min, max]: Bounds,
  words: Words & { readonly unit?: string },
): Setting<number> {
  const unit = words.unit === undefined ? "" : ` ${words.unit}`;
  const accepts = `a whole number from ${min} to ${max}${unit}`;
  return setting(variable, initial, `${initial}${unit}`, accepts, words, (text) => {
    const value = Number(text);
    if (!/^[0-9]{1,15}$/.test(text) || value < min || value > max) throw new RangeError(text);
    return value;
  });
}

export function milliseconds(variable: string, initial: number, bounds: Bounds, words: Words): Setting<number> {
  return integer(variable, initial, bounds, { ...words, unit: "ms" });
}

export function days(variable: string, initial: number, bounds: Bounds, words: Words): Setting<number> {
  return integer(variable, initial, bounds, { ...words, unit: "days" });
}

export function bytes(variable: string, initial: number, bounds: Bounds, words: Words): Setting<number> {
  return integer(variable, initial, bounds, { ...words, unit: "bytes" });
}
