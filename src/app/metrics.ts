import { Gauge, type Registry } from "prom-client";
import type { Bus } from "../bus/bus.ts";
import type { PostgresJournal } from "../journal/postgres-journal.ts";
import type { Hubs } from "../watch/hubs.ts";

/** Registers what the parts behind the doors say of themselves; they are asked when `/metrics` is. */
export function registerParts(registry: Registry, parts: { journal: PostgresJournal; hubs: Hubs; bus: Bus }): void {
  const { journal, hubs, bus } = parts;
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name: `leadline_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge("queued_commands", "Commands that wait to be committed.", () => journal.queued);
  gauge("watched_tenants", "Tenants with watches here, or that had some lately.", () => hubs.stats().tenants);
  gauge("watchers_live", "Watches that stand at their tenant's head.", () => hubs.stats().live);
  gauge("watchers_blocked", "Watches whose stream takes no more at present.", () => hubs.stats().blocked);
  gauge(
    "ring_bytes",
    "Stored bytes of events kept for watches that are a little behind.",
    () => hubs.stats().ringBytes,
  );
  gauge("waiting_reads", "Reads for watches that wait for their turn.", () => hubs.stats().waitingReads);
  gauge("bus_connected", "1 while the bus between the instances is connected.", () => Number(bus.stats().connected));
  gauge("bus_published", "Hints sent to the other instances.", () => bus.stats().published);
  gauge("bus_unsent", "Hints that could not be sent; the journal makes up for them.", () => bus.stats().unsent);
  gauge("bus_received", "Hints of other instances.", () => bus.stats().received);
}
