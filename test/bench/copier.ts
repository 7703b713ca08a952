/** The reference for catching up: a process that reads a COPY as fast as Node can, and counts the rows. */
import type { Socket } from "node:net";
import { Client } from "pg";
import { answer } from "./child.ts";

export type CopyQuestions = { copy: { asked: { url: string; tenant: string }; answered: { rows: number } } };

const COPY_DATA = 0x64;
const READY_FOR_QUERY = 0x5a;
const ERROR = 0x45;
/** What the binary form ends with: a row of its own, which is none. */
const TRAILER_ROWS = 1;

let connected: Promise<Client> | undefined;

async function connectOnce(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  return client;
}

answer<CopyQuestions>({
  copy: async ({ url, tenant }) => {
    connected ??= connectOnce(url);
    const client = await connected;
    // pg hands every row through its own parser; here the socket is read instead, which is faster.
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
    const readers = stream.listeners("data");
    stream.removeAllListeners("data");
    try {
      const sql = `copy (select payload from event where tenant_id = '${tenant}' and revision > 0 order by revision) to stdout (format binary)`;
      return { rows: (await copy(stream, sql)) - TRAILER_ROWS };
    } finally {
      stream.removeAllListeners("data");
      for (const reader of readers) stream.on("data", reader as (data: Buffer) => void);
    }
  },
});

/** Sends a simple query and counts the CopyData messages of the answer. Postgres sends a message for each row. */
function copy(stream: Socket, sql: string): Promise<number> {
  const query = Buffer.alloc(5 + sql.length + 1);
  query[0] = 0x51; // Query
  query.writeInt32BE(query.length - 1, 1);
  query.write(sql, 5, "latin1");
  return new Promise((resolve, reject) => {
    let rows = 0;
    let rest: Buffer | undefined;
    stream.on("data", (data: Buffer) => {
      const bytes = rest ? Buffer.concat([rest, data]) : data;
      let at = 0;
      while (bytes.length - at >= 5) {
        const next = at + 1 + bytes.readInt32BE(at + 1);
        if (next > bytes.length) break;
        if (bytes[at] === COPY_DATA) rows += 1;
        if (bytes[at] === READY_FOR_QUERY) resolve(rows);
        if (bytes[at] === ERROR) reject(new Error(`COPY: ${bytes.subarray(at + 5, next).toString("latin1")}`));
        at = next;
      }
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    });
    stream.write(query);
  });
}
