import { Course } from "../course.ts";
import type { History } from "../history.ts";
import type { Place, Step } from "../trace.ts";
import type { Validator } from "./validator.ts";

/**
 * A watch is reset when, and only when, it cannot be continued: its place was lost, or lies below the floor. It is never
 * brought from one history into another without a reset, and does not follow a lost one to the end.
 */
export const resetHonest: Validator = ({ history, expected }, fault) => {
  const course = new Course(history);
  let openedAtMs = 0;
  /** Another history came while it was followed, or so shortly before that not everybody knew. */
  const wasLostSince = (fromMs: number, untilMs: number): boolean =>
    history.lines.slice(1).some((line) => line.fromMs <= untilMs && line.fromMs >= fromMs - expected.noticeMs);
  const check = (step: Extract<Step, { what: "reset" }>): void => {
    const place = course.reached;
    const now = history.lineAt(step.atMs + expected.skewMs);
    if (step.reason === "POSITION_TOO_OLD") {
      const floor = highestFloor(history, step.atMs - expected.noticeMs, step.atMs + expected.skewMs);
      if (place && place.revision >= floor) {
        fault(`a reset says that ${place.revision} is too old, and the floor is ${floor}`);
      }
      return;
    }
    const isLost = place !== undefined && !now.has(place);
    if (!isLost && !wasLostSince(openedAtMs, step.atMs + expected.skewMs)) {
      fault(`a reset says ${step.reason} at ${place?.revision ?? "the start"}, and nothing was lost`);
    }
    if (step.reason === "UNSPECIFIED") fault("a reset does not say why");
  };
  const follow = (at: Place, what: string): void => {
    const { reached } = course;
    if (!reached || at.revision < reached.revision) return;
    const line = history.lineWith(at);
    if (line && !line.has(reached)) fault(`${what} ${at.revision} goes on from ${reached.revision} of a lost history`);
  };
  return (step) => {
    if (step.what === "open") openedAtMs = step.atMs;
    if (step.what === "reset") check(step);
    if (step.what === "event" || step.what === "left") follow(step.at, step.what);
    if ((step.what === "bookmark" || step.what === "end") && step.at) follow(step.at, step.what);
    if (step.what === "done" && course.reached && !history.now.has(course.reached)) {
      fault(`it still follows a lost history, at ${course.reached.revision}`);
    }
    course.take(step);
  };
};

/** The highest floor that there was between two times. */
function highestFloor({ floors }: History, fromMs: number, untilMs: number): number {
  const there = floors.filter((floor, i) => floor.fromMs <= untilMs && (floors[i + 1]?.fromMs ?? untilMs) >= fromMs);
  return Math.max(0, ...there.map(({ revision }) => revision));
}
