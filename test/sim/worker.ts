import { seamsOf } from "./broken.ts";
import { play } from "./world.ts";

/* Plays the seeds that it is sent, one at a time, of the variant that it is started with, and sends back what they came to. */

const [, , broken] = process.argv;

process.on("message", (seed: number) => {
  play(seed, seamsOf(broken)).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => {
      console.error(`seed ${seed}:`, error);
      process.exit(2);
    },
  );
});
