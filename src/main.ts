#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node
import { run } from "./cli/main.ts";

await run(process.argv);
