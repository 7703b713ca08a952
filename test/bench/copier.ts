/** The reference for catching up: a process that reads a COPY as fast as Node can, and counts the rows. */
import { Socket } from "node:net";
import { Client } from "pg";
import { answer } from "./child.ts";

export type CopyQuestions = { copy: { asked: { url: string; tenant: string }; answered: { rows: number } } };

const COPY_DATA = 0x64;
const READY_FOR_QUERY = 0x5a;
/** The type of a message and its length, which counts itself. */
const HEAD = 5;
const ERROR = 0x45;
/** What the binary form ends with: a row of its own, which is none. */
const TRAILER_ROWS = 1;

/** What is read: each piece is done with before the next is read into it, as the watchers of the other side read theirs. */
const pieces = Buffer.allocUnsafeSlow(1 << 18);
/** Whoever reads now. pg, while it connects, keeps something of what it reads. */
let take = (bytes: Buffer): void => void socket.emit("data", Buffer.from(bytes));
const callback = (length: number) => {
  take(pieces.subarray(0, length));
  return true;
};
const socket = new Socket({ onread: { buffer: pieces, callback } });
let connected: Promise<unknown> | undefined;

answer<CopyQuestions>({
  copy: async ({ url, tenant }) => {
    connected ??= new Client({ connectionString: url, stream: () => socket }).connect();
    await connected;
    // pg hands every row through its own parser; here the socket is read instead, which is faster.
    const sql = `copy (select payload from event where tenant_id = '${tenant}' and revision > 0 order by revision) to stdout (format binary)`;
    return { rows: (await copy(sql)) - TRAILER_ROWS };
  },
});

/** Sends a simple query and counts the CopyData messages of the answer. Postgres sends a message for each row. */
function copy(sql: string): Promise<number> {
  const query = Buffer.alloc(5 + sql.length + 1);
  query[0] = 0x51; // Query
  query.writeInt32BE(query.length - 1, 1);
  query.write(sql, 5, "latin1");
  return new Promise((resolve, reject) => {
    let rows = 0;
    // Of the message that is being read: its type and length, and the bytes that are to come.
    const head = Buffer.alloc(HEAD);
    let have = 0;
    let left = 0;
    take = (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        if (have < HEAD) {
          const copied = bytes.copy(head, have, at, at + HEAD - have);
          have += copied;
          at += copied;
          if (have === HEAD) left = head.readInt32BE(1) - 4;
        }
        const passed = Math.min(left, bytes.length - at);
        if (head[0] === ERROR && passed > 0) reject(new Error(`COPY: ${bytes.toString("latin1", at, at + passed)}`));
        at += passed;
        left -= passed;
        if (have < HEAD || left > 0) continue;
        have = 0;
        if (head[0] === COPY_DATA) rows += 1;
        if (head[0] === READY_FOR_QUERY) resolve(rows);
      }
    };
    socket.write(query);
  });
}
