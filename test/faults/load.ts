/** What a soak did to the instances whose flatness it judges. */
export interface Load {
  readonly minutes: number;
  /** Commands that were answered. */
  readonly commands: number;
  /** Events that watchers were told. */
  readonly events: number;
  /** Streams that watchers opened beside their first ones. */
  readonly reconnects: number;
}

/** What there must be of each in a minute at least: a tenth of what two cores do. Whatever stands still is flat. */
export const LEAST_A_MINUTE = { commands: 1_100, events: 7_600, reconnects: 30 } as const;

const NAMES = {
  commands: "commands answered",
  events: "events told",
  reconnects: "reconnects",
} as const satisfies Record<keyof typeof LEAST_A_MINUTE, string>;

/** Why a soak has shown nothing, a line each; empty: it had its load. */
export function missingLoad(load: Load): string[] {
  return (Object.keys(LEAST_A_MINUTE) as (keyof typeof LEAST_A_MINUTE)[]).flatMap((what) => {
    const least = Math.ceil(LEAST_A_MINUTE[what] * load.minutes);
    if (load[what] >= least) return [];
    return [
      `${load[what]} ${NAMES[what]} in ${load.minutes} minutes are too few to show anything: ${least} are expected`,
    ];
  });
}
