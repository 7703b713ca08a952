import { expect, test } from "vitest";
import { repeatedly } from "../../src/cli/repeatedly.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { Status } from "../../src/client/status.ts";

const away = new LeadlineError(Status.UNAVAILABLE, "gone", { retryAfterMs: 1 });

test("a call is made again while the service is away", async () => {
  let calls = 0;
  const call = async (): Promise<string> => {
    calls += 1;
    if (calls < 3) throw away;
    return "answer";
  };
  expect(await repeatedly(call, new AbortController().signal)).toBe("answer");
  expect(calls).toBe(3);
});

test.each([
  ["in the pause", 60_000],
  ["in the call", 0],
])("an interruption %s is the end: it is not made again", async (_, pauseMs) => {
  const stop = new AbortController();
  let calls = 0;
  const call = async (): Promise<never> => {
    calls += 1;
    if (pauseMs === 0) stop.abort();
    else setImmediate(() => stop.abort());
    throw new LeadlineError(Status.UNAVAILABLE, "gone", { retryAfterMs: pauseMs });
  };
  await expect(repeatedly(call, stop.signal)).rejects.toMatchObject({ code: Status.CANCELLED });
  expect(calls).toBe(1);
});
