import { Course } from "../course.ts";
import { isTold } from "../trace.ts";
import { name, type Validator } from "./validator.ts";

/** No message is larger than was announced, and what has a limit stays within it. */
export const bounded: Validator = (_scene, fault) => {
  let limit = Number.POSITIVE_INFINITY;
  let bytes = 0;
  return (step) => {
    if (step.what === "open") limit = Number.POSITIVE_INFINITY;
    if (step.what === "message") bytes = step.bytes;
    if (step.what === "started") limit = step.messageMaxBytes;
    if (step.what === "message" && bytes > limit) fault(`a message of ${bytes} bytes is larger than ${limit}`);
    if (step.what === "gauge" && step.value > step.limit) fault(`${step.name} is ${step.value}, above ${step.limit}`);
  };
};

/** Once everything works again, whatever is due comes in time, and a watcher that starts has started. */
export const live: Validator = ({ watch, history, expected }, fault) => {
  const { reader } = watch;
  const course = new Course(history);
  let healedAtMs = Number.NaN;
  let told = 0;
  let stretch = 0;
  const late = (committedAtMs: number, atMs: number) => {
    const since = Math.max(healedAtMs, Number.isNaN(committedAtMs) ? 0 : committedAtMs);
    return atMs - since > expected.liveMs;
  };
  return (step) => {
    if (course.stretch !== stretch) [stretch, told] = [course.stretch, course.base?.revision ?? 0];
    if (step.what === "healed") healedAtMs = step.atMs;
    if (step.what === "hurt") healedAtMs = Number.NaN;
    if (isTold(step)) {
      const fact = history.lineWith(step.at)?.fact(step.at);
      // What it asks to be told again after a break was in time before.
      if (fact && step.at.revision > told && late(fact.atMs, step.atMs)) fault(`${name(step)} comes late`);
      told = Math.max(told, step.at.revision);
    }
    if (step.what === "done" && !Number.isNaN(healedAtMs)) {
      if (!course.base && late(0, step.atMs)) fault("it has not started in time");
      const owed = course.base ? history.now.due(reader, told, step.upTo) : [];
      for (const { what, revision, fact } of owed)
        if (late(fact.atMs, step.atMs)) fault(`${what} ${revision} has not come in time`);
    }
    course.take(step);
  };
};
