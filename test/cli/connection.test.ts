import { expect, test } from "vitest";
import { resolveConnection } from "../../src/cli/connection.ts";
import { keyNow } from "../../src/client/key.ts";

test.each(["lead_owner_a\nlead_owner_b", "lead_owner_a lead_owner_b", "lead_owner_\u00e9"])(
  "a key that is not one word is refused, and not shown: %j",
  (key) => {
    const refused = [
      () => resolveConnection({ key }, {}),
      () => resolveConnection({}, { LEADLINE_KEY: key }),
      () => keyNow(key),
    ];
    for (const one of refused) {
      expect(one).toThrow(/one word/);
      expect(one).not.toThrow(/lead_/);
    }
  },
);

test("blanks and line ends around a key are not part of it", () => {
  expect(resolveConnection({}, { LEADLINE_KEY: " lead_owner_a\n" }).key).toBe("lead_owner_a");
  expect(keyNow(" lead_owner_a\n")).toBe("lead_owner_a");
});
