import { describe, expect, test } from "vitest";
import { InProcessBus, Wire } from "../../src/bus/in-process.ts";
import { describeBus, eventsHeard, extensionOf } from "./contract.ts";

describe("the bus within one process", () => {
  describeBus(
    async () => {
      const wire = new Wire();
      return { one: new InProcessBus(wire), two: new InProcessBus(wire) };
    },
    async () => {},
  );

  test("tells nobody anything when the instance is alone", async () => {
    const bus = new InProcessBus();
    const { hints } = eventsHeard(bus, "t1");
    bus.publish(extensionOf("t1", 0n, 1));
    await new Promise((resolve) => void setImmediate(resolve));
    expect(hints).toEqual([]);
    expect(bus.stats()).toMatchObject({ connected: true, published: 1, received: 0 });
  });
});
