import { Counter, Gauge, type Registry } from "prom-client";
import type { Bus } from "../bus/bus.ts";
import type { PostgresJournal } from "../journal/postgres-journal.ts";
import type { Hubs } from "../watch/hubs.ts";
import type { HistoryRetention } from "./history-retention.ts";

interface Parts {
  readonly journal: PostgresJournal;
  readonly hubs: Hubs;
  readonly bus: Bus;
  readonly retention: HistoryRetention;
}

/** Registers what the parts behind the doors say of themselves; they are asked when `/metrics` is. */
export function registerParts(registry: Registry, parts: Parts): void {
  const { journal, hubs, bus, retention } = parts;
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
  gauge("waiting_feeds", "Calls of the change feed that wait for an event.", () => hubs.stats().waiting);
  gauge(
    "ring_bytes",
    "Stored bytes of events kept for watches that are a little behind.",
    () => hubs.stats().ringBytes,
  );
  gauge("buffered_bytes", "Bytes that wait for watchers that do not take them.", () => hubs.stats().bufferedBytes);
  gauge(
    "wall_breaches",
    "Times that bytes were about to go to a reader whose they are not. Anything but 0 is a fault to report.",
    () => hubs.stats().wallBreaches,
  );
  const counter = (name: string, help: string, read: () => number): void => {
    new Counter({
      name: `leadline_${name}_total`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  counter("history_cut_subjects", "Orders and bookings whose history was cut.", () => retention.total.subjects);
  counter("history_cut_events", "Events that were cut with it.", () => retention.total.events);
  gauge("waiting_reads", "Reads for watches that wait for their turn.", () => hubs.stats().waitingReads);
  gauge("bus_connected", "1 while the bus between the instances is connected.", () => Number(bus.stats().connected));
  gauge("bus_published", "Hints sent to the other instances.", () => bus.stats().published);
  gauge("bus_unsent", "Hints that could not be sent; the journal makes up for them.", () => bus.stats().unsent);
  gauge("bus_received", "Hints of other instances.", () => bus.stats().received);
}
