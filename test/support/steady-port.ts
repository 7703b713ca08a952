import { readFileSync } from "node:fs";
import { createServer } from "node:net";

/** Where Linux begins to give out ports to those who ask for any; the default where it does not say. */
const GIVEN_FROM = Number(readIfThere("/proc/sys/net/ipv4/ip_local_port_range")?.split(/\s/)[0] ?? 32_768);
const LOWEST = 10_000;
const TRIES = 100;

/**
 * A port of 127.0.0.1 for a server that is ended and started again on it. It is not one of those that are given out to whoever
 * asks for any port, and to connections: such a one may be somebody else's while the server is away.
 */
export async function steadyPort(): Promise<number> {
  for (let i = 0; i < TRIES; i += 1) {
    const port = LOWEST + Math.floor(Math.random() * (GIVEN_FROM - LOWEST));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port between ${LOWEST} and ${GIVEN_FROM}`);
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
