import { Socket } from "node:net";
import { Client } from "pg";
import { type Answer, Flight, type PreparedNames, type Statement } from "./flight.ts";
import { MessageSocket } from "./message-socket.ts";

export interface ConnectionOptions {
  readonly url: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Planner and other settings of the session, by name. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Postgres ends a statement that runs longer. Default 5,000. */
  readonly statementTimeoutMs?: number;
  /** Postgres ends a wait for a lock that takes longer. Default 2,000. */
  readonly lockTimeoutMs?: number;
  /** Postgres ends the session when it sits in a transaction for longer: a stopped instance lets go. Default 1,000. */
  readonly idleInTransactionTimeoutMs?: number;
  /** How long connecting may take. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** How long an answer may take before the connection is given up. Default 15,000. */
  readonly answerTimeoutMs?: number;
}

/** How long the database may take to end a connection that is idle, milliseconds. */
const END_MS = 2_000;

/** The connection broke, or was not there: whether the last statements took effect is not known. */
export class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super(`connection to the database lost: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "ConnectionLost";
  }
}

/**
 * One connection on which statements are sent in flights: all at once, without waiting for the answers between them. It
 * connects when it is first used and again after it broke. Flights may follow each other into the air.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #client: Client | undefined;
  #prepared: PreparedNames = new Set();
  #connecting: Promise<Client> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /**
   * Sends the statements together and waits for all answers. Rejects with the first statement's error (a pg DatabaseError),
   * those after it were not run, and the connection is ready for the next flight; or with ConnectionLost.
   *
   * @param continues it belongs into the transaction that the flight before it has begun: when that session is gone, it is
   *   ConnectionLost and nothing is sent, for on a new one every statement would stand alone
   */
  async flight(statements: readonly Statement[], continues = false): Promise<readonly Answer[]> {
    if (continues && !this.#client) throw new ConnectionLost(new Error("the session ended inside its transaction"));
    const client = this.#client ?? (await this.#connected());
    const flight = new Flight(statements, this.#prepared);
    client.query(flight);
    const limit = this.#options.answerTimeoutMs ?? 15_000;
    const timer = setTimeout(() => streamOf(client).destroy(), limit); // the answers reject when the socket closes
    try {
      return await flight.answers;
    } catch (error) {
      throw this.#classify(client, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives the connection up; the next flight makes a new one. Postgres rolls back what was open. */
  discard(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client) streamOf(client).destroy();
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (!client) return;
    // A peer that is gone without a word does not end the connection for its part.
    const timer = setTimeout(() => streamOf(client).destroy(), END_MS);
    await client.end().finally(() => clearTimeout(timer));
  }

  /** Flights that come while it connects wait for the same connection. */
  #connected(): Promise<Client> {
    this.#connecting ??= this.#connect();
    return this.#connecting;
  }

  async #connect(): Promise<Client> {
    const o = this.#options;
    const client = new Client({
      connectionString: o.url,
      application_name: o.applicationName,
      options: Object.entries(o.settings ?? {})
        .map(([name, value]) => `-c ${name}=${value}`)
        .join(" "),
      pipeline: true,
      stream: socketFor,
      statement_timeout: o.statementTimeoutMs ?? 5_000,
      lock_timeout: o.lockTimeoutMs ?? 2_000,
      idle_in_transaction_session_timeout: o.idleInTransactionTimeoutMs ?? 1_000,
      connectionTimeoutMillis: o.connectTimeoutMs ?? 5_000,
      keepAlive: true,
    });
    client.on("error", () => this.#drop(client)); // the flights in the air, if any, are told by their own rejections
    client.on("end", () => this.#drop(client));
    try {
      await client.connect();
    } catch (error) {
      throw new ConnectionLost(error);
    } finally {
      this.#connecting = undefined;
    }
    this.#client = client;
    this.#prepared = new Set();
    return client;
  }

  #drop(client: Client): void {
    if (this.#client === client) this.#client = undefined;
  }

  /** An error with an SQLSTATE is the statement's own, unless the server ended the session with it (class 57P, 08). */
  #classify(client: Client, error: unknown): unknown {
    const state = sqlState(error);
    if (state !== undefined && !state.startsWith("08") && !state.startsWith("57P") && !state.startsWith("25P03")) {
      return error;
    }
    this.#drop(client);
    streamOf(client).destroy();
    return new ConnectionLost(error);
  }
}

/** pg says whether it will speak TLS, which its types leave out. */
function socketFor(config?: { readonly ssl?: unknown }): Socket {
  return config?.ssl ? new Socket() : new MessageSocket();
}

/** The SQLSTATE of an error that Postgres answered; undefined: it is not one. */
export function sqlState(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith("E") ? code : undefined;
}

// pg's types leave the connection out; it is a documented property of Client all the same.
function streamOf(client: Client): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
}
