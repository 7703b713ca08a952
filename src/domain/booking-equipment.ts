import type { Equipment } from "../../gen/leadline/v1/booking_pb.ts";

/** What was asked for, what of it was given, and what else was given. */
export interface Allotment {
  /** One for each code asked for: how many were asked for, and how many were given that fit it. */
  readonly asked: readonly { readonly code: string; readonly asked: number; readonly given: number }[];
  /** Codes given that fit nothing asked for, or more than was asked for. */
  readonly beyond: readonly { readonly code: string; readonly given: number }[];
}

const ISO_CODE = /^[0-9A-Z]{2}[A-Z][0-9A-Z]$/;
const GROUP_CODE = /^[0-9A-Z]{2}[A-Z]{2}$/;

/**
 * Whether equipment of one code is what the other asks for (ISO 6346): the same code, or one of them names the group of
 * the other: the same two size characters and the same type letter (`22G1` is a `22GP`). Two different types of one group
 * are not the same equipment.
 */
export function fits(given: string, asked: string): boolean {
  const a = given.toUpperCase();
  const b = asked.toUpperCase();
  if (a === b) return true;
  const oneIsGroup = GROUP_CODE.test(a) !== GROUP_CODE.test(b);
  return oneIsGroup && ISO_CODE.test(a) && ISO_CODE.test(b) && a.slice(0, 3) === b.slice(0, 3);
}

/** Whether it is a reefer that is to cool: a type code with `R` in its third place, and not declared non-operating. */
export function coolsCargo(equipment: Equipment): boolean {
  const code = equipment.isoEquipmentCode.toUpperCase();
  return ISO_CODE.test(code) && code[2] === "R" && !equipment.nonOperatingReefer;
}

/** How many units of each code, in the order first named. */
export function unitsByCode(equipment: readonly Equipment[]): Map<string, number> {
  const units = new Map<string, number>();
  for (const one of equipment) {
    const code = one.isoEquipmentCode.toUpperCase();
    units.set(code, (units.get(code) ?? 0) + one.units);
  }
  return units;
}

/** Sets what was given against what was asked for: exact codes first, then groups, each unit once. */
export function allot(asked: readonly Equipment[], given: readonly Equipment[]): Allotment {
  const left = unitsByCode(given);
  const wanted = unitsByCode(asked);
  const taken = new Map<string, number>();
  for (const matches of [(a: string, b: string) => a === b, fits]) {
    for (const [want, units] of wanted) {
      for (const [code, available] of left) {
        const missing = units - (taken.get(want) ?? 0);
        const take = matches(code, want) ? Math.min(missing, available) : 0;
        if (take === 0) continue;
        taken.set(want, (taken.get(want) ?? 0) + take);
        left.set(code, available - take);
      }
    }
  }
  return {
    asked: [...wanted].map(([code, units]) => ({ code, asked: units, given: taken.get(code) ?? 0 })),
    beyond: [...left].filter(([, units]) => units > 0).map(([code, units]) => ({ code, given: units })),
  };
}
