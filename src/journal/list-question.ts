import { Phase, PhaseSchema } from "../../gen/leadline/v1/order_pb.ts";
import { lookupKey } from "../domain/facets.ts";
import { SubjectKind } from "../domain/subject.ts";
import type { Question, Value } from "../store/question.ts";
import type { RowQuery, SubjectRow } from "./journal.ts";
import { SUBJECT_COLUMNS, toSubjectRow } from "./read-rows.ts";

/*
 * Pages of rows, newest created first. What is read for a page has to follow from the page's size and not from the table's.
 * The planner cannot be left to see to that: it knows nothing of a young table, and of an old one it believes that the newest
 * rows are like all others (a phase that only old orders are in is looked for through all of them). So each form of the
 * statement has one way to be carried out:
 *
 * - By ids: row by row.
 * - By a lookup key (references, related subjects, an order's carriers): the key's newest rows.
 * - By stage, status, space, or a booking's carrier: the values that occur together make groups, of which there are few. They
 *   are found by stepping through the index from one to the next, and each gives its newest rows.
 * - By a flow of the tenant's own: its versions are stepped through, and each gives its newest rows, or its newest open ones.
 * - Open orders of the standard flow: by stage, for there its end is a stage. Nothing is kept up for them beside.
 * - Else by creation.
 *
 * An order's carriers with a group: whichever is fewer. Other conditions are looked at row by row. The indexes are partial, and a statement names the condition of the one that it
 * is for, so that no other can be taken for it.
 */

/** How groups are told apart: columns of an index, which goes on with the revision of creation. */
interface Grouping {
  /** Whose values are given; empty: none. */
  readonly given: string;
  readonly columns: readonly string[];
  /** The index's condition. */
  readonly only: string;
}

/** The index subject_by_stage. */
const BY_STAGE: Grouping = { given: "", columns: ["stage", "status", "space"], only: "s.stage >= 0" };
/** The index subject_by_carrier. */
const BY_CARRIER: Grouping = { given: "carrier", columns: ["stage", "space"], only: "s.space >= 0" };
/** The index subject_by_flow. */
const BY_FLOW: Grouping = { given: "flow_id", columns: ["flow_version"], only: "s.flow_id <> ''" };
/** The index subject_open_by_flow. */
const OPEN_BY_FLOW: Grouping = { ...BY_FLOW, only: "s.flow_id <> '' and s.ended_at is null" };
/** The index subject_by_creation. */
const BY_CREATION = "s.created_revision > 0";

/** What open orders of the standard flow are in. */
const OPEN_PHASES = PhaseSchema.values
  .map((value) => value.number)
  .filter((phase) => phase !== Phase.DELIVERED && phase !== Phase.CANCELLED);

/** Rows with a key that are looked at one by one, if it comes to that. */
const FEW = 1_000;

class Listing {
  readonly #query: RowQuery;
  readonly #values: Value[];
  readonly #kind: number;
  /** Alternatives, of each of which a row has at least one. */
  readonly #keys: readonly (readonly string[])[];
  readonly #carriers: readonly string[];
  /** The parameter that holds it. */
  #limit = "";

  constructor(asked: RowQuery) {
    const query = isOpenStandard(asked) ? { ...asked, stages: OPEN_PHASES } : asked;
    const isOrder = query.kind === SubjectKind.ORDER;
    const carriers = query.carriers ?? [];
    this.#query = query;
    this.#values = [query.tenant];
    this.#kind = query.kind;
    this.#carriers = isOrder ? [] : [...new Set(carriers)];
    this.#keys = [
      (query.references ?? []).map((r) => lookupKey(r.type, r.value)),
      (query.related ?? []).map((id) => lookupKey(isOrder ? "@BOOKING" : "@ORDER", id)),
      isOrder ? carriers.map((c) => lookupKey("@CARRIER", c)) : [],
    ].filter((keys) => keys.length > 0);
  }

  question(): Question<SubjectRow> {
    this.#limit = this.#bind(this.#query.limit);
    const text = `select ${SUBJECT_COLUMNS} from ${this.#rows()} s order by s.created_revision desc limit ${this.#limit}`;
    return { name: "", text, values: this.#values, row: toSubjectRow };
  }

  count(): Question<bigint> {
    const { ids, flow } = this.#query;
    const where = [this.#own, ...this.#where()];
    if (isAsked(ids)) where.push(`s.id = any(${this.#bind(ids)}::text[])`);
    if (flow && flow.id !== "") where.push((flow.open ? OPEN_BY_FLOW : BY_FLOW).only);
    const text = `select count(*) as count from subject s where ${where.join(" and ")}`;
    return { name: "", text, values: this.#values, row: (fields) => fields.bigint() };
  }

  #rows(): string {
    const { ids, references, related, statuses, stages, spaces, flow } = this.#query;
    const isByGroup = [statuses, stages, spaces].some((values) => isAsked<string | number>(values));
    if (isAsked(ids)) return this.#byIds(ids);
    if (isAsked(references) || isAsked(related)) return this.#byKey();
    if (this.#carriers.length > 0) return this.#byGroup(BY_CARRIER, this.#carriers);
    if (flow && flow.id !== "") return this.#byGroup(flow.open ? OPEN_BY_FLOW : BY_FLOW, [flow.id]);
    if (isByGroup) return this.#keys.length > 0 ? this.#byKeyOrGroup() : this.#byGroup(BY_STAGE);
    return this.#keys.length > 0 ? this.#byKey() : this.#newest([this.#own, BY_CREATION, ...this.#where()]);
  }

  #byIds(ids: readonly string[]): string {
    return `(select s.* from unnest(${this.#bind([...new Set(ids)])}::text[]) as i (id)
             cross join lateral ${this.#one("i.id")} s where ${this.#where().join(" and ")})`;
  }

  /** By the first of the alternatives; a row that has several of them is found by each. */
  #byKey(): string {
    const [keys = [], ...others] = this.#keys;
    const before = this.#createdBefore("r").map((condition) => ` and ${condition}`);
    return `(select distinct on (s.created_revision) s.*
             from unnest(${this.#bind([...new Set(keys)])}::text[]) as k (key) cross join lateral (
               select s.* from subject_reference r cross join lateral ${this.#one("r.subject_id")} s
               where r.tenant_id = $1 and r.kind = ${this.#kind} and r.key = k.key${before.join("")}
                 and ${this.#where([], others).join(" and ")}
               order by r.created_revision desc limit ${this.#limit}) s
             order by s.created_revision desc)`;
  }

  /** By key when few rows have it, else by group: a small carrier's orders in a common phase, a large one's in a rare one. */
  #byKeyOrGroup(): string {
    return `(with few as materialized (
               select count(*) < ${FEW} as are from (
                 select from unnest(${this.#bind(this.#keys[0] ?? [])}::text[]) as k (key) cross join lateral (
                   select from subject_reference r where r.tenant_id = $1 and r.kind = ${this.#kind} and r.key = k.key
                   limit ${FEW}) r
                 limit ${FEW}) r)
             select s.* from ${this.#byKey()} s where (select are from few)
             union all
             select s.* from ${this.#byGroup(BY_STAGE)} s where not (select are from few))`;
  }

  #byGroup({ given, columns, only }: Grouping, givenValues: readonly string[] = []): string {
    const group = [given, ...columns].filter((column) => column !== "");
    const of = (name: string, which: readonly string[]) => which.map((column) => `${name}.${column}`).join(", ");
    const same = given ? ` and s.${given} = p.${given}` : "";
    const first = (
      after: string,
    ) => `(select ${of("s", group)} from subject s where ${this.#own} and ${only}${same}${after}
                                       order by ${of("s", columns)} limit 1) n`;
    const from = given ? `unnest(${this.#bind(givenValues)}::text[]) as p (${given}) cross join lateral ` : "";
    const inGroup = group.map((column) => `s.${column} = p.${column}`);
    const asked = this.#valuesOf("p", columns);
    return `(with recursive present (${group.join(", ")}) as (
               select n.* from ${from}${first("")}
               union all
               select n.* from present p cross join lateral ${first(` and (${of("s", columns)}) > (${of("p", columns)})`)})
             select s.* from present p cross join lateral ${this.#newest([this.#own, only, ...inGroup, ...this.#where(group)])} s
             where ${["true", ...asked].join(" and ")})`;
  }

  /** One subject. The limit keeps the planner from finding it in any other way than by the primary key. */
  #one(id: string): string {
    return `(select * from subject s where ${this.#own} and s.id = ${id} limit 1)`;
  }

  #newest(where: readonly string[]): string {
    return `(select s.* from subject s where ${where.join(" and ")} order by s.created_revision desc limit ${this.#limit})`;
  }

  /** The kind stands in the text: an index of one kind fits then. */
  get #own(): string {
    return `s.tenant_id = $1 and s.kind = ${this.#kind}`;
  }

  /** What a row has to be, beside `grouped` columns, which are seen to already. */
  #where(grouped: readonly string[] = [], lookups = this.#keys): string[] {
    const columns = ["status", "stage", "space", "flow_version"].filter((column) => !grouped.includes(column));
    const where = ["true", ...this.#valuesOf("s", columns), ...this.#createdBefore("s"), ...this.#inFlow(grouped)];
    for (const keys of lookups) {
      // A scalar cannot become a join; and key by key, for of several the planner may walk the index (Postgres 15: 10 ms a row).
      where.push(`(select true from unnest(${this.#bind(keys)}::text[]) as o (key) cross join lateral (
                     select from subject_reference r where r.tenant_id = $1 and r.kind = ${this.#kind} and r.key = o.key
                       and r.created_revision = s.created_revision and r.subject_id = s.id limit 1) r limit 1)`);
    }
    if (this.#carriers.length > 0 && !grouped.includes("carrier")) {
      where.push(`s.carrier = any(${this.#bind(this.#carriers)}::text[])`);
    }
    return where;
  }

  #inFlow(grouped: readonly string[]): string[] {
    const { flow } = this.#query;
    if (flow === undefined || grouped.includes("flow_id")) return [];
    const inFlow = `s.flow_id = ${this.#bind(flow.id)}`;
    return flow.open && flow.id !== "" ? [inFlow, "s.ended_at is null"] : [inFlow];
  }

  #createdBefore(row: string): string[] {
    const { createdBefore } = this.#query;
    return createdBefore === undefined ? [] : [`${row}.created_revision < ${this.#bind(createdBefore)}`];
  }

  #valuesOf(row: string, columns: readonly string[]): string[] {
    const { statuses, stages, spaces, flow } = this.#query;
    const asked = [
      ["status", statuses, "text"],
      ["stage", stages, "smallint"],
      ["space", spaces, "smallint"],
    ] as const;
    const given = asked.flatMap(([column, values, type]) =>
      isAsked<string | number>(values) && columns.includes(column)
        ? [`${row}.${column} = any(${this.#bind(values)}::${type}[])`]
        : [],
    );
    if (!columns.includes("flow_version")) return given;
    if (flow?.version !== undefined) given.push(`${row}.flow_version = ${this.#bind(flow.version)}`);
    if (flow?.notVersion !== undefined) given.push(`${row}.flow_version <> ${this.#bind(flow.notVersion)}`);
    return given;
  }

  #bind(value: Value): string {
    return `$${this.#values.push(value)}`;
  }
}

/** A page of rows. */
export function rows(query: RowQuery): Question<SubjectRow> {
  return new Listing(query).question();
}

/** How many rows there are. */
export function count(query: Omit<RowQuery, "limit">): Question<bigint> {
  return new Listing({ ...query, limit: 0 }).count();
}

/** In the standard flow the end is a phase, and rows of releases that kept no end have it too. */
function isOpenStandard({ flow }: RowQuery): boolean {
  return flow !== undefined && flow.id === "" && flow.open;
}

function isAsked<T>(values: readonly T[] | undefined): values is readonly T[] {
  return values !== undefined && values.length > 0;
}
