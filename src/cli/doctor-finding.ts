/** What one check found. */
export interface Finding {
  readonly check: string;
  readonly result: "ok" | "warn" | "fail";
  readonly message: string;
  /** What to do about it; only with `warn` and `fail`. */
  readonly advice?: string;
}

export function ok(check: string, message: string): Finding {
  return { check, result: "ok", message };
}

export function warn(check: string, message: string, advice: string): Finding {
  return { check, result: "warn", message, advice };
}

export function fail(check: string, message: string, advice: string): Finding {
  return { check, result: "fail", message, advice };
}
