import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { SubjectKind } from "../domain/subject.ts";
import { Connection, type ConnectionOptions } from "../store/connection.ts";
import { GroupCommit } from "./group-commit.ts";
import type { GroupCommitOptions } from "./group-commit-options.ts";
import type { Command, Journal } from "./journal.ts";
import { Reader, type ReaderOptions } from "./reader.ts";
import { type Rewrite, Rewriter } from "./rewriter.ts";
import { WRITER_SETTINGS } from "./sql.ts";

export interface JournalOptions extends GroupCommitOptions, ReaderOptions {
  /** Where the journal is; a login that owns nothing and is a member of `leadline_app`. */
  readonly connection: Omit<ConnectionOptions, "applicationName">;
  /** Connections for reading. Default 3. */
  readonly readers?: number;
}

/** The journals of all tenants in one Postgres: a connection that writes, one that waits for heads, a few that read. */
export class PostgresJournal extends Reader implements Journal {
  readonly #commit: GroupCommit;
  readonly #rewriter: Rewriter;

  constructor(options: JournalOptions) {
    const reader = () => new Connection({ ...options.connection, applicationName: "leadline read" });
    super(Array.from({ length: options.readers ?? 3 }, reader), options);
    const writer = { ...options.connection, applicationName: "leadline write", settings: WRITER_SETTINGS };
    this.#commit = new GroupCommit(() => new Connection(writer), this.flows, options);
    // It is seldom used, and connects then.
    const rewriting = { ...options.connection, applicationName: "leadline rewrite" };
    this.#rewriter = new Rewriter(new Connection(rewriting), this.flows, options);
  }

  /** Commands that wait to be committed. */
  get queued(): number {
    return this.#commit.queued;
  }

  submit<O extends DescMessage>(command: Command<O>): Promise<MessageShape<O>> {
    return this.#commit.submit(command);
  }

  /** See `Rewriter.naming`. */
  naming(tenant: string, kind: SubjectKind, ids: readonly string[], text: string): Promise<string[]> {
    return this.#rewriter.naming(tenant, kind, ids, text);
  }

  /** Carries out a command that rewrites its subject's history. */
  rewrite<O extends DescMessage>(rewrite: Rewrite<O>): Promise<MessageShape<O>> {
    return this.#rewriter.rewrite(rewrite);
  }

  /** Finishes what was submitted, then lets go of the database. */
  override async close(): Promise<void> {
    await this.#commit.close();
    await this.#rewriter.close();
    await super.close();
  }
}
