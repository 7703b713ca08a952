import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

/** What an instance may take to drain (LEADLINE_DRAIN_TIMEOUT_MS), and to end after that. */
const END_MS = 15_000;

/** Asks a child to end, waits for it, and kills it if it has not ended after 15 s. Does nothing if it has ended already. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  await endsInTime(child, signal);
}

/** The same. @returns whether it ended without being killed for it */
export async function endsInTime(child: ChildProcess, signal: NodeJS.Signals): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null) return true;
  let isInTime = true;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  const timer = setTimeout(() => {
    isInTime = false;
    child.kill("SIGKILL");
  }, END_MS);
  await gone;
  clearTimeout(timer);
  return isInTime;
}

/**
 * Calls `attempt` every 20 ms until it returns something, and returns that. Throws an `Error` with the words of `explain` if
 * the child ends first, or after 30 s.
 */
export async function whenUp<T>(child: ChildProcess, attempt: () => Promise<T | undefined>, explain: () => string) {
  let failure: Error | undefined;
  child.once("error", (error) => {
    failure = error;
  });
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) {
    const result = await attempt();
    if (result !== undefined) return result;
    if (failure || child.exitCode !== null || child.signalCode !== null) break;
  }
  throw new Error(`${child.spawnfile} did not start: ${failure?.message ?? explain()}`);
}
