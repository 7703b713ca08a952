import type { Bus, Hint } from "../../src/bus/bus.ts";
import type { Place, StoredEvent } from "../../src/domain/stored-event.ts";
import type { Head } from "../../src/journal/journal.ts";
import type { WatchReader } from "../../src/watch/bounded-reader.ts";
import type { Sink } from "../../src/watch/spec.ts";
import type { PromiseName } from "../guarantees/validators.ts";
import type { Seams } from "./instance.ts";

/** A variant that is broken on purpose, at a seam, and what must find it out. */
export interface Broken {
  readonly name: string;
  /** New ones for every play: a seam may count, and a seed is one run. */
  readonly seams: () => Seams;
  readonly seenBy: readonly PromiseName[];
}

/** Everything through, but for what is changed. */
function reader(change: (reader: WatchReader) => Partial<WatchReader>): Seams {
  return {
    reader: (real) => ({
      heads: (tenants) => real.heads(tenants),
      events: (...of) => real.events(...of),
      stretch: (...of) => real.stretch(...of),
      latest: (...of) => real.latest(...of),
      rows: (query) => real.rows(query),
      before: (...of) => real.before(...of),
      ...change(real),
    }),
  };
}

function bus(hear: (hint: Hint) => Hint, publish = true): Seams {
  return {
    bus: (real): Bus => ({
      publish: (extension) => (publish ? real.publish(extension) : undefined),
      follow: (tenant, listener) => real.follow(tenant, (hint) => listener(hear(hint))),
      onResync: (listener) => real.onResync(listener),
      announceRevocation: (credential) => real.announceRevocation(credential),
      onRevocation: (listener) => real.onRevocation(listener),
      announceTenant: (tenant) => real.announceTenant(tenant),
      onTenant: (listener) => real.onTenant(listener),
      stats: () => real.stats(),
      close: () => real.close(),
    }),
  };
}

function sink(write: (real: Sink, message: Uint8Array, isLast: boolean) => boolean): Seams {
  return {
    sink: (real) => ({
      codec: real.codec,
      write: (message, isLast) => write(real, message, isLast),
      unsentBytes: () => real.unsentBytes(),
      finish: (outcome) => real.finish(outcome),
    }),
  };
}

/** The same event whatever its id: histories that differ cannot be told apart. */
const blind = <P extends Place>(place: P): P => ({ ...place, eventId: place.revision.toString().padStart(13, "0") });
const blindHead = (head: Head): Head => (head.revision === 0n ? head : blind(head));

/** Instances tell each other nothing. Whoever compares heads keeps every promise all the same. */
export const NO_HINTS: Seams = bus((hint) => hint, false);

export const BROKEN: readonly Broken[] = [
  {
    name: "predecessors are not compared",
    seenBy: ["resetHonest"],
    seams: () => ({
      ...reader((real) => ({
        heads: async (tenants) => new Map([...(await real.heads(tenants))].map(([t, head]) => [t, blindHead(head)])),
        events: async (...of) => (await real.events(...of)).map(blind),
        stretch: async () => undefined,
        latest: async (...of) => (await real.latest(...of)).map(blind),
      })),
      ...bus((hint) => {
        if (hint.say !== "events") return hint.say === "head" ? { ...hint, head: blind(hint.head) } : hint;
        const { previous, events, tenant } = hint.extension;
        return { say: "events", extension: { tenant, previous: blind(previous), events: events.map(blind) } };
      }),
    }),
  },
  {
    name: "heads are not compared, and no hint comes",
    seenBy: ["live"],
    seams: () => ({
      ...NO_HINTS,
      options: { headCheckMs: 3_600_000, unverifiedMs: 3_600_000, stallMs: 3_600_000 },
    }),
  },
  {
    name: "a hint may leave an event out",
    seenBy: ["reliable"],
    seams: () =>
      bus((hint) => {
        if (hint.say !== "events" || hint.extension.events.length < 2) return hint;
        const [first, second, ...others] = hint.extension.events as [StoredEvent, StoredEvent, ...StoredEvent[]];
        const events = [first, { ...first, revision: second.revision, eventId: second.eventId }, ...others];
        return { say: "events", extension: { ...hint.extension, events } };
      }),
  },
  {
    name: "a page skips its last event but one",
    seenBy: ["reliable"],
    seams: () =>
      reader((real) => ({
        stretch: async (query) => {
          const stretch = await real.stretch(query);
          if (!stretch || stretch.all < 2) return stretch;
          const { tenant, kind, after, maxBytes } = query;
          const page = await real.events(tenant, after + 1n, stretch.all, maxBytes);
          const kept = page.filter((event, i) => event.kind === kind && i !== page.length - 2);
          return { ...stretch, events: kept.length, payloads: Buffer.concat(kept.map((event) => event.payload)) };
        },
      })),
  },
  {
    name: "a snapshot's rows are newer than its place",
    seenBy: ["convergent"],
    seams: () =>
      reader((real) => ({
        rows: async (query) =>
          (await real.rows(query)).map((row) => ({ ...row, changedRevision: row.createdRevision })),
      })),
  },
  {
    name: "a snapshot lacks a row",
    seenBy: ["convergent"],
    seams: () =>
      reader((real) => ({
        rows: async (query) => {
          const rows = await real.rows(query);
          return rows.length > 1 && rows.length < query.limit ? rows.slice(1) : rows;
        },
      })),
  },
  {
    name: "a message is written twice",
    seenBy: ["unique"],
    seams: () => {
      let messages = 0;
      return sink((real, message, isLast) => {
        messages += 1;
        if (messages % 50 === 0) real.write(message, false);
        return real.write(message, isLast);
      });
    },
  },
  {
    name: "a message is thrown away",
    seenBy: ["reliable"],
    seams: () => {
      let messages = 0;
      return sink((real, message, isLast) => {
        messages += 1;
        return messages % 50 === 0 || real.write(message, isLast);
      });
    },
  },
];

/** The seams of the variant of this name; without one, those of the service as it is. */
export function seamsOf(name: string | undefined): Seams {
  if (name === undefined) return {};
  const variant = BROKEN.find((one) => one.name === name);
  if (!variant) throw new Error(`no variant "${name}"`);
  return variant.seams();
}
