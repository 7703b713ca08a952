import { describe, onTestFinished } from "vitest";
import { describeBus } from "../bus/contract.ts";
import { SimulatedBus, Wire } from "./bus.ts";
import { Coverage } from "./coverage.ts";
import { ProcessClock } from "./process-clock.ts";
import { Scheduler } from "./scheduler.ts";

/* The simulated bus does what real ones do, or what the simulation shows would say nothing of them. */

/** Longer than anything is under way while the weather is fair, milliseconds of simulated time. */
const ALL_MS = 10;

describe("the simulated bus", () => {
  let scheduler = new Scheduler(1);

  describeBus(
    async () => {
      scheduler = new Scheduler(1);
      const wire = new Wire(scheduler, new Coverage(), 65_536);
      let going = true;
      onTestFinished(() => {
        going = false;
      });
      const go = async (): Promise<void> => {
        await scheduler.run(scheduler.nowMs + 1);
        if (going) setImmediate(go);
      };
      void go();
      const end = () => new SimulatedBus(wire, new ProcessClock(scheduler, 0));
      return { one: end(), two: end() };
    },
    async () => {
      const until = scheduler.nowMs + ALL_MS;
      while (scheduler.nowMs < until) await new Promise((resolve) => void setImmediate(resolve));
    },
  );
});
