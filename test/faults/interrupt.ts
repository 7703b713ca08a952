/**
 * Aborts when somebody asks the process to end. Who runs children ends them then, and the process ends by itself; it ends at
 * once when it is asked a second time.
 */
export function endOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(1);
      controller.abort(new Error(`ended by ${signal}`));
    });
  }
  return controller.signal;
}
