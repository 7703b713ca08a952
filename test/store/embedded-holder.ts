/** A process that serves an embedded Postgres until it is killed: `node embedded-holder.ts DIRECTORY`. Prints pid and port. */
import { startEmbedded } from "../../src/store/embedded.ts";

const server = await startEmbedded({ directory: process.argv[2] ?? "", durable: false });
process.stdout.write(`${JSON.stringify({ pid: server.pid, port: server.port })}\n`);
await server.lost;
