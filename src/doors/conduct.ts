import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Code, type Refusal } from "../domain/refusal.ts";
import { networkOf } from "../service/address.ts";
import { PerSecond } from "../service/per-second.ts";
import type { DoorBounds } from "./options.ts";

export type ConductBounds = Pick<
  DoorBounds,
  "refusedBurst" | "refusedPerSecond" | "addressRefusedPerSecond" | "callsInATurn" | "maxUnsentBytes"
>;

/** What can be done about a peer on its connection. Each is called once at most. */
export interface Measures {
  /** Lets nothing begin in the turn of the event loop in which it comes: what is taken back at once never begins. */
  defer(): void;
  /** Ends it. `hasWork`: calls are open on it, or watches may be; they go on to their end, and only new ones get nowhere. */
  sendAway(hasWork: boolean): void;
}

/** For what is not multiplexed: the answer to the refusal says that it is the last. */
export const NO_MEASURES: Measures = { defer() {}, sendAway() {} };

/** A call that was done makes up for so many that were refused: only a peer that hardly does anything else is sent away. */
const GOOD_FOR = 4;
/** Of an address that has too many calls refused, each connection has this part of the burst. */
const STRICT_PART = 0.01;
/** So long after it the address is held to that, milliseconds; so it stays while it has this part as many refused. */
const STRICT_MS = 10_000;
const STILL_STRICT_PART = 0.1;
/** Meanwhile its new connections wait so long, and are let in one by one, so far from each other, milliseconds. */
const DELAY_MS = 1_000;
const GAP_MS = 200;
/** One that would have to wait longer is not let in. */
const DELAY_MAX_MS = 3_000;
/** Addresses that are remembered for it; of more the one that has been quiet for longest is forgotten. */
const MAX_STRICT = 10_000;
/** From so many refused calls on, a connection's calls begin a turn of the event loop later. */
const SUSPECT_AFTER = 5;
/** A stream that is reset sooner than this after it was opened was opened for nothing, milliseconds. */
export const QUICK_RESET_MS = 250;

/**
 * How the peers of a door behave. A call that is refused, or taken back as soon as it is made, costs the peer nothing and the
 * instance a little; who does nothing else is sent away, and an address whose peers do so comes back slowly.
 */
export class Conduct {
  readonly bounds: ConductBounds;
  readonly #refusals = new PerSecond();
  /** The addresses that are held to less, and until when, milliseconds since the epoch. */
  readonly #strict = new Map<string, { untilMs: number; lastLetInMs: number }>();
  readonly #connections = new WeakMap<object, Connection>();
  readonly #holding = new Set<Connection>();
  #turn = 0;
  #scheduled = false;

  constructor(bounds: ConductBounds) {
    this.bounds = bounds;
  }

  /** The connection of an HTTP/2 session or of a socket, if it has been introduced. */
  known(key: object): Connection | undefined {
    return this.#connections.get(key);
  }

  /** @param key an HTTP/2 session or a socket */
  introduce(key: object, address: string, measures: (connection: Connection) => Measures): Connection {
    const connection = new Connection(this, address, measures);
    this.#connections.set(key, connection);
    return connection;
  }

  /**
   * How long a new connection waits before anything is read of it; undefined: too long, it is not let in.
   * @param network see `networkOf`
   */
  delayMs(network: string): number | undefined {
    const strict = this.#strictOf(network);
    if (strict === undefined) return 0;
    const nowMs = Date.now();
    const letInMs = Math.max(nowMs + DELAY_MS, strict.lastLetInMs + GAP_MS);
    if (letInMs - nowMs > DELAY_MAX_MS) return undefined;
    strict.lastLetInMs = letInMs;
    return letInMs - nowMs;
  }

  isStrict(network: string): boolean {
    return this.#strictOf(network) !== undefined;
  }

  #strictOf(network: string) {
    if (this.#strict.size === 0) return undefined;
    const strict = this.#strict.get(network);
    if (strict === undefined || strict.untilMs > Date.now()) return strict;
    this.#strict.delete(network);
    return undefined;
  }

  /** Counts a call of an address that was refused. */
  refused(network: string): void {
    const nowMs = Date.now();
    const known = this.#strictOf(network);
    const most = this.bounds.addressRefusedPerSecond * (known ? STILL_STRICT_PART : 1);
    if (this.#refusals.take(network, Infinity, nowMs) <= most) return;
    this.#strict.delete(network);
    this.#strict.set(network, { untilMs: nowMs + STRICT_MS, lastLetInMs: known?.lastLetInMs ?? 0 });
    const [oldest] = this.#strict.keys();
    if (this.#strict.size > MAX_STRICT && oldest !== undefined) this.#strict.delete(oldest);
  }

  /** The number of the event loop's present turn, as far as calls go. */
  turn(): number {
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.#nextTurn());
    }
    return this.#turn;
  }

  /** The connection has calls that wait for another turn. */
  holds(connection: Connection): void {
    this.#holding.add(connection);
  }

  #nextTurn(): void {
    this.#scheduled = false;
    this.#turn++;
    for (const connection of [...this.#holding]) if (connection.release()) this.#holding.delete(connection);
    if (this.#holding.size > 0) this.turn();
  }
}

/** One connection, as far as its peer's conduct goes. */
export class Connection {
  readonly #door: Conduct;
  readonly #measures: Measures;
  /** Calls that may still be refused. */
  #credit: number;
  #atMs = 0;
  #turn = -1;
  #started = 0;
  #unsent = 0;
  #held: (() => void)[] | undefined;
  /** Calls that have begun and not ended. */
  #working = 0;
  #good = false;
  #suspected = false;
  /** Whether its peer has been sent away. */
  sentAway = false;

  /** The peer's, without its port. */
  readonly address: string;
  /** The same as limits count it: see `networkOf`. */
  readonly network: string;

  constructor(door: Conduct, address: string, measures: (connection: Connection) => Measures) {
    this.#door = door;
    this.address = address;
    this.network = networkOf(address);
    this.#measures = measures(this);
    this.#credit = door.bounds.refusedBurst;
    if (door.isStrict(this.network)) this.#suspect();
  }

  /**
   * Undefined: a call may begin at once. Else it may when this resolves: in a later turn of the event loop, so that the others
   * have theirs, or when the peer has taken some of what it was answered. `ended` must follow.
   */
  enter(): Promise<void> | undefined {
    this.#working++;
    this.#count();
    if (this.#held === undefined && this.#mayStart()) return undefined;
    this.#held ??= [];
    this.#door.holds(this);
    return new Promise((resolve) => this.#held?.push(resolve));
  }

  /** Starts what may start now of what is held. @returns whether nothing waits for another turn */
  release(): boolean {
    while (this.#held !== undefined) {
      if (this.#unsent >= this.#door.bounds.maxUnsentBytes) return true; // `sent` goes on
      this.#count();
      if (!this.#mayStart()) return false;
      this.#held.shift()?.();
      if (this.#held.length === 0) this.#held = undefined;
    }
    return true;
  }

  /** A call has its answer, or its refusal. @param isWatch past a limit it counts against the connection, not the address */
  ended(refusal: Refusal | undefined, isWatch = false): void {
    this.#working--;
    if (refusal !== undefined) {
      if (isAvoidable(refusal)) this.refused(isWatch && refusal.code === Code.RESOURCE_EXHAUSTED);
      return;
    }
    this.#good = true;
    const { refusedBurst } = this.#door.bounds;
    if (this.#credit < refusedBurst) this.#credit = Math.min(refusedBurst, this.#credit + GOOD_FOR);
  }

  /** A call was refused that its peer need not have made, or was taken back at once. @param alone whether its address is spared */
  refused(alone = false): void {
    const nowMs = Date.now();
    const { refusedBurst, refusedPerSecond } = this.#door.bounds;
    if (!alone) this.#door.refused(this.network);
    const most = this.#door.isStrict(this.network) ? Math.ceil(refusedBurst * STRICT_PART) : refusedBurst;
    const earned = this.#atMs === 0 ? 0 : ((nowMs - this.#atMs) / 1_000) * refusedPerSecond;
    this.#credit = Math.min(most, this.#credit + earned) - 1;
    this.#atMs = nowMs;
    if (!this.#suspected && this.#credit <= refusedBurst - SUSPECT_AFTER) this.#suspect();
    if (this.#credit >= 0 || this.sentAway) return;
    this.sentAway = true;
    this.#measures.sendAway(this.#good || this.#working > 0);
  }

  /** So many bytes of an answer are about to be sent. */
  sending(bytes: number): void {
    this.#unsent += bytes;
  }

  /** They were sent, or never will be. */
  sent(bytes: number): void {
    this.#unsent -= bytes;
    if (this.#held === undefined) return;
    this.#door.holds(this);
    this.#door.turn();
  }

  #suspect(): void {
    this.#suspected = true;
    this.#measures.defer();
  }

  #count(): void {
    const turn = this.#door.turn();
    if (turn === this.#turn) return;
    this.#turn = turn;
    this.#started = 0;
  }

  /** Counts a call as started when one may start in this turn. */
  #mayStart(): boolean {
    const { callsInATurn, maxUnsentBytes } = this.#door.bounds;
    if (this.#unsent >= maxUnsentBytes || this.#started >= callsInATurn) return false;
    this.#started++;
    return true;
  }
}

/** Whether a refusal is one that a peer can avoid: it knows its credential, its limits and the contracts. */
function isAvoidable({ code, reason }: Refusal): boolean {
  if (reason === ErrorReason.OVERLOADED) return false;
  if (reason === ErrorReason.MESSAGE_MALFORMED) return true;
  return code === Code.RESOURCE_EXHAUSTED || code === Code.UNAUTHENTICATED || code === Code.UNIMPLEMENTED;
}
