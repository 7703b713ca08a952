import { create } from "@bufbuild/protobuf";
import { type CutOff, CutOffKind, CutOffSchema } from "../../gen/leadline/v1/booking_pb.ts";
import type { Violation } from "./refusal.ts";

/** The codes that say from when something is possible: full container delivery, empty container pick-up. */
const OPENINGS: ReadonlySet<string> = new Set(["EFC", "ECP"]);

/** Whether a cut-off code is a deadline or an opening. An opening must never be taken for something to be late for. */
export function cutOffKind(code: string): CutOffKind {
  return OPENINGS.has(code) ? CutOffKind.OPENING : CutOffKind.DEADLINE;
}

/** The same cut-offs with their kinds filled in. */
export function withKinds(cutOffs: readonly CutOff[]): CutOff[] {
  return cutOffs.map((cutOff) => create(CutOffSchema, { ...cutOff, kind: cutOffKind(cutOff.code) }));
}

/** The codes that stand twice. `field` is the path of the list in the request. */
export function cutOffViolations(cutOffs: readonly CutOff[], field: string): Violation[] {
  return repeated(
    cutOffs.map((cutOff) => cutOff.code),
    (i, code) => ({ field: `${field}[${i}].code`, description: `"${code}" stands twice; each code at most once` }),
  );
}

/** One violation for each key that an earlier one of the list equals. */
export function repeated<K>(keys: readonly K[], violation: (index: number, key: K) => Violation): Violation[] {
  const seen = new Set<K>();
  return keys.flatMap((key, i) => {
    if (seen.has(key)) return [violation(i, key)];
    seen.add(key);
    return [];
  });
}

/** The cut-offs as they stand after some were said anew: found by code, new ones at the end. */
export function mergeCutOffs(standing: readonly CutOff[], said: readonly CutOff[]): CutOff[] {
  const merged = new Map(standing.map((cutOff) => [cutOff.code, cutOff]));
  for (const cutOff of withKinds(said)) merged.set(cutOff.code, cutOff);
  return [...merged.values()];
}
