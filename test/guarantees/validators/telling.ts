import { Course } from "../course.ts";
import { type Line, seesAfter } from "../history.ts";
import { isTold, type Place, type Told } from "../trace.ts";
import { name, type Validator } from "./validator.ts";

/** Changes come in the order of their revisions, none from before the start, and none inside a snapshot. */
export const ordered: Validator = ({ history }, fault) => {
  const course = new Course(history);
  let last = 0;
  let stretch = 0;
  return (step) => {
    if (isTold(step)) {
      const after = course.stretch === stretch ? last : (course.base?.revision ?? 0);
      if (!course.base) fault(`${name(step)} comes before the start`);
      else if (step.at.revision < after || step.at.revision <= course.base.revision) {
        fault(`${name(step)} comes after ${Math.max(after, course.base.revision)}`);
      } else [last, stretch] = [step.at.revision, course.stretch];
    }
    course.take(step);
  };
};

/** Nothing is told twice: no change, and no row of a snapshot. */
export const unique: Validator = ({ history }, fault) => {
  const course = new Course(history);
  const told = new Bits();
  const rows = new Set<string>();
  let stretch = 0;
  return (step) => {
    if (step.what === "open") rows.clear();
    if (step.what === "row") {
      if (rows.has(step.id)) fault(`row ${step.id} is told again`);
      rows.add(step.id);
    }
    if (isTold(step)) {
      if (course.stretch !== stretch) {
        told.clear(course.base?.revision ?? 0);
        stretch = course.stretch;
      }
      if (!told.add(step.at.revision)) fault(`change ${step.at.revision} is told again`);
    }
    course.take(step);
  };
};

/** Numbers above a base, a bit each. */
class Bits {
  #base = 0;
  #bytes = new Uint8Array(64);

  clear(base: number): void {
    this.#base = base;
    this.#bytes.fill(0);
  }

  /** False: it was there. Numbers below the base are not kept. */
  add(number: number): boolean {
    const at = number - this.#base;
    if (at < 0) return true;
    const byte = at >>> 3;
    if (byte >= this.#bytes.length) {
      const grown = new Uint8Array(Math.max(byte + 1, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    const bit = 1 << (at & 7);
    const was = this.#bytes[byte] ?? 0;
    this.#bytes[byte] = was | bit;
    return (was & bit) === 0;
  }
}

/** Every change that is due is told, with what the journal has. */
export const reliable: Validator = ({ watch, history }, fault) => {
  const { reader, mode } = watch;
  const course = new Course(history);
  const all = mode === "ALL";
  /** Up to here what is due has been looked for. */
  let looked: Place | undefined;
  let stretch = 0;
  /** Mode LATEST: the newest that was told of each subject. */
  const newest = new Map<string, number>();
  const missing = (line: Line, after: number, upTo: number): void => {
    for (const due of line.due(reader, after, upTo)) fault(`${due.what} ${due.revision} is due and was not told`);
  };
  const settle = (upTo: Place): void => {
    const line = history.lineWith(upTo);
    if (all && line && looked && line.has(looked)) missing(line, looked.revision, upTo.revision);
  };
  return (step) => {
    if (course.stretch !== stretch) {
      stretch = course.stretch;
      looked = course.base;
      newest.clear();
    }
    if (isTold(step)) {
      const line = history.lineWith(step.at);
      if (line && looked && step.at.revision > looked.revision) {
        if (all && line.has(looked)) missing(line, looked.revision, step.at.revision - 1);
        looked = step.at;
      }
      newest.set(step.id, step.at.revision);
      const fact = line?.fact(step.at);
      if (step.what === "event" && fact && step.content !== history.contentFor(fact, reader.visibility)) {
        fault(`${name(step)} is not as it is stored`);
      }
    }
    // Whoever goes on from further than it was told skips what lies between.
    if (step.what === "open" && typeof step.from === "object" && looked) {
      // A place that is lost by then was kept from before, and is reset.
      const isThere = history.lineAt(step.atMs).has(step.from);
      if (isThere && step.from.revision > looked.revision) settle(step.from);
    }
    if (step.what === "reset") looked = undefined;
    if (step.what === "done" && looked) {
      const line = history.now;
      if (all)
        settle(step.upTo >= line.head.revision ? line.head : (line.fact({ ...looked, revision: step.upTo }) ?? looked));
      else if (line.has(looked) && course.base) {
        const last = new Map(
          line.due(reader, course.base.revision, step.upTo).map((due) => [due.fact.event.subjectId, due]),
        );
        for (const [id, due] of last) {
          if ((newest.get(id) ?? 0) < due.revision) fault(`${due.what} ${due.revision} is due and was not told`);
        }
      }
    }
    course.take(step);
  };
};

/** What matches comes as an event, also when it starts to match; what ceases to match has left; and nothing else comes. */
export const filterCorrect: Validator = ({ watch, history }, fault) => {
  const { reader, mode } = watch;
  const course = new Course(history);
  let looked: Place | undefined;
  let stretch = 0;
  const check = (step: Told, line: Line): void => {
    const due = line.dueAt(reader, step.at.revision);
    const sees = due && seesAfter(reader, due.fact.event);
    // Mode LATEST passes over what says that a subject left, so it says it of whatever does not match.
    const fact = line.fact(step.at);
    const hides = mode === "LATEST" && step.what === "left" && fact && seesAfter(reader, fact.event) === false;
    if (!due && !hides) fault(`${name(step)} is told and is not due`);
    else if (due && due.what !== step.what) fault(`${due.what} ${due.revision} is due and was told as ${step.what}`);
    else if (fact && fact.event.subjectId !== step.id)
      fault(`${name(step)} is of ${fact.event.subjectId}, not ${step.id}`);
    else if (step.what === "event" && sees === false) fault(`${name(step)} does not match`);
  };
  return (step) => {
    if (course.stretch !== stretch) [stretch, looked] = [course.stretch, course.base];
    if (isTold(step)) {
      const line = history.lineWith(step.at);
      if (line) check(step, line);
      if (line && looked && line.has(looked) && step.at.revision > looked.revision) {
        if (mode === "ALL") {
          for (const due of line.due(reader, looked.revision, step.at.revision - 1)) {
            if (due.turns)
              fault(
                `${due.fact.event.subjectId} ${due.what === "left" ? "ceases" : "starts"} to match at ${due.revision}, untold`,
              );
          }
        }
        looked = step.at;
      }
    }
    if (step.what === "row") {
      const versions = history.versionsOf(`${reader.of}/${step.id}`, step.version);
      if (versions.length > 0 && !versions.some(({ event }) => seesAfter(reader, event)))
        fault(`row ${step.id} does not match`);
    }
    course.take(step);
  };
};
