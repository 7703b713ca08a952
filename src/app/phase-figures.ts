import { Counter, type Registry } from "prom-client";
import { type Phase, PhaseSchema } from "../../gen/leadline/v1/order_pb.ts";
import type { Extension } from "../domain/stored-event.ts";

/**
 * How many orders have entered each phase, over all tenants and status flows, by what this instance has committed. Statuses are
 * each tenant's own; phases are everybody's, so they are what figures count by.
 */
export class PhaseFigures {
  readonly #entered = new Map<Phase, number>();

  count({ events }: Extension): void {
    for (const { entered } of events) {
      if (entered !== undefined) this.#entered.set(entered, (this.#entered.get(entered) ?? 0) + 1);
    }
  }

  register(registry: Registry): void {
    const figures = this.#entered;
    new Counter({
      name: "leadline_orders_entered_total",
      help: "Orders that entered a phase, over all tenants and status flows.",
      labelNames: ["phase"],
      registers: [registry],
      collect() {
        this.reset();
        for (const [phase, orders] of figures)
          this.inc({ phase: PhaseSchema.value[phase]?.localName ?? "UNSPECIFIED" }, orders);
      },
    });
  }
}
