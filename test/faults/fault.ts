import { setTimeout as sleep } from "node:timers/promises";
import type { Run } from "./run.ts";

/** One kind of bad day. */
export interface Fault {
  readonly name: string;
  /** Faults of different lanes happen at the same time; those of one come one after the other. */
  readonly lane: "servers" | "bus";
  /** Brings it about and mends it. @returns how often it happened: 0, if the moment for it did not come */
  happen(run: Run): Promise<number>;
}

/** Resolves when the moment has come, or with false after a time. */
export function within(ms: number, moment: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(false), ms);
    moment.then(
      () => {
        clearTimeout(timer);
        resolve(true);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

/** Looks again and again; false: it did not come to be in time. */
export async function comesToBe(ms: number, holds: () => boolean | Promise<boolean>): Promise<boolean> {
  for (const deadline = Date.now() + ms; Date.now() < deadline; await sleep(20)) if (await holds()) return true;
  return false;
}
