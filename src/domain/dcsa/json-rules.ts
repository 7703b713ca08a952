/** What a text must be. */
export interface TextRule {
  /** Characters at most. Default 100. */
  readonly max?: number;
  readonly pattern?: RegExp;
  /** Said when the pattern does not match. */
  readonly expected?: string;
  /** Absent is a violation. */
  readonly needed?: boolean;
}

export interface NumberRule {
  readonly min?: number;
  readonly max?: number;
  readonly whole?: boolean;
  readonly needed?: boolean;
}

const NUMBER = /^-?\d{1,15}(\.\d{1,12})?$/;
/** C0 and C1 control characters but for tab and line breaks. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/**
 * A text as its rule has it, trimmed; empty: absent, or a violation. Numbers are taken as texts, but for whole ones so long that JSON
 * has not kept their last digits: different ids would read as one.
 */
export function textFrom(found: unknown, rule: TextRule, violate: (description: string) => void): string {
  if (found !== undefined && typeof found !== "string" && !Number.isFinite(found)) {
    violate(`is ${describe(found)} where a text belongs`);
    return "";
  }
  if (Number.isInteger(found) && !Number.isSafeInteger(found)) {
    violate("is a number too long for its digits to be kept: write it in quotes");
    return "";
  }
  const text = found === undefined ? "" : String(found).trim();
  if (text === "") {
    if (rule.needed) violate("is needed");
    return "";
  }
  const wrong = textFault(text, rule);
  if (wrong === undefined) return text;
  violate(wrong);
  return "";
}

function textFault(text: string, rule: TextRule): string | undefined {
  const max = rule.max ?? 100;
  if ([...text].length > max) return `is longer than ${max} characters`;
  if (!text.isWellFormed() || CONTROL.test(text)) return "has characters that are no text";
  if (rule.pattern && !rule.pattern.test(text)) return `"${short(text)}" is not ${rule.expected ?? "as expected"}`;
  return undefined;
}

/** A number as its rule has it; undefined: absent, or a violation. */
export function numberFrom(
  found: unknown,
  rule: NumberRule,
  violate: (description: string) => void,
): number | undefined {
  if (found === undefined) {
    if (rule.needed) violate("is needed");
    return undefined;
  }
  const value = typeof found === "string" && NUMBER.test(found.trim()) ? Number(found) : found;
  if (typeof value !== "number" || !Number.isFinite(value)) violate(`is ${describe(found)} where a number belongs`);
  else if (rule.whole && !Number.isInteger(value)) violate(`${value} is not a whole number`);
  else if (rule.min !== undefined && value < rule.min) violate(`${value} is less than ${rule.min}`);
  else if (rule.max !== undefined && value > rule.max) violate(`${value} is more than ${rule.max}`);
  else return value;
  return undefined;
}

/** A value for people, shortened. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "string") return `"${short(value)}"`;
  return typeof value === "object" ? "an object" : `${typeof value} ${String(value)}`;
}

/** A text for people: 40 characters at most. */
export function short(text: string): string {
  const clean = text.toWellFormed();
  return clean.length > 40 ? `${clean.slice(0, 40).toWellFormed()}…` : clean;
}
