import type { Logger } from "pino";
import type { Bus } from "../bus/bus.ts";
import type { Positions } from "../wire/position.ts";
import type { WatchReader } from "./bounded-reader.ts";
import type { Buffered } from "./buffered.ts";
import type { Clock } from "./clock.ts";
import type { Counts } from "./counts.ts";
import type { HeadChecks } from "./head-checks.ts";
import type { WatchOptions } from "./options.ts";
import type { Permits } from "./permits.ts";
import type { AheadRoom } from "./read-ahead.ts";
import type { Turns } from "./turns.ts";
import type { Wheel } from "./wheel.ts";

/** What all hubs of an instance share. */
export interface HubParts {
  readonly reader: WatchReader;
  readonly bus: Bus;
  readonly positions: Positions;
  readonly clock: Clock;
  readonly options: WatchOptions;
  readonly log: Logger;
  readonly counts: Counts;
  readonly turns: Turns;
  readonly wheel: Wheel;
  readonly heads: HeadChecks;
  readonly catchUpReads: Permits;
  readonly aheadRoom: AheadRoom;
  readonly fillReads: Permits;
  /** Bytes that wait for readers that do not take them. */
  readonly buffered: Buffered;
  /** A watch of the hub is over. */
  readonly onLeave: () => void;
  /** A read failed; it is tried again. */
  readonly onFailure: (error: unknown) => void;
}
