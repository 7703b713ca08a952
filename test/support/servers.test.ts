import { connect } from "nats";
import { Client } from "pg";
import { expect, test } from "vitest";
import { startNats } from "./nats.ts";
import { startPostgres15 } from "./postgres15.ts";

test("a NATS server starts, passes a message, dies and comes back on its port", { timeout: 120_000 }, async () => {
  const first = await startNats();
  const client = await connect({ servers: first.url, reconnectTimeWait: 20, maxReconnectAttempts: -1 });
  const messages = client.subscribe("hint", { max: 2 });
  client.publish("hint", "one");
  await client.flush();
  const changes = client.status(); // from before the change that is waited for
  await first.kill();
  const second = await startNats({ port: first.port });
  expect(second.url).toBe(first.url);
  expect(second.pid).not.toBe(first.pid);
  for await (const { type } of changes) if (type === "reconnect") break;
  client.publish("hint", "two");
  const received: string[] = [];
  for await (const message of messages) received.push(message.string());
  expect(received).toEqual(["one", "two"]);
  await client.close();
  await second.stop();
});

test("a second NATS server on the same port says why it cannot start", { timeout: 120_000 }, async () => {
  const first = await startNats();
  await expect(startNats({ port: first.port })).rejects.toThrow(/address already in use/);
  await first.stop();
});

test("a Postgres 15 starts empty", { timeout: 120_000 }, async () => {
  const server = await startPostgres15();
  const client = new Client(server.url());
  await client.connect();
  const { rows } = await client.query<{ server_version: string }>("show server_version");
  expect(rows[0]?.server_version).toMatch(/^15\./);
  await client.end();
  await server.stop();
});
