import { randomFillSync } from "node:crypto";
import { Client } from "pg";
import { SubjectKind } from "../../src/domain/subject.ts";
import { CopyIn } from "./copy-in.ts";
import { orderId } from "./messages.ts";
import { type Copy, type Marks, Pattern, type WrittenOrder } from "./pattern.ts";

/*
 * A journal grown by copies of the orders that are in it: row for row what the service writes, laid by COPY because a
 * million orders would take an hour through the door. First come all creations, then round after round of reports, each
 * round in an order of its own, so that the events of one order lie far apart.
 */

/** Events that one commit of the service would have taken: they share a time. */
const PER_COMMIT = 200;
const COMMIT_US = 1_000;
/** Rounds step through the orders by this: a prime larger than their number, so each is met once. */
const STRIDE = 7_368_787;
const LETTERS = "0123456789abcdefghjkmnpqrstvwxyz";
const KIND = { int2: SubjectKind.ORDER } as const;

export interface Growth {
  /** Of the owner, who may COPY. */
  readonly url: string;
  readonly tenant: string;
  /** Orders in all, the patterns among them: order 0 up to this. */
  readonly orders: number;
  say(text: string): void;
}

/**
 * Grows a tenant to so many orders. The orders that it has, 0 up to some number, are the patterns, by turns. Nothing may
 * write meanwhile. @returns events that the journal has then
 */
export async function grow(growth: Growth): Promise<number> {
  const client = new Client({ connectionString: growth.url });
  await client.connect();
  try {
    const patterns = (await readPatterns(client, growth.tenant)).map((written) => new Pattern(written));
    return await new Grower(client, growth, patterns, await readHead(client, growth.tenant)).lay();
  } finally {
    await client.end();
  }
}

class Grower {
  readonly #client: Client;
  readonly #growth: Growth;
  readonly #patterns: readonly Pattern[];
  readonly #first: number;
  readonly #startUs: number;
  /** Revisions by round, then by order. */
  readonly #revisions: Uint32Array[] = [];

  constructor(client: Client, growth: Growth, patterns: readonly Pattern[], head: Head) {
    this.#client = client;
    this.#growth = growth;
    this.#patterns = patterns;
    this.#first = head.revision + 1;
    this.#startUs = head.recordedUs + COMMIT_US;
  }

  async lay(): Promise<number> {
    const last = this.#number() - 1;
    if (last < this.#first) return last;
    // One transaction: a journal is never seen half grown.
    await this.#client.query("begin");
    await this.#phase("events", () => this.#layEvents());
    await this.#phase("answers kept of requests", () => this.#layRequests());
    await this.#phase("rows of orders", () => this.#layRows());
    await this.#phase("lookup keys", () => this.#layKeys());
    await this.#client.query(
      `update journal_head set revision = $2, event_id = $3, recorded_at = timestamptz 'epoch' + $4 * interval '1 us'
       where tenant_id = $1`,
      [this.#growth.tenant, last, this.#marks(last).eventId, this.#marks(last).recordedUs],
    );
    await this.#client.query("commit");
    return last;
  }

  /** Gives every event its revision. @returns the first that is free */
  #number(): number {
    const { orders } = this.#growth;
    const rounds = Math.max(...this.#patterns.map((pattern) => pattern.written.events.length));
    let next = this.#first;
    for (let round = 0; round < rounds; round++) {
      const revisions = new Uint32Array(orders);
      for (const order of this.#inRound(round)) revisions[order] = next++;
      this.#revisions.push(revisions);
    }
    return next;
  }

  /** The orders that have an event in a round, in the order of their events. */
  *#inRound(round: number): Generator<number> {
    const own = this.#patterns.length;
    const copies = this.#growth.orders - own;
    for (let i = 0; i < copies; i++) {
      const order = own + (round === 0 ? i : (i * STRIDE + round) % copies);
      if (this.#pattern(order).written.events.length > round) yield order;
    }
  }

  async #layEvents(): Promise<void> {
    const { tenant } = this.#growth;
    const columns = "tenant_id revision event_id kind subject_id version carrier recorded_at payload".split(" ");
    const rows = new CopyIn(this.#client, "event", columns);
    for (const [round] of this.#revisions.entries()) {
      for (const order of this.#inRound(round)) {
        const copy = this.#copy(order, round + 1);
        const { revision, eventId, recordedUs } = at(copy.events, round);
        const payload = this.#pattern(order).event(copy, round);
        const place = [tenant, { int8: revision }, eventId, KIND, copy.id, { int8: round + 1 }] as const;
        if (rows.row([...place, "", { micros: recordedUs }, payload])) await rows.flush();
      }
    }
    await rows.end();
  }

  async #layRequests(): Promise<void> {
    const rows = new CopyIn(this.#client, "request", "tenant_id key hash answer recorded_at".split(" "));
    for (const [round] of this.#revisions.entries()) {
      for (const order of this.#inRound(round)) {
        const pattern = this.#pattern(order);
        if (!pattern.written.events[round]?.answer) continue;
        const copy = this.#copy(order, round + 1);
        const micros = at(copy.events, round).recordedUs;
        // Key and hash are digests: as good as drawn.
        const digests = randomFillSync(Buffer.allocUnsafe(32));
        const answer = pattern.answer(copy, round) ?? new Uint8Array();
        const row = [this.#growth.tenant, digests.subarray(0, 16), digests.subarray(16), answer, { micros }];
        if (rows.row(row)) await rows.flush();
      }
    }
    await rows.end();
  }

  async #layRows(): Promise<void> {
    const { tenant } = this.#growth;
    const columns =
      "tenant_id kind id version created_revision changed_revision changed_event_id status stage space carrier summary details";
    const rows = new CopyIn(this.#client, "subject", columns.split(" "));
    for (const order of this.#inRound(0)) {
      const pattern = this.#pattern(order);
      const { status, stage, events } = pattern.written;
      const copy = this.#copy(order, events.length);
      const { revision, eventId } = at(copy.events, events.length - 1);
      const { summary, details } = pattern.row(copy);
      const created = { int8: at(copy.events, 0).revision };
      const place = [{ int8: events.length }, created, { int8: revision }, eventId] as const;
      if (rows.row([tenant, KIND, copy.id, ...place, status, { int2: stage }, { int2: 0 }, "", summary, details]))
        await rows.flush();
    }
    await rows.end();
  }

  async #layKeys(): Promise<void> {
    const rows = new CopyIn(
      this.#client,
      "subject_reference",
      "tenant_id kind key subject_id created_revision".split(" "),
    );
    for (const order of this.#inRound(0)) {
      const copy = this.#copy(order, 1);
      for (const key of this.#pattern(order).keys(copy)) {
        if (rows.row([this.#growth.tenant, KIND, key, copy.id, { int8: at(copy.events, 0).revision }]))
          await rows.flush();
      }
    }
    await rows.end();
  }

  #pattern(order: number): Pattern {
    return at(this.#patterns, order % this.#patterns.length);
  }

  #copy(order: number, events: number): Copy {
    const marks: Marks[] = [];
    for (let n = 0; n < events; n++) marks.push(this.#marks(this.#revisions[n]?.[order] ?? 0));
    return { id: orderId(order), events: marks };
  }

  #marks(revision: number): Marks {
    return new RevisionMarks(revision, this.#startUs + Math.floor((revision - this.#first) / PER_COMMIT) * COMMIT_US);
  }

  async #phase(name: string, work: () => Promise<void>): Promise<void> {
    const begin = performance.now();
    await work();
    this.#growth.say(`  ${name}: ${((performance.now() - begin) / 1_000).toFixed(1)} s`);
  }
}

/** What would be drawn is made of the revision, so that nothing has to be remembered of five million events. */
class RevisionMarks implements Marks {
  readonly revision: number;
  readonly recordedUs: number;

  constructor(revision: number, recordedUs: number) {
    this.revision = revision;
    this.recordedUs = recordedUs;
  }

  get eventId(): string {
    return letters(this.revision, 1, 13);
  }

  get commandId(): string {
    return letters(this.revision, 2, 13);
  }

  get sourceId(): string {
    return `rpt_${letters(this.revision, 3, 16)}`;
  }
}

/** Letters that look drawn, and are the same for the same number and purpose. */
function letters(number: number, purpose: number, length: number): string {
  let text = "";
  let bits = 0;
  let state = Math.imul(number ^ (purpose << 29), 0x9e3779b1);
  for (let i = 0; i < length; i++) {
    if (i % 6 === 0) {
      state = (state + 0x6d2b79f5 + number) | 0;
      bits = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
      bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
      bits ^= bits >>> 16;
    }
    text += LETTERS[bits & 31];
    bits >>>= 5;
  }
  return text;
}

interface Head {
  readonly revision: number;
  readonly recordedUs: number;
}

async function readHead(client: Client, tenant: string): Promise<Head> {
  const { rows } = await client.query<{ revision: string; us: string }>(
    "select revision, (extract(epoch from recorded_at) * 1000000)::bigint as us from journal_head where tenant_id = $1",
    [tenant],
  );
  const head = at(rows, 0);
  return { revision: Number(head.revision), recordedUs: Number(head.us) };
}

async function readPatterns(client: Client, tenant: string): Promise<WrittenOrder[]> {
  // An answer was recorded with its event.
  const { rows } = await client.query<WrittenOrder>(
    `select id, status, stage, summary, details,
            array(select key from subject_reference r where r.tenant_id = s.tenant_id and r.kind = s.kind
                  and r.subject_id = s.id) as keys
     from subject s where tenant_id = $1 and kind = $2 order by id`,
    [tenant, SubjectKind.ORDER],
  );
  const found: WrittenOrder[] = [];
  for (const [i, row] of rows.entries()) {
    if (row.id !== orderId(i)) throw new Error(`the ${i}th pattern is ${row.id}`);
    const events = await client.query(
      `select e.event_id as "eventId", e.payload, q.answer from event e
       left join request q on q.tenant_id = e.tenant_id and q.recorded_at = e.recorded_at
       where e.tenant_id = $1 and e.kind = $2 and e.subject_id = $3 order by e.version`,
      [tenant, SubjectKind.ORDER, row.id],
    );
    found.push({ ...row, events: events.rows });
  }
  return found;
}

function at<T>(values: readonly T[], index: number): T {
  const value = values[index];
  if (value === undefined) throw new Error(`nothing at ${index}`);
  return value;
}
