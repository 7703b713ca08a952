import type { Fact, History } from "../guarantees/history.ts";
import type { WriteStep } from "../guarantees/writes.ts";
import { doneBy, type Entry, tokenOf } from "./ledger.ts";

/**
 * What one tenant's writers asked and were told, in the order in which it happened to them. A report's answer names its place.
 * The other commands' places are those that their events have in the journal now; what a failover has lost of these is the
 * ledger's to judge.
 */
export function writeStepsOf(entries: Iterable<Entry>, history: History): WriteStep[] {
  const steps: { readonly turn: number; readonly step: WriteStep }[] = [];
  const places = firstPlaces(history);
  for (const entry of entries) {
    if (entry.tenant !== history.tenant) continue;
    const { token: key, askedTurn, settledTurn } = entry;
    steps.push({ turn: askedTurn, step: { what: "asked", key, atMs: entry.askedAtMs } });
    const step = settledTurn === undefined ? undefined : settledStepOf(entry, places);
    if (settledTurn !== undefined && step) steps.push({ turn: settledTurn, step });
  }
  return steps.sort((a, b) => a.turn - b.turn).map(({ step }) => step);
}

function settledStepOf(entry: Entry, places: ReadonlyMap<string, Fact>): WriteStep | undefined {
  const { token: key, outcome, position, isCertain, atMs } = entry;
  if (outcome !== "acked") return { what: "failed", key, atMs, certain: outcome === "refused" && isCertain };
  if (position !== undefined) {
    const [revision = "", eventId = ""] = position.split("-");
    // Once it was sent it may have been committed, and lost, at any time before it was answered: see `doneBy`.
    return { what: "answered", key, atMs: doneBy(entry), at: { revision: Number(revision), eventId } };
  }
  const fact = places.get(key);
  // An attempt that was not answered may come to its effect after a failover has lost that of the one that was.
  if (!fact || fact.atMs > atMs) return undefined;
  return { what: "answered", key, atMs, at: { revision: fact.revision, eventId: fact.eventId } };
}

/** By token: the first event that carries it. */
function firstPlaces({ now }: History): Map<string, Fact> {
  const places = new Map<string, Fact>();
  for (const fact of now.facts) {
    const token = tokenOf(fact.event);
    if (token !== undefined && !places.has(token)) places.set(token, fact);
  }
  return places;
}
