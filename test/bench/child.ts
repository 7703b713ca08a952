import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";

/*
 * The loads and the references run as processes of their own, so that what they cost is not the server's. They are asked
 * for one thing at a time over the channel that Node opens to a child.
 */

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** A child that answers questions. @typeParam Q its questions by name, each with what is asked and answered */
export interface Child<Q extends Questions> extends AsyncDisposable {
  readonly pid: number;
  ask<N extends keyof Q & string>(name: N, what: Q[N]["asked"]): Promise<Q[N]["answered"]>;
}

export type Questions = Record<string, { asked: unknown; answered: unknown }>;

/** Starts a file of this folder. It ends on disposal. */
export function startChild<Q extends Questions>(file: string, execArgv: readonly string[] = []): Child<Q> {
  const child = fork(join(import.meta.dirname, file), { execArgv: [...execArgv], serialization: "advanced" });
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let next = 0;
  child.on("message", (answer: Answer) => {
    const { resolve, reject } = waiting.get(answer.id) ?? {};
    waiting.delete(answer.id);
    if (answer.error === undefined) resolve?.(answer.value);
    else reject?.(new Error(`${file}: ${answer.error}`));
  });
  child.once("exit", (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${code ?? signal}`));
  });
  return {
    pid: child.pid ?? -1,
    ask: (name, what) =>
      new Promise((resolve, reject) => {
        const id = next++;
        // What a child answers to a question is what its own table of answers says, which has the same type.
        waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
        child.send({ id, name, what }, (error) => error && reject(error));
      }),
    [Symbol.asyncDispose]: () => ended(child),
  };
}

/** In a child: answers questions until the parent lets go. */
export function answer<Q extends Questions>(
  answers: {
    [N in keyof Q]: (what: Q[N]["asked"]) => Promise<Q[N]["answered"]> | Q[N]["answered"];
  },
): void {
  process.on("message", async ({ id, name, what }: { id: number; name: keyof Q; what: never }) => {
    try {
      process.send?.({ id, value: await answers[name](what) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.message : String(error) });
    }
  });
  process.once("disconnect", () => process.exit());
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}
