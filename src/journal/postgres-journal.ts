import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Connection, type ConnectionOptions } from "../store/connection.ts";
import { GroupCommit, type GroupCommitOptions } from "./group-commit.ts";
import type { Command, Journal } from "./journal.ts";
import { Reader, type ReaderOptions } from "./reader.ts";
import { WRITER_SETTINGS } from "./sql.ts";

export interface JournalOptions extends GroupCommitOptions, ReaderOptions {
  /** Where the journal is; a login that owns nothing and is a member of `leadline_app`. */
  readonly connection: Omit<ConnectionOptions, "applicationName">;
  /** Connections for reading. Default 3. */
  readonly readers?: number;
}

/** The journals of all tenants in one Postgres: one connection that writes, a few that read. */
export class PostgresJournal extends Reader implements Journal {
  readonly #commit: GroupCommit;

  constructor(options: JournalOptions) {
    const reader = () => new Connection({ ...options.connection, applicationName: "leadline read" });
    super(Array.from({ length: options.readers ?? 3 }, reader), options);
    const writer = { ...options.connection, applicationName: "leadline write", settings: WRITER_SETTINGS };
    this.#commit = new GroupCommit(new Connection(writer), options);
  }

  /** Commands that wait to be committed. */
  get queued(): number {
    return this.#commit.queued;
  }

  submit<O extends DescMessage>(command: Command<O>): Promise<MessageShape<O>> {
    return this.#commit.submit(command);
  }

  /** Finishes what was submitted, then lets go of the database. */
  override async close(): Promise<void> {
    await this.#commit.close();
    await super.close();
  }
}
