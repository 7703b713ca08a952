import { expect, test } from "vitest";
import { AheadRoom, ReadAhead } from "../../src/watch/read-ahead.ts";
import { FakeClock } from "./fake-clock.ts";

const page = (name: string) => () => Promise.resolve(name);

test("a page that was read ahead is taken once, by its reader, and only where it follows", async () => {
  const ahead = new ReadAhead<string, string>(new FakeClock(), new AheadRoom(2), 1_000);
  ahead.begin("a", 5n, page("after 5"));
  expect(ahead.take("b", 5n)).toBeUndefined();
  expect(await ahead.take("a", 5n)).toBe("after 5");
  expect(ahead.take("a", 5n)).toBeUndefined();
  ahead.begin("a", 6n, page("after 6"));
  expect(ahead.take("a", 7n)).toBeUndefined();
  expect(ahead.take("a", 6n)).toBeUndefined();
});

test("where there is no room nothing is read, and what is taken, dropped or late gives its room back", async () => {
  const clock = new FakeClock();
  const ahead = new ReadAhead<string, string>(clock, new AheadRoom(1), 1_000);
  ahead.begin("a", 1n, page("a"));
  ahead.begin("b", 1n, () => Promise.reject(new Error("is not read")));
  expect(ahead.take("b", 1n)).toBeUndefined();
  ahead.drop("a");
  ahead.drop("a");
  ahead.begin("b", 1n, page("b"));
  await clock.advance(1_000);
  expect(ahead.take("b", 1n)).toBeUndefined();
  ahead.begin("a", 2n, page("again"));
  expect(await ahead.take("a", 2n)).toBe("again");
});
