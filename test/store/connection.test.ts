import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Connection, sqlState } from "../../src/store/connection.ts";
import { Fields, type Value } from "../../src/store/question.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let connection: Connection;

beforeAll(async () => {
  database = await createTestDatabase();
  connection = new Connection({ url: database.appUrl, applicationName: "test" });
});
afterAll(async () => {
  await connection.close();
  await database[Symbol.asyncDispose]();
});

async function stateOf(flight: Promise<unknown>): Promise<string | undefined> {
  return flight.then(
    () => undefined,
    (error: unknown) => sqlState(error),
  );
}

describe("parameters arrive as they were given", () => {
  const texts = ["", "a", "NULL", 'quote"', "back\\slash", "{brace,comma}", "Grüße", "荷物", "🚢", " \n\t"];
  const bytes = [new Uint8Array(), Uint8Array.of(0, 255, 92, 120), Buffer.alloc(5_000, 0xe9)];

  test.for(texts)("text %j", async (text) => {
    const [answer] = await connection.flight([{ text: "select $1::text, $2::text[]", values: [text, [text, "b"]] }]);
    expect(answer?.rows[0]?.[0]).toBe(text);
    const [elements] = await connection.flight([{ text: "select unnest($1::text[])", values: [[text, "b"]] }]);
    expect(elements?.rows).toEqual([[text], ["b"]]);
  });

  test("bytes, alone and in an array", async () => {
    const [answer] = await connection.flight([{ text: "select unnest($1::bytea[])", values: [bytes] }]);
    expect(answer?.rows.map((row) => new Fields(row).bytes())).toEqual(bytes.map((b) => Buffer.from(b)));
    const [single] = await connection.flight([{ text: "select $1::bytea", values: [bytes[1] ?? ""] }]);
    expect(new Fields(single?.rows[0] ?? []).bytes()).toEqual(Buffer.of(0, 255, 92, 120));
  });

  test("numbers, and arrays with nothing in them", async () => {
    const most = 9_223_372_036_854_775_807n;
    const values: Value[] = [-7, most, [1, -2], [most, 0n], []];
    const text = "select $1::int, $2::bigint, $3::smallint[], $4::bigint[], $5::text[]";
    const [answer] = await connection.flight([{ text, values }]);
    expect(answer?.rows).toEqual([["-7", String(most), "{1,-2}", `{${most},0}`, "{}"]]);
  });
});

describe("a flight", () => {
  test("answers each statement, with its rows and its command tag", async () => {
    const answers = await connection.flight([
      { name: "t-begin", text: "begin" },
      { text: "select generate_series(1, 3), null" },
      { text: "select 1 where false" },
      { name: "t-commit", text: "commit" },
    ]);
    expect(answers.map((a) => [a.command, a.rows])).toEqual([
      ["BEGIN", []],
      ["SELECT 3", ["1", "2", "3"].map((n) => [n, null])],
      ["SELECT 0", []],
      ["COMMIT", []],
    ]);
  });

  test("runs nothing after the statement that fails, and the connection goes on", async () => {
    const sequence = "t_after";
    await database.sql(`create sequence ${sequence}; grant all on sequence ${sequence} to public`);
    const next = { text: `select nextval('${sequence}')` };
    expect(await stateOf(connection.flight([next, { text: "select 1 / 0" }, next]))).toBe("22012");
    const [answer] = await connection.flight([next]);
    expect(answer?.rows).toEqual([["2"]]);
  });

  test("prepares anew what may not have been prepared because a statement failed", async () => {
    const failing = { name: "t-failing", text: "select 1 / $1::int", values: [0] };
    const behind = { name: "t-behind", text: "select 7" };
    expect(await stateOf(connection.flight([failing, behind]))).toBe("22012");
    const answers = await connection.flight([{ ...failing, values: [1] }, behind, behind]);
    expect(answers.map((a) => a.rows)).toEqual([[["1"]], [["7"]], [["7"]]]);
  });

  test("behind one that failed in a transaction fails too, and the one after a rollback does not", async () => {
    const [first, second, third] = await Promise.all([
      stateOf(connection.flight([{ name: "t-begin", text: "begin" }, { text: "select 1 / 0" }])),
      stateOf(
        connection.flight([
          { name: "t-begin", text: "begin" },
          { name: "t-late", text: "select 1" },
        ]),
      ),
      stateOf(connection.flight([{ name: "t-rollback", text: "rollback" }])),
    ]);
    expect([first, second, third]).toEqual(["22012", "25P02", undefined]);
    expect((await connection.flight([{ name: "t-late", text: "select 1" }]))[0]?.rows).toEqual([["1"]]);
  });
});
