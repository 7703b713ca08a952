import { request } from "node:http";
import { text } from "node:stream/consumers";

/** What a process says of itself; see probe.ts. */
export interface Probe {
  /** Bytes, after garbage collections. */
  memory(): Promise<NodeJS.MemoryUsage>;
  startProfile(): Promise<void>;
  /** Writes what was sampled since as a `.cpuprofile`. */
  stopProfile(file: string): Promise<void>;
}

export function probeOf(socket: string): Probe {
  return {
    memory: async () => (await ask(socket, "/memory")) as NodeJS.MemoryUsage,
    startProfile: async () => void (await ask(socket, "/profile/start")),
    stopProfile: async (file) => void (await ask(socket, `/profile/stop?file=${encodeURIComponent(file)}`)),
  };
}

function ask(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path }, async (response) => {
      const said = await text(response);
      if (response.statusCode === 200) resolve(JSON.parse(said));
      else reject(new Error(`the probe answered ${response.statusCode}`));
    });
    asked.once("error", reject).end();
  });
}
