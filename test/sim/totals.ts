import { Coverage } from "./coverage.ts";
import type { Outcome } from "./world.ts";

/** What a run of seeds came to. */
export class Totals {
  seeds = 0;
  events = 0;
  deliveries = 0;
  readonly coverage = new Coverage();
  readonly failed: Outcome[] = [];

  add(outcome: Outcome): void {
    this.seeds += 1;
    this.events += outcome.events;
    this.deliveries += outcome.deliveries;
    this.coverage.add(outcome.counts);
    if (outcome.faults.length > 0) this.failed.push(outcome);
  }
}
