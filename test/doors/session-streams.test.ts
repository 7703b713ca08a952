import { once } from "node:events";
import {
  type ClientHttp2Stream,
  connect,
  createServer,
  type Http2Server,
  type Http2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepStreamsByNumber } from "../../src/doors/session-streams.ts";

let server: Http2Server;
const sessions: Http2Session[] = [];
beforeEach(() => {
  server = createServer().on("session", (session) => void sessions.push(session));
});
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
  server.close();
});

/** A session that has its streams by number from its first stream on, as both doors have them. */
async function opened(): Promise<{ ask(): ClientHttp2Stream; session: Http2Session; streams: ServerHttp2Stream[] }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  sessions.push(client);
  const streams: ServerHttp2Stream[] = [];
  const kept = new Set<Http2Session>();
  server.on("stream", (stream) => {
    streams.push(stream);
    const { session } = stream;
    if (session === undefined || kept.has(session)) return;
    expect(keepStreamsByNumber(session)).toBe(true);
    // A second time there is no Map any more.
    expect(keepStreamsByNumber(session)).toBe(false);
    kept.add(session);
  });
  const ask = () => client.request({ ":method": "POST" });
  const first = ask();
  await once(server, "stream");
  first.end();
  return { ask, session: sessions.find((one) => one !== client) ?? expect.fail("no session"), streams };
}

test("a session that has its streams by number answers each of them, and ends by itself when the last is closed", async () => {
  const { ask, session, streams } = await opened();
  const asked = Array.from({ length: 100 }, ask);
  for (const one of asked) one.end("a request");
  await expect.poll(() => streams.length).toBe(101);
  session.close();
  for (const [i, stream] of streams.entries()) {
    expect(session.closed && !session.destroyed, `before stream ${i} is answered`).toBe(true);
    stream.respond({ ":status": 200 });
    stream.end(String(i));
    stream.resume();
  }
  const answers = asked.map(async (one) => {
    let text = "";
    for await (const chunk of one) text += String(chunk);
    return text;
  });
  expect(await Promise.all(answers)).toEqual(asked.map((_, i) => String(i + 1)));
  await expect.poll(() => session.destroyed).toBe(true);
});

test("a session that is destroyed closes all its streams", async () => {
  const { ask, session, streams } = await opened();
  for (let i = 0; i < 10; i++) ask().on("error", () => undefined);
  await expect.poll(() => streams.length).toBe(11);
  for (const stream of streams) stream.on("error", () => undefined);
  session.destroy();
  await expect.poll(() => streams.filter(({ destroyed }) => destroyed)).toHaveLength(11);
});
