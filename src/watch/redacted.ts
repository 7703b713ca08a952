import { chosenIn, redactEvent } from "../domain/redaction.ts";
import type { StoredEvent } from "../domain/stored-event.ts";
import { SubjectKind } from "../domain/subject.ts";
import { changeField, encodeEvents, PERSONAL_DATA_REDACTED_FIELD } from "../wire/event-view.ts";
import type { Slot } from "./slot.ts";

/** Whether the event says that personal data was removed from those of its subject before it. Nothing is decoded. */
export function isRedaction({ kind, payload }: StoredEvent): boolean {
  return kind !== SubjectKind.ADMINISTRATION && changeField(payload) === PERSONAL_DATA_REDACTED_FIELD;
}

/** Rewrites the events of the redaction's subject before it as the journal's were rewritten. */
export function redactBefore(redaction: Slot, slots: Iterable<Slot>): void {
  const { change } = redaction.decode();
  if (change.case !== "personalDataRedacted") return;
  const { kind, subjectId } = redaction.event;
  for (const slot of slots) {
    if (slot.place.revision >= redaction.place.revision) return;
    if (slot.event.kind !== kind || slot.event.subjectId !== subjectId) continue;
    const event = slot.decode();
    const clean = redactEvent(event, chosenIn(change.value, event.version));
    if (clean !== event) slot.rewrite(encodeEvents([clean]));
  }
}
