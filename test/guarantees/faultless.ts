import { BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import { type Change, MemoryJournal } from "../watch/memory-journal.ts";
import { Faithful, historyIn } from "./faithful.ts";
import type { Reader, Step, Watch } from "./trace.ts";
import { validate } from "./validators.ts";

/* A history with a failover, and faultless traces of watches of it, for faults to be put into. */

const STATUSES = ["RECEIVED", "BOOKED", "READY"];
const CARRIERS = ["MAEU", "HLCU"];
export const START_MS = 1_000_000;
const LOST_AT = 60;
const KEPT = 52;

/** Two tenants; three orders and four bookings of two carriers each; every fourth command has three parts; one failover. */
function grown() {
  let nowMs = START_MS;
  const journal = new MemoryJournal(() => nowMs);
  const grow = (tenant: string, upTo: number) => {
    for (let i = journal.all(tenant).length; i < upTo; i = journal.all(tenant).length) {
      nowMs += 100;
      const changes = i % 4 === 0 ? [change(i), change(i + 1), change(i + 2)] : [change(i)];
      journal.commit(tenant, ...changes);
    }
  };
  grow("other", 40);
  grow("acme", LOST_AT);
  nowMs += 1_000;
  journal.restore("acme", BigInt(KEPT));
  grow("acme", 100);
  return { history: historyIn(journal, "acme"), foreign: historyIn(journal, "other") };
}

export const { history, foreign } = grown();

function change(i: number): Change {
  if (i % 2 === 0) return { order: `o${(i / 2) % 3}`, status: STATUSES[((i * 7) % 5) % 3] ?? "" };
  const n = (i >> 1) % 4;
  return {
    booking: `b${n}`,
    carrier: CARRIERS[n % 2] ?? "",
    state: i % 3 === 0 ? BookingState.CONFIRMED : BookingState.RECEIVED,
  };
}

export const orders: Watch = {
  reader: { tenant: "acme", visibility: { class: "staff" }, of: "orders", sees: () => true },
  mode: "ALL",
};
export const booked: Reader = {
  tenant: "acme",
  visibility: { class: "staff" },
  of: "orders",
  sees: ({ status }) => status === "BOOKED",
};
const filtered: Watch = { reader: booked, mode: "ALL" };
const carrier: Watch = {
  reader: { tenant: "acme", visibility: { class: "carrier", carrier: "MAEU" }, of: "bookings", sees: () => true },
  mode: "ALL",
};
export const watches = { orders, filtered, carrier };

/** A watch through a snapshot, a bookmark, a broken stream, a failover, another snapshot, and on to the end. */
export function stepsOf(watch: Watch): Step[] {
  const [lost, now] = history.lines;
  if (!lost || !now) throw new Error("there was no failover");
  const play = new Faithful(watch, history, lost, START_MS);
  play.snapshot(12).tell(22).bookmark().tell(30).bookmark().resume().tell(55).bookmark();
  play.reset(now).snapshot(64);
  play.atMs = now.facts.at(-1)?.atMs ?? 0;
  return play
    .note({ what: "healed" })
    .note({ what: "gauge", name: "ring bytes", value: 5, limit: 10 })
    .tell(100)
    .bookmark()
    .done().steps;
}

const expected = { skewMs: 50, staleMs: 30_000, noticeMs: 5_000 };

/** What the validators say of a trace. */
export function broken(
  watch: Watch,
  steps: readonly Step[],
  words?: { foreign?: ReadonlySet<string>; hidden?: ReadonlySet<string> },
) {
  return validate({ ...watch, steps }, history, { ...expected, ...words });
}
