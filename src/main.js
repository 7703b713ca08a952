#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node
import { enableCompileCache } from "node:module";
import { join } from "node:path";

// Types are stripped and code is compiled once, not by every command. Beside what is installed, and not in a folder for all.
// This file comes before the cache: in TypeScript it would have each command load the stripper, a seventh of its start.
enableCompileCache(join(import.meta.dirname, "../node_modules/.cache/leadline"));

const { run } = await import("./cli/main.ts");
await run(process.argv);
