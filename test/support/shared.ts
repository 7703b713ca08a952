import { afterAll } from "vitest";

/** What the tests of a file share: it is made before they begin and disposed of after the last, what was made last first. */
export async function shared<T extends AsyncDisposable>(making: Promise<T>): Promise<T> {
  const made = await making;
  afterAll(() => made[Symbol.asyncDispose]());
  return made;
}
