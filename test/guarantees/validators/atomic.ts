import { Course } from "../course.ts";
import { isTold, type Told } from "../trace.ts";
import { name, type Validator } from "./validator.ts";

/**
 * The events of one command come one after another, in the order of their parts, as far as they are due; and no snapshot
 * stands between two of them. In mode LATEST, which tells states, only the latter.
 */
export const atomic: Validator = ({ watch, history }, fault) => {
  const { reader, mode } = watch;
  const course = new Course(history);
  let told: Told | undefined;
  return (step) => {
    if (isTold(step)) {
      const line = history.lineWith(step.at);
      const command = line?.fact(step.at)?.event.command;
      const before = command && command.index > 0 ? line?.dueBefore(reader, step.at.revision) : undefined;
      const isOfIt = before?.fact.event.command?.id === command?.id;
      if (mode === "ALL" && before && isOfIt && before.revision > (course.base?.revision ?? 0)) {
        if (told?.at.revision !== before.revision)
          fault(`${name(step)} comes apart from ${before.revision} of the same command`);
      }
      told = step;
    }
    if (step.what === "synced") {
      const line = history.lineWith(step.at);
      const next = line?.fact({ ...step.at, revision: step.at.revision + 1 })?.event.command;
      const last = line?.fact(step.at)?.event.command;
      if (last && next && last.id === next.id) fault(`a snapshot at ${step.at.revision} splits a command`);
    }
    course.take(step);
  };
};
