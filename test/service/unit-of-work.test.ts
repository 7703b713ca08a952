import { expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { forTenants, forTenantsAgain } from "../../src/service/unit-of-work.ts";
import { openOrm } from "../../src/store/orm.ts";
import { createTestDatabase } from "../support/database.ts";

test.each([
  ["one of two that wait for each other is told to come back", forTenants, ["fulfilled", "rejected"]],
  ["both of them get through where the work may be begun again", forTenantsAgain, ["fulfilled", "fulfilled"]],
])("%s", async (_what, within, ends) => {
  await using database = await createTestDatabase();
  const orm = await openOrm(database.appUrl);
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const work = (mine: number, other: number) =>
    within(orm, ["a"], async (em) => {
      await em.execute("select pg_advisory_xact_lock(?)", [mine]);
      gates[mine]?.resolve();
      await gates[other]?.promise;
      await em.execute("select pg_advisory_xact_lock(?)", [other]);
    });
  const outcomes = await Promise.allSettled([work(0, 1), work(1, 0)]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(ends);
  const refused = outcomes.filter((outcome) => outcome.status === "rejected").map((outcome) => outcome.reason.reason);
  expect(refused).toEqual(ends.includes("rejected") ? [ErrorReason.DATABASE_UNAVAILABLE] : []);
  await orm.close(true);
});
