import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What this process uses when everything that can be collected is. */
export async function collectedMemory(): Promise<NodeJS.MemoryUsage> {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  // Again after a turn: finalizers free what the time before has found.
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage();
}
