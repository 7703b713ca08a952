/**
 * Loaded into a server's process before it starts (`node --import`): answers on the socket that BENCH_PROBE names what only
 * the process itself can say. It costs nothing until it is asked.
 */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { Session } from "node:inspector/promises";
import { collectedMemory } from "./memory.ts";

const session = new Session();

const answers: Record<string, (argument: string) => unknown> = {
  "/memory": collectedMemory,
  "/profile/start": async () => {
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 500 });
    await session.post("Profiler.start");
  },
  "/profile/stop": async (file) => {
    const { profile } = await session.post("Profiler.stop");
    writeFileSync(file, JSON.stringify(profile));
    session.disconnect();
  },
};

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? "/", "http://probe");
  const said = await answers[url.pathname]?.(url.searchParams.get("file") ?? "");
  response.end(JSON.stringify(said ?? {}));
});
server.listen(process.env.BENCH_PROBE);
server.unref();
