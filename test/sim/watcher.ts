import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Booking, BookingFilterSchema, BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { type Order, OrderFilterSchema } from "../../gen/leadline/v1/order_pb.ts";
import { ResetReasonSchema } from "../../gen/leadline/v1/watch_pb.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { ResumableWatch, type SnapshotItem, type WatchStart } from "../../src/client/resumable-watch.ts";
import { Status } from "../../src/client/status.ts";
import type { WatchItem } from "../../src/client/watch-item.ts";
import { compileBookingFilter, compileOrderFilter, type Filter } from "../../src/domain/filter.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import type { Codec, WatchSpec } from "../../src/watch/spec.ts";
import { contentOf, rowContentOf } from "../guarantees/history.ts";
import { stepsOfMessage, type WatchMessage } from "../guarantees/messages.ts";
import type { Place, Reader, ResetName, Step } from "../guarantees/trace.ts";
import { placeOf } from "../guarantees/truth.ts";
import type { Coverage } from "./coverage.ts";
import { type Instance, positions } from "./instance.ts";
import type { Scheduler } from "./scheduler.ts";
import { SimulatedStream, UNWANTED_MAX } from "./stream.ts";

/** What can be watched, and, said once more in plain words, what is then seen. */
export interface Wish {
  readonly kind: SubjectKind;
  readonly filter: Filter;
  readonly reader: Pick<Reader, "of"> & { sees(subject: never): boolean };
}

const orders = (filter: MessageInitShape<typeof OrderFilterSchema>) =>
  compileOrderFilter(create(OrderFilterSchema, filter));
const bookings = (filter: MessageInitShape<typeof BookingFilterSchema>) =>
  compileBookingFilter(create(BookingFilterSchema, filter));
const { ORDER, BOOKING } = SubjectKind;
const { CONFIRMED } = BookingState;

export const WISHES: readonly Wish[] = [
  { kind: ORDER, filter: orders({}), reader: { of: "orders", sees: () => true } },
  {
    kind: ORDER,
    filter: orders({ statuses: ["BOOKED"] }),
    reader: { of: "orders", sees: (o: Order) => o.status === "BOOKED" },
  },
  {
    kind: ORDER,
    filter: orders({ ids: ["o1", "o2"], statuses: ["BOOKED", "READY"] }),
    reader: { of: "orders", sees: (o: Order) => ["o1", "o2"].includes(o.id) && ["BOOKED", "READY"].includes(o.status) },
  },
  { kind: ORDER, filter: orders({ ids: ["o1"] }), reader: { of: "orders", sees: (o: Order) => o.id === "o1" } },
  { kind: BOOKING, filter: bookings({}), reader: { of: "bookings", sees: () => true } },
  {
    kind: BOOKING,
    filter: bookings({ states: [CONFIRMED] }),
    reader: { of: "bookings", sees: (b: Booking) => b.state === CONFIRMED },
  },
];

export interface WatcherPlan {
  readonly name: string;
  readonly wish: Wish;
  readonly reader: Reader;
  readonly mode: "ALL" | "LATEST";
  readonly snapshot: boolean;
  readonly codec: Codec;
  /** Messages that the stream takes before it wants no more. */
  readonly window: number;
  /** Its calls have a deadline. */
  readonly deadlineMs: number | undefined;
  /** Its keys expire. */
  readonly keyLifeMs: number | undefined;
}

/** What a watcher takes from the world around it. */
export interface Surroundings {
  readonly scheduler: Scheduler;
  readonly coverage: Coverage;
  readonly decode: (bytes: Uint8Array, codec: Codec, kind: SubjectKind) => WatchMessage;
  /** What messages tell, by message; places, by reader and position. */
  readonly steps: WeakMap<WatchMessage, readonly Step[]>;
  readonly places: Map<string, Place>;
  /** Where the balancer sends it. */
  route(): Instance;
  newKey(): string;
}

type Row = SnapshotItem & { readonly id: string; readonly version: number; readonly content: string };

/**
 * A client: the real resumable watch over simulated streams. Two traces are kept: what came over the wire, and what the
 * client's user was given.
 */
export class SimulatedWatcher {
  readonly plan: WatcherPlan;
  readonly wire: Step[] = [];
  readonly given: Step[] = [];
  /** A failure that the client should have lived through. */
  failure: unknown;
  key: string;
  stream: SimulatedStream | undefined;
  stalledUntilMs = 0;
  readonly #around: Surroundings;
  #watch: ResumableWatch<WatchMessage, Row> | undefined;
  /** Positions that it kept while it went. */
  #kept: string | undefined;
  #keyUntilMs: number | undefined;
  #stopped = false;
  /** How the stream of this moment was opened and answered. */
  #answered: Step[] = [];
  readonly #contents: WeakMap<Event, Told>;

  constructor(plan: WatcherPlan, around: Surroundings, contents: WeakMap<Event, Told>) {
    this.plan = plan;
    this.#around = around;
    this.#contents = contents;
    this.key = around.newKey();
    this.#renew();
    void this.#run();
  }

  get position(): string | undefined {
    return this.#watch?.position;
  }

  keep(): void {
    this.#kept = this.#watch?.position;
  }

  /** The client's process ends; another goes on from what was kept, or from the start. */
  restart(): void {
    const position = this.#kept;
    void this.#watch?.return();
    void this.#run(position);
  }

  stop(): void {
    this.#stopped = true;
    void this.#watch?.return();
  }

  note(step: Step): void {
    this.wire.push(step);
    this.given.push(step);
  }

  #renew(): void {
    const { keyLifeMs } = this.plan;
    this.key = this.#around.newKey();
    this.#keyUntilMs = keyLifeMs === undefined ? undefined : this.#around.scheduler.nowMs + keyLifeMs;
  }

  async #run(position?: string): Promise<void> {
    const { scheduler } = this.#around;
    let from = position;
    while (!this.#stopped) {
      const watch = this.#open(from);
      this.#watch = watch;
      this.#give({ what: "open", from: from ? this.#at(from) : this.plan.snapshot ? "snapshot" : "now" });
      try {
        for await (const item of watch) {
          if (this.#watch !== watch) return;
          this.#receive(item, watch);
          while (this.stalledUntilMs > scheduler.nowMs) await scheduler.pause(100);
          if (this.#watch !== watch) return;
        }
        return;
      } catch (error) {
        if (this.#watch !== watch) return;
        const isLocked = error instanceof LeadlineError && error.code === Status.UNAUTHENTICATED;
        if (!isLocked) {
          this.failure = error;
          return;
        }
        // It gets another key and goes on.
        this.#renew();
        from = watch.position;
        await scheduler.pause(200);
        if (this.#watch !== watch) return;
      }
    }
  }

  #open(position: string | undefined): ResumableWatch<WatchMessage, Row> {
    const { scheduler } = this.#around;
    const { snapshot } = this.plan;
    return new ResumableWatch<WatchMessage, Row>(
      {
        open: (start, signal) => this.#connect(start, signal),
        rows: (message) =>
          (message.$typeName === "leadline.v1.WatchOrdersResponse" ? message.orders : message.bookings).map((row) => ({
            type: "snapshot",
            id: row.id,
            version: Number(row.version),
            content: rowContentOf(row),
          })),
      },
      {
        position,
        includeSnapshot: snapshot,
        onConnection: (state) => {
          if (state.state !== "open") return;
          const started = this.#timed({ what: "started", head: this.#at(state.head), messageMaxBytes: 2 ** 31 });
          this.given.push(started);
          this.#answered.push(started);
        },
        clock: { after: (ms, run) => scheduler.after(ms, run) },
        random: scheduler.random,
        backoff: { maxMs: 1_500 },
        openTimeoutMs: 3_000,
      },
    );
  }

  async *#connect(start: WatchStart, signal: AbortSignal): AsyncGenerator<WatchMessage> {
    const { scheduler, decode, route } = this.#around;
    const { wish, reader, mode, codec, window, deadlineMs } = this.plan;
    const instance = route();
    const stream = new SimulatedStream(scheduler, instance, { codec, kind: wish.kind, window }, decode);
    this.stream = stream;
    signal.addEventListener("abort", () => stream.leave());
    const from: WatchSpec["start"] =
      start.position !== ""
        ? { from: "position", position: start.position }
        : { from: start.includeSnapshot ? "snapshot" : "now" };
    const spec: WatchSpec = {
      ...{ tenant: reader.tenant, credential: this.key, expiresAtMs: this.#keyUntilMs },
      ...{ kind: wish.kind, visibility: reader.visibility, filter: wish.filter, start: from, mode },
    };
    const opened = this.#timed({ what: "open", from: from.from === "position" ? this.#at(from.position) : from.from });
    this.wire.push(opened);
    this.#answered = [opened];
    stream.connect((sink) => instance.open(spec, sink, deadlineMs && scheduler.nowMs + deadlineMs));
    try {
      for await (const message of stream) {
        // What a stream brings that the client has left is nobody's.
        if (this.stream !== stream) return;
        this.#see(message);
        yield message;
      }
    } finally {
      this.#seen({ what: "gauge", name: "messages to a full stream", value: stream.unwanted, limit: UNWANTED_MAX });
      if (this.stream === stream) this.#seen({ what: "cut" });
    }
  }

  #see(message: WatchMessage): void {
    const { coverage } = this.#around;
    for (const step of this.#stepsOf(message)) {
      if (step.what === "end") coverage.count("end", step.reason);
      if (step.what === "reset") coverage.count("reset", step.reason);
      if (step.what === "event" || step.what === "left" || step.what === "row") coverage.count("told", step.what);
      if (step.what === "synced" || step.what === "bookmark") coverage.count("told", step.what);
      this.#seen(step);
    }
  }

  /** Watchers that share a message share its steps. */
  #stepsOf(message: WatchMessage): readonly Step[] {
    const { steps } = this.#around;
    let known = steps.get(message);
    if (!known) {
      const all = stepsOfMessage(message, this.plan.reader, (position) => this.#at(position), 0);
      known = [...all].filter(({ what }) => what !== "words");
      steps.set(message, known);
    }
    return known;
  }

  #receive(item: WatchItem | Row, watch: ResumableWatch<WatchMessage, Row>): void {
    if (item.type === "snapshot") {
      const { id, version, content } = item;
      this.#give({ what: "row", id, version, content });
    } else if (item.type === "synced") this.#give({ what: "synced", at: this.#at(item.position) });
    else if (item.type === "event") {
      const { subjectId: id, version, position } = item.event;
      let told = this.#contents.get(item.event);
      if (!told) {
        told = { content: contentOf(item.event, this.plan.reader.visibility) };
        this.#contents.set(item.event, told);
      }
      this.#give({ what: "event", at: this.#at(position), id, version: Number(version), ...told, shows: [] });
    } else if (item.type === "left") this.#give({ what: "left", at: this.#at(item.position), id: item.id });
    else if (item.type === "bookmark") {
      const verifiedAtMs = item.verifiedAt?.getTime();
      this.#give({ what: "bookmark", at: this.#at(item.position), verifiedAtMs });
    } else if (item.type === "restart") {
      this.#around.coverage.count("told", "restart");
      // Its user hears of the new stream when that has answered.
      for (const step of this.#answered) this.given.push(step);
    } else {
      const reason = (ResetReasonSchema.value[item.reason]?.localName ?? "UNSPECIFIED") as ResetName;
      const { position } = watch;
      this.#give({ what: "reset", reason, head: position ? this.#at(position) : undefined });
      this.#give({ what: "open", from: position ? this.#at(position) : this.plan.snapshot ? "snapshot" : "now" });
    }
  }

  #at(position: string): Place {
    const { places } = this.#around;
    const { reader } = this.plan;
    const key = `${reader.tenant} ${reader.visibility.class} ${position}`;
    let place = places.get(key);
    if (!place) {
      place = placeOf({ positions }, reader, position);
      places.set(key, place);
    }
    return place;
  }

  #seen(step: Untimed): void {
    this.wire.push(this.#timed(step));
  }

  #give(step: Untimed): void {
    this.given.push(this.#timed(step));
  }

  #timed(step: Untimed): Step {
    const { scheduler } = this.#around;
    const timed = { ...step, atMs: scheduler.nowMs } as Step;
    scheduler.note(`${this.plan.name} ${JSON.stringify(timed)}`);
    return timed;
  }
}

interface Told {
  readonly content: string;
}

type Untimed = Step extends infer S ? (S extends Step ? Omit<S, "atMs"> & { atMs?: number } : never) : never;
