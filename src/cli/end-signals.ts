import { Exit } from "./cli-error.ts";

/** What follows the first signal so soon is its echo: npm passes on the Ctrl-C that the terminal has sent to us as well. */
const echoMs = 500;

/**
 * Calls `end` at the first SIGINT or SIGTERM, from now on for as long as the process runs. A later one ends the process at
 * once, with 130.
 */
export function onEndSignal(end: () => void): void {
  let askedAtMs: number | undefined;
  const asked = (): void => {
    if (askedAtMs !== undefined) {
      if (performance.now() - askedAtMs > echoMs) process.exit(Exit.INTERRUPTED);
      return;
    }
    askedAtMs = performance.now();
    end();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, asked);
}
