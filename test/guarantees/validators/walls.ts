import type { Step } from "../trace.ts";
import { name, type Validator } from "./validator.ts";

/** Nothing of another tenant: every place, row and event is one of the tenant's own, as the tenant has it. */
export const tenantIsolated: Validator = ({ watch, history, expected }, fault) => {
  const { reader } = watch;
  const { visibility } = reader;
  return (step) => {
    const place = "at" in step ? step.at : step.what === "started" || step.what === "reset" ? step.head : undefined;
    if (place && !history.lineWith(place)) fault(`${step.what} names a place that is not the tenant's`);
    if (step.what === "row" || step.what === "event") {
      const facts = history.versionsOf(`${reader.of}/${step.id}`, step.version);
      const content = step.what === "row" ? "subjectFor" : "contentFor";
      const own = facts.some((fact) => history[content](fact, visibility) === step.content);
      if (!own) fault(`${step.what} ${step.id} version ${step.version} is not the tenant's`);
    }
    told(step, expected.foreign, fault);
  };
};

/** Nothing of another carrier's bookings or of any order to a carrier, nor a number that shows the tenant's volume; of one order to a link. */
export const carrierIsolated: Validator = ({ watch, history, expected }, fault) => {
  const { reader } = watch;
  const { visibility } = reader;
  const mayNotSee = (id: string, version: number | undefined, what: string): void => {
    if (visibility.class === "staff") return;
    if (visibility.class === "link") {
      if (id !== visibility.orderId) fault(`${what} is not of the link's order`);
      return;
    }
    for (const { event } of version === undefined ? [] : history.versionsOf(`bookings/${id}`, version)) {
      const carrier = event.after.case === "booking" ? event.after.value.carrier : undefined;
      if (carrier !== visibility.carrier) fault(`${what} is of a booking of ${carrier}`);
    }
  };
  return (step) => {
    if (step.what === "row") mayNotSee(step.id, step.version, `row ${step.id}`);
    if (step.what === "event") {
      mayNotSee(step.id, step.version, name(step));
      if (visibility.class === "carrier" && step.shows.length > 0)
        fault(`${name(step)} shows its ${step.shows.join(", ")}`);
    }
    if (step.what === "left") {
      const version = history.lineWith(step.at)?.fact(step.at)?.event.version;
      mayNotSee(step.id, version === undefined ? undefined : Number(version), name(step));
    }
    told(step, expected.hidden, fault);
  };
};

function told(step: Step, foreign: ReadonlySet<string>, fault: (text: string) => void): void {
  if (step.what !== "words" || foreign.size === 0) return;
  for (const word of step.words) if (foreign.has(word)) fault(`"${word}" is not for this reader`);
}
