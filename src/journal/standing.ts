import { hasEnded as bookingHasEnded } from "../domain/booking-transitions.ts";
import { hasEnded } from "../domain/order-status.ts";
import { type Subject, SubjectKind } from "../domain/subject.ts";

/** What a row says of the flow that a subject goes through, and when its journey ended. */
export interface Standing {
  /** Empty: the standard flow, or a booking. */
  readonly flowId: string;
  readonly flowVersion: number;
  /** When what ended the journey was recorded, microseconds since the epoch; 0: it is open; -1: as it was before. */
  readonly endedUs: bigint;
}

const UNCHANGED = -1n;

/**
 * The standing that one event gives.
 * @param kept what the events before it in the same batch gave
 * @returns undefined: the row's stays, or a new row has what most have
 */
export function standingAfter(
  before: Subject | undefined,
  after: Subject,
  recordedUs: bigint,
  kept: Standing | undefined,
): Standing | undefined {
  const [had, has] = [before !== undefined && isOver(before), isOver(after)];
  const flow = flowOf(after);
  const was = before === undefined ? NO_FLOW : flowOf(before);
  const isMoved = flow.flowId !== was.flowId || flow.flowVersion !== was.flowVersion;
  if (had === has && !isMoved) return kept;
  if (had !== has) return { ...flow, endedUs: has ? recordedUs : 0n };
  return { ...flow, endedUs: kept?.endedUs ?? (before === undefined ? 0n : UNCHANGED) };
}

const NO_FLOW = { flowId: "", flowVersion: 0 };

function flowOf(subject: Subject): { readonly flowId: string; readonly flowVersion: number } {
  return subject.kind === SubjectKind.ORDER ? subject.order : NO_FLOW;
}

function isOver(subject: Subject): boolean {
  return subject.kind === SubjectKind.ORDER ? hasEnded(subject.order) : bookingHasEnded(subject.booking);
}
