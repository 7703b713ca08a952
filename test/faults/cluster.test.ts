import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Cluster } from "./cluster.ts";
import { comesToBe } from "./fault.ts";

test("an instance that ends by itself is a violation; one that was killed, or asked to end, is none", async () => {
  const wrong: string[] = [];
  await using cluster = await Cluster.start(1, (validator, who, what) => wrong.push(`${validator}: ${who}: ${what}`));
  const [member] = cluster.members;
  if (!member) return expect.fail("there is no instance");
  await member.expectSound();
  member.signal("SIGKILL");
  await member.kill();
  await member.start();
  await member.stop();
  await member.start();
  await sleep(500);
  expect(wrong).toEqual([]);

  process.kill(member.pid ?? expect.fail("it does not run"), "SIGKILL");
  expect(await comesToBe(5_000, () => wrong.length > 0)).toBe(true);
  expect(wrong).toEqual([expect.stringMatching(/^crash: instance A: its process ended by itself/)]);

  // Nor do its metrics say any more that no wall was about to be crossed.
  await member.expectSound();
  expect(wrong.at(-1)).toMatch(/^walls: instance A: its metrics cannot be read/);
}, 120_000);
