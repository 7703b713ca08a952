import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { pino } from "pino";
import { OrderFilterSchema } from "../../gen/leadline/v1/order_pb.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { InProcessBus } from "../../src/bus/in-process.ts";
import type { Claims } from "../../src/domain/deficit-round-robin.ts";
import { compileOrderFilter } from "../../src/domain/filter.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import { Hubs } from "../../src/watch/hubs.ts";
import type { WatchOptions } from "../../src/watch/options.ts";
import type { Subscription, WatchSpec } from "../../src/watch/spec.ts";
import { Positions } from "../../src/wire/position.ts";
import { FakeClock } from "./fake-clock.ts";
import { type Change, MemoryJournal } from "./memory-journal.ts";
import { RecordingSink } from "./recording-sink.ts";

export const positions = new Positions(Buffer.alloc(32, 7));

export interface InstanceOptions {
  readonly journal?: MemoryJournal;
  readonly clock?: FakeClock;
  readonly bus?: Bus;
  readonly options?: Partial<WatchOptions>;
  readonly claims?: Claims;
}

/** One instance's watches over a journal in memory, on a clock of the test's own. */
export class Instance {
  readonly journal: MemoryJournal;
  readonly clock: FakeClock;
  readonly bus: Bus;
  readonly hubs: Hubs;
  readonly logged: Record<string, unknown>[] = [];

  constructor({ journal, clock, bus, options, claims }: InstanceOptions = {}) {
    this.journal = journal ?? new MemoryJournal();
    this.clock = clock ?? new FakeClock();
    this.bus = bus ?? new InProcessBus();
    const log = pino({ level: "info" }, { write: (line: string) => void this.logged.push(JSON.parse(line)) });
    const parts = { reader: this.journal, bus: this.bus, positions, log, clock: this.clock };
    this.hubs = new Hubs({ ...parts, ...(options && { options }), ...(claims && { claims }) });
  }

  /** Commits here: the hub is told, and the other instances are. */
  commit(...changes: readonly Change[]): void {
    this.commitTo("t1", ...changes);
  }

  commitTo(tenant: string, ...changes: readonly Change[]): void {
    const extension = this.journal.commit(tenant, ...changes);
    this.hubs.extend(extension);
    this.bus.publish(extension);
  }

  open(spec: Partial<WatchSpec> = {}, sink = new RecordingSink()): Watch {
    return new Watch(sink, this.hubs.open(specOf(spec), sink));
  }

  /** Opens, and lets it start. */
  async started(spec: Partial<WatchSpec> = {}, sink = new RecordingSink()): Promise<Watch> {
    const watch = this.open(spec, sink);
    await this.clock.settle();
    return watch;
  }
}

/** A watch and its reader. */
export class Watch {
  readonly sink: RecordingSink;
  readonly subscription: Subscription;

  constructor(sink: RecordingSink, subscription: Subscription) {
    this.sink = sink;
    this.subscription = subscription;
  }

  get story(): string[] {
    return this.sink.story;
  }

  /** The reader takes everything that was written. */
  read(): void {
    this.sink.read();
    this.subscription.drained();
  }

  cancel(): void {
    this.subscription.cancel();
  }
}

export function specOf(spec: Partial<WatchSpec>): WatchSpec {
  return {
    tenant: "t1",
    credential: "key_1",
    expiresAtMs: undefined,
    kind: SubjectKind.ORDER,
    visibility: { class: "staff" },
    filter: compileOrderFilter(undefined),
    start: { from: "now" },
    mode: "ALL",
    ...spec,
  };
}

export function orders(filter: MessageInitShape<typeof OrderFilterSchema>): WatchSpec["filter"] {
  return compileOrderFilter(create(OrderFilterSchema, filter));
}

export function order(id: string, status = "RECEIVED"): Change {
  return { order: id, status };
}

/** The staff position of the journal's head. */
export function headPosition(journal: MemoryJournal, tenant = "t1"): string {
  return positions.encode(tenant, journal.head(tenant), { class: "staff" });
}
