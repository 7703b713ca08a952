/*
 * Identifiers whose shape or check digit can be told wrong. What a person types is refused when it is wrong; what a feed
 * brings is kept and flagged, for even standards bodies publish samples with wrong check digits.
 */

const CONTAINER = /^[A-Z]{4}[0-9]{7}$/;
const CONTAINER_CATEGORIES = "UJZ";
const WITHOUT_CHECK_DIGIT = /^[A-Z]{3}[UJZ][0-9]{6}$/;
const IMO_NUMBER = /^[0-9]{7}$/;
const AIR_WAYBILL = /^([0-9]{3})-?([0-9]{7})([0-9])$/;

/** Whether a text is written like a container number: four letters and seven digits. */
export function looksLikeContainer(text: string): boolean {
  return CONTAINER.test(text);
}

/**
 * Whether a text is a container number (ISO 6346): owner code, one of the categories U, J and Z, six digits and a check
 * digit.
 */
export function isContainerNumber(text: string): boolean {
  return (
    CONTAINER.test(text) &&
    CONTAINER_CATEGORIES.includes(text.charAt(3)) &&
    containerCheckDigit(text) === digit(text, 10)
  );
}

/** A container's number with its check digit, from one that came without; any other text as it is. */
export function withCheckDigit(text: string): string {
  return WITHOUT_CHECK_DIGIT.test(text) ? `${text}${containerCheckDigit(text)}` : text;
}

/** ISO 6346: the values of the first ten characters times 1, 2, 4 ... 512; the sum modulo 11, where 10 is written 0. */
function containerCheckDigit(text: string): number {
  let sum = 0;
  for (let i = 0; i < 10; i += 1) sum += containerValue(text.charCodeAt(i)) * 2 ** i;
  return (sum % 11) % 10;
}

/** Digits stand for themselves, letters for 10 to 38 without the multiples of 11. */
function containerValue(code: number): number {
  const place = code - 65;
  return place < 0 ? code - 48 : 10 + place + Math.floor((place + 9) / 10);
}

/** Whether a text is a vessel's IMO number: six digits times 7 to 2, the sum's last digit is the seventh. */
export function isImoNumber(text: string): boolean {
  if (!IMO_NUMBER.test(text)) return false;
  let sum = 0;
  for (let i = 0; i < 6; i += 1) sum += digit(text, i) * (7 - i);
  return sum % 10 === digit(text, 6);
}

/** Whether a text is an air waybill number: a prefix of three digits, seven digits and those modulo 7. */
export function isAirWaybill(text: string): boolean {
  const [, , serial, check] = AIR_WAYBILL.exec(text) ?? [];
  return serial !== undefined && Number(serial) % 7 === Number(check);
}

/** An air waybill number as it may be written: as it came, and with or without the hyphen after the prefix. */
export function waybillSpellings(text: string): string[] {
  const [, prefix, serial, check] = AIR_WAYBILL.exec(text) ?? [];
  if (prefix === undefined) return [text];
  const plain = `${serial}${check}`;
  return [...new Set([text, `${prefix}-${plain}`, `${prefix}${plain}`])];
}

function digit(text: string, at: number): number {
  return text.charCodeAt(at) - 48;
}
