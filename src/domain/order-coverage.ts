import type { OrderLine } from "../../gen/leadline/v1/order_pb.ts";
import type { LineQuantity, Unit } from "../../gen/leadline/v1/place_pb.ts";
import type { Report } from "../../gen/leadline/v1/report_pb.ts";

/*
 * How much of an order has come how far, counted from reports that speak of parts of it.
 *
 * Quantities that reports name add up within one status, and a later status implies the earlier ones; so the quantity that
 * has come to a status is the greatest sum of that status or a later one, for the pieces delivered are among the pieces
 * shipped. Units count once each, and bring their contents to every status that they have come to. A report that names
 * quantities within units (3 of the 25 pieces in a pallet) does not count the pieces twice, and moves the units only when
 * it names all of their contents.
 *
 * Quantities are counted as numbers: a line has at most 10^12 pieces, and sums are exact up to 9 * 10^15.
 */

/** What reports name of one line, by the rank of the status they were reported in; absent: none. */
interface Sums {
  readonly at: number[];
  /** The greatest of a rank and of all later ones, kept so that no question has to look through the ranks. */
  readonly from: number[];
}

/** The quantities of one line. */
interface LineTally {
  readonly ordered: number;
  /** Of reports that name no units. */
  readonly loose: Sums;
  /** Of reports that name units as well. */
  readonly inUnits: Sums;
  /** The contents of units that have come to each rank. */
  readonly contents: number[];
}

/** What a unit holds of one line. */
interface Holding {
  readonly tally: LineTally;
  readonly quantity: number;
}

/** The count so far. Lives only while an order's reports are walked through. */
export interface Coverage {
  readonly ranks: number;
  readonly lines: ReadonlyMap<string, LineTally>;
  readonly units: ReadonlyMap<string, Unit>;
  /** The rank that each unit has come to; absent: none yet. */
  readonly unitRanks: Map<string, number>;
  /** What the units hold that have moved: looked up once, for units move as often as there are statuses. */
  readonly holdings: Map<string, readonly Holding[]>;
  /** Lines that have not wholly come to a rank, by rank. */
  readonly linesMissing: number[];
  /** Units that have not come to a rank, by rank. */
  readonly unitsMissing: number[];
  /** All units together are the whole order: the order has no lines, or not every unit says what it holds. */
  readonly unitsSuffice: boolean;
}

/** The count of an order of which nothing was reported. `ranks` is how many statuses its flow has. */
export function emptyCoverage(lines: readonly OrderLine[], units: readonly Unit[], ranks: number): Coverage {
  return {
    ranks,
    lines: new Map(
      lines.map((line) => [
        line.id,
        { ordered: Number(line.quantity), loose: { at: [], from: [] }, inUnits: { at: [], from: [] }, contents: [] },
      ]),
    ),
    units: new Map(units.map((unit) => [unit.id, unit])),
    unitRanks: new Map(),
    holdings: new Map(),
    linesMissing: new Array<number>(ranks).fill(lines.length),
    unitsMissing: new Array<number>(ranks).fill(units.length),
    unitsSuffice: lines.length === 0 || units.some((unit) => unit.contents.length === 0),
  };
}

/** Whether everything has come to a rank, as far as parts tell. */
export function isCovered(coverage: Coverage, rank: number): boolean {
  return (
    (coverage.lines.size > 0 && coverage.linesMissing[rank] === 0) ||
    (coverage.unitsSuffice && coverage.units.size > 0 && coverage.unitsMissing[rank] === 0)
  );
}

/** Counts a report of a part at a rank. Units and lines that the order does not have count for nothing. */
export function countPart(coverage: Coverage, report: Report, rank: number): void {
  const named = report.unitIds.length > 0;
  for (const { lineId, quantity } of report.lines) {
    const tally = coverage.lines.get(lineId);
    if (tally) addQuantity(coverage, tally, named ? tally.inUnits : tally.loose, rank, Number(quantity));
  }
  if (!namesAllContents(coverage, report)) return;
  for (const id of report.unitIds) moveUnit(coverage, id, rank);
}

/** Brings a unit and what it holds to a rank, unless it has come further already. Answers whether it moved. */
export function moveUnit(coverage: Coverage, unitId: string, rank: number): boolean {
  const unit = coverage.units.get(unitId);
  const from = coverage.unitRanks.get(unitId) ?? -1;
  if (unit === undefined || from >= rank) return false;
  coverage.unitRanks.set(unitId, rank);
  for (let at = from + 1; at <= rank; at += 1) coverage.unitsMissing[at] = (coverage.unitsMissing[at] ?? 0) - 1;
  for (const { tally, quantity } of holdingsOf(coverage, unit)) {
    for (let at = from + 1; at <= rank; at += 1) {
      const wasMissing = isMissing(tally, at);
      tally.contents[at] = (tally.contents[at] ?? 0) + quantity;
      if (wasMissing) settle(coverage, tally, at);
    }
  }
  return true;
}

function holdingsOf({ lines, holdings }: Coverage, { id, contents }: Unit): readonly Holding[] {
  const known = holdings.get(id);
  if (known !== undefined) return known;
  const found = contents.flatMap(({ lineId, quantity }) => {
    const tally = lines.get(lineId);
    return tally === undefined ? [] : [{ tally, quantity: Number(quantity) }];
  });
  holdings.set(id, found);
  return found;
}

/** How much of a line has come to a rank, at most what was ordered; 0 for a line that the order does not have. */
export function quantityAt(coverage: Coverage, lineId: string, rank: number): number {
  const tally = coverage.lines.get(lineId);
  return tally === undefined ? 0 : Math.min(tally.ordered, rawQuantityAt(tally, rank));
}

/** How many units have come to a rank. */
export function unitsAt(coverage: Coverage, rank: number): number {
  return coverage.units.size - (coverage.unitsMissing[rank] ?? 0);
}

/** Whether the quantities of a line that were reported in one status exceed what was ordered. */
export function isExceeded(coverage: Coverage, lineId: string, rank: number): boolean {
  const tally = coverage.lines.get(lineId);
  if (tally === undefined) return false;
  const inUnits = Math.max(tally.inUnits.at[rank] ?? 0, tally.contents[rank] ?? 0);
  return (tally.loose.at[rank] ?? 0) + inUnits > tally.ordered;
}

/** Adds to what was reported in one status. Quantities only ever rise. */
function addQuantity(coverage: Coverage, tally: LineTally, sums: Sums, rank: number, quantity: number): void {
  const sum = (sums.at[rank] ?? 0) + quantity;
  sums.at[rank] = sum;
  // The greatest from a rank on is no less than from the next one on: below the first that stays, all stay.
  for (let at = rank; at >= 0 && (sums.from[at] ?? 0) < sum; at -= 1) {
    const wasMissing = isMissing(tally, at);
    sums.from[at] = sum;
    if (wasMissing) settle(coverage, tally, at);
  }
}

/** Whether a line has not wholly come to a rank. */
function isMissing(tally: LineTally, rank: number): boolean {
  return rawQuantityAt(tally, rank) < tally.ordered;
}

/** Takes a line that was missing at a rank off those that are, if it is there now. */
function settle(coverage: Coverage, tally: LineTally, rank: number): void {
  if (isMissing(tally, rank)) return;
  coverage.linesMissing[rank] = (coverage.linesMissing[rank] ?? 0) - 1;
}

function rawQuantityAt({ loose, inUnits, contents }: LineTally, rank: number): number {
  return (loose.from[rank] ?? 0) + Math.max(inUnits.from[rank] ?? 0, contents[rank] ?? 0);
}

/** Whether the quantities that a report names, if any, are all that its units are known to hold. */
function namesAllContents(coverage: Coverage, report: Report): boolean {
  if (report.lines.length === 0) return true;
  const left = totals(report.lines);
  for (const id of report.unitIds) {
    for (const { lineId, quantity } of coverage.units.get(id)?.contents ?? []) {
      const rest = (left.get(lineId) ?? 0n) - quantity;
      if (rest < 0n) return false;
      left.set(lineId, rest);
    }
  }
  return true;
}

function totals(quantities: readonly LineQuantity[]): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const { lineId, quantity } of quantities) sums.set(lineId, (sums.get(lineId) ?? 0n) + quantity);
  return sums;
}
