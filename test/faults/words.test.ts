import { expect, test } from "vitest";
import { breachesIn, graveIn } from "./words.ts";

const line = (level: number, msg: string) => JSON.stringify({ level, time: 1, pid: 2, msg });

test("what is fatal is grave, and an error that no fault explains", () => {
  const fatal = line(60, "a wall between readers was about to be crossed");
  const error = line(50, "stored bytes cannot be read; the watches are ended");
  expect(graveIn([line(30, "ready"), fatal, line(40, "NATS is gone"), error].join("\n"))).toEqual([fatal, error]);
});

test("a journal that was replaced or pruned is an error that the faults explain; it is never fatal", () => {
  const texts = [
    "the journal has another history; watches are reset",
    "the journal no longer has what follows; watches are reset",
  ];
  expect(graveIn(texts.map((text) => line(50, text)).join("\n"))).toEqual([]);
  expect(graveIn(texts.map((text) => line(60, text)).join("\n"))).toHaveLength(2);
});

test("what is no line of the log's, or half of one, is not judged", () => {
  expect(graveIn(`Debugger listening on ws://127.0.0.1:1\n${line(60, "x").slice(3)}\n\n7`)).toEqual([]);
});

test("breaches of walls are read from the metrics; metrics without them do not say that there were none", () => {
  const around = (text: string) => `# TYPE leadline_wall_breaches gauge\n${text}\nleadline_watchers_live 3\n`;
  expect(breachesIn(around("leadline_wall_breaches 0"))).toBe(0);
  expect(breachesIn(around("leadline_wall_breaches 2"))).toBe(2);
  expect(breachesIn(around(""))).toBeUndefined();
});
