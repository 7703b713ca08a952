import { Course } from "../course.ts";
import type { Fact } from "../history.ts";
import { isTold } from "../trace.ts";
import type { Validator } from "./validator.ts";

/**
 * Rows and changes, put one on the other, give the rows of the journal: at the end of each snapshot, but for those whose
 * change follows, and when everything was told. A watcher that starts without a snapshot is taken to hold what there was.
 * A snapshot holds every change that was committed before it was asked for.
 */
export const convergent: Validator = ({ watch, history, expected }, fault) => {
  const { reader } = watch;
  const course = new Course(history);
  /** Versions by id. */
  const held = new Map<string, number>();
  let stretch = 0;
  let askedAtMs = 0;
  const hold = (state: ReadonlyMap<string, Fact>): void => {
    held.clear();
    for (const [id, { event }] of state) held.set(id, Number(event.version));
  };
  const differences = (state: ReadonlyMap<string, Fact>, follows: (fact: Fact) => boolean): void => {
    for (const [id, fact] of state) {
      const isMissing = !held.has(id);
      if (isMissing ? !follows(fact) : held.get(id) !== Number(fact.event.version)) fault(`${id} is not as its row`);
    }
    for (const id of held.keys()) if (!state.has(id)) fault(`${id} is held and does not match`);
  };
  return (step) => {
    if (step.what === "open") {
      if (step.from === "snapshot") held.clear();
      askedAtMs = step.atMs;
    }
    if (step.what === "row") {
      held.set(step.id, step.version);
      const versions = history.versionsOf(`${reader.of}/${step.id}`, step.version);
      const alike = versions.some((fact) => history.subjectFor(fact, reader.visibility) === step.content);
      if (!alike) fault(`row ${step.id} is not as its event has it`);
    }
    if (step.what === "synced") {
      const line = history.lineWith(step.at);
      if (line) {
        const { revision } = step.at;
        differences(line.stateAt(reader, revision), (fact) => line.lastOf(fact.subject) > revision);
        const next = line.facts[revision];
        if (next && next.atMs < askedAtMs - expected.skewMs && line.untilMs > askedAtMs) {
          fault(`a snapshot at ${revision} does not hold ${next.revision}, which was there before it was asked for`);
        }
      }
    }
    if (isTold(step)) {
      if (step.what === "left") held.delete(step.id);
      else held.set(step.id, step.version);
    }
    if (step.what === "done" && course.base) {
      differences(history.now.stateAt(reader, step.upTo), () => false);
    }
    course.take(step);
    if (course.stretch === stretch) return;
    stretch = course.stretch;
    if (step.what !== "synced" && course.base) hold(course.line?.stateAt(reader, course.base.revision) ?? new Map());
  };
};
