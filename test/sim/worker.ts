import { play } from "./world.ts";

/* Plays the seeds that it is sent, one at a time, and sends back what they came to. */

process.on("message", (seed: number) => {
  play(seed).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => {
      console.error(`seed ${seed}:`, error);
      process.exit(2);
    },
  );
});
