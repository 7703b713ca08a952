import { Course } from "../course.ts";
import { isTold, type Place, type Step, samePlace } from "../trace.ts";
import { name, type Validator } from "./validator.ts";

/** What is owed and was passed over; more are as good as these. */
const MISSING_MAX = 1_000;

/**
 * A bookmark, and an end with a position, come after everything that is due up to them; they say when the journal was
 * compared, which is neither later than they came nor long ago, and the place had not been lost by then.
 */
export const bookmarkable: Validator = ({ watch, history, expected }, fault) => {
  const { reader, mode } = watch;
  const course = new Course(history);
  let last: Place | undefined;
  let stretch = 0;
  let verifiedMs = 0;
  /** Since when it stands where it stands. */
  let namedAtMs = 0;
  const missing = new Set<number>();
  /** Mode LATEST: what is due of each subject, and the newest that was told. */
  const owed = new Map<string, number>();
  const newest = new Map<string, number>();

  const settle = (at: Place): void => {
    const line = history.lineWith(at);
    if (!line || !last || !line.has(last) || at.revision <= last.revision) return;
    for (const { revision, fact } of line.due(reader, last.revision, at.revision)) {
      if (mode === "LATEST") owed.set(fact.event.subjectId, revision);
      else if (missing.size < MISSING_MAX) missing.add(revision);
    }
    last = at;
  };

  const check = (step: Extract<Step, { what: "bookmark" | "end" }>, at: Place): void => {
    const told = last;
    settle(at);
    if (mode === "LATEST") checkStates(step.what, at);
    for (const revision of missing) {
      if (revision > at.revision) continue;
      fault(`${step.what} ${at.revision} comes before change ${revision}`);
      missing.delete(revision);
    }
    if (told && at.revision < told.revision) fault(`${step.what} ${at.revision} comes after ${told.revision}`);
    const { verifiedAtMs } = step;
    if (verifiedAtMs === undefined) {
      // A watch that ends before it has begun only gives back the place that it was asked for.
      const isGivenBack = step.what === "end" && at.revision === course.reached?.revision;
      if (!isGivenBack) fault(`${step.what} ${at.revision} does not say when it was verified`);
      return;
    }
    if (verifiedAtMs > step.atMs + expected.skewMs) fault(`${step.what} ${at.revision} was verified after it came`);
    if (verifiedAtMs < step.atMs - expected.staleMs)
      fault(`${step.what} ${at.revision} was verified long before it came`);
    if (verifiedAtMs < verifiedMs - expected.skewMs)
      fault(`${step.what} ${at.revision} was verified before the one before it`);
    verifiedMs = Math.max(verifiedMs, verifiedAtMs);
    // A place that it has come to since is not what was compared.
    if (!samePlace(at, course.reached) || namedAtMs > verifiedAtMs - expected.skewMs) return;
    const wasThere = history.lines.some((line) => line.untilMs >= verifiedAtMs - expected.skewMs && line.has(at));
    if (!wasThere) fault(`${step.what} ${at.revision} names a place that was lost before it was verified`);
  };

  /** A state may be passed over where a later one of the subject follows. */
  const checkStates = (what: string, at: Place): void => {
    const line = history.lineWith(at);
    for (const [id, revision] of owed) {
      if ((newest.get(id) ?? 0) >= revision) owed.delete(id);
      else if (line && line.lastOf(`${reader.of}/${id}`) <= at.revision) {
        fault(`${what} ${at.revision} comes before change ${revision}`);
        owed.delete(id);
      }
    }
  };

  return (step) => {
    if (course.stretch !== stretch) {
      [stretch, last] = [course.stretch, course.base];
      missing.clear();
      owed.clear();
      newest.clear();
    }
    // Another stream may come from an instance that has asked earlier.
    if (step.what === "open" || step.what === "started") verifiedMs = 0;
    if (isTold(step)) {
      settle(step.at);
      missing.delete(step.at.revision);
      newest.set(step.id, step.at.revision);
    }
    if ((step.what === "bookmark" || step.what === "end") && step.at) {
      if (course.base) check(step, step.at);
      else fault(`${name({ what: step.what, at: step.at })} comes before the start`);
    }
    const { reached } = course;
    course.take(step);
    if (!samePlace(reached, course.reached)) namedAtMs = step.atMs;
  };
};

/**
 * A stream that continues from a place answers at once, and the first that it tells is the first that is due after that
 * place, whatever the streams before it told.
 */
export const resumable: Validator = ({ watch, history }, fault) => {
  const { reader, mode } = watch;
  let from: Place | undefined;
  let greeted = false;
  const check = (at: Place, upTo: number): void => {
    if (!greeted) fault(`${at.revision} comes before the stream was answered`);
    const line = history.lineWith(at);
    if (!from || !line?.has(from) || mode === "LATEST") return;
    const [first] = line.due(reader, from.revision, upTo);
    if (first)
      fault(`continues after ${from.revision} with ${at.revision}, and ${first.what} ${first.revision} is due`);
  };
  return (step) => {
    if (step.what === "open") {
      from = typeof step.from === "object" ? step.from : undefined;
      greeted = false;
    }
    if (step.what === "started") greeted = true;
    if (isTold(step)) {
      if (from && step.at.revision <= from.revision) fault(`continues after ${from.revision} with ${name(step)}`);
      check(step.at, step.at.revision - 1);
      from = undefined;
    }
    if ((step.what === "bookmark" || step.what === "end") && step.at && from) {
      if (step.what === "bookmark" || greeted) check(step.at, step.at.revision);
    }
  };
};
