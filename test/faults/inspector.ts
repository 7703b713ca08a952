import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** What a process takes at one moment. Sizes are in bytes. */
export interface Sample {
  /** Of JavaScript, right after garbage was collected. */
  readonly heap: number;
  /** Memory outside of it that belongs to it: buffers. */
  readonly external: number;
  /** What the process has of memory that is no file: what the next two are parts of, and what `native` is the rest of. */
  readonly rss: number;
  /** What JavaScript's heap takes of the system, garbage and room included. */
  readonly heapTotal: number;
  /** Memory that is neither: of the runtime and of malloc, what it holds back for later included. */
  readonly native: number;
  /** What keeps the event loop busy: sockets, timers, servers, requests. */
  readonly handles: number;
  readonly files: number;
  readonly connections: number;
}

interface Answer {
  readonly id?: number;
  readonly result?: { readonly result?: { readonly value?: unknown } };
  readonly error?: { readonly message: string };
}

/** A look into a Node process that was started with `--inspect`, through the debugger's protocol. */
export class Inspector {
  readonly #pid: number;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  #next = 1;

  private constructor(pid: number, socket: WebSocket) {
    this.#pid = pid;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const answer = JSON.parse(String(data)) as Answer;
      const waiting = this.#waiting.get(answer.id ?? 0);
      this.#waiting.delete(answer.id ?? 0);
      if (answer.error) waiting?.reject(new Error(answer.error.message));
      else waiting?.resolve(answer);
    });
    socket.addEventListener("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the process has gone"));
    });
  }

  /** @param words what the process wrote when it started: it says where it can be looked into */
  static async open(pid: number, words: string): Promise<Inspector> {
    const url = /Debugger listening on (ws:\S+)/.exec(words)?.[1];
    if (url === undefined) throw new Error("the process does not say where its debugger listens");
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", () => reject(new Error(`${url} does not answer`)), { once: true });
    });
    return new Inspector(pid, socket);
  }

  /** Collects garbage and looks. */
  async sample(): Promise<Sample> {
    // What finalizers let go of in the first pass is collected in the second.
    for (let i = 0; i < 2; i += 1) await this.#ask("HeapProfiler.collectGarbage");
    const expression = "JSON.stringify([process.memoryUsage(), process.getActiveResourcesInfo().length])";
    const { result } = await this.#ask("Runtime.evaluate", { expression, returnByValue: true });
    const [memory, handles] = JSON.parse(String(result?.result?.value)) as [NodeJS.MemoryUsage, number];
    const files = filesOf(this.#pid);
    const rss = anonymousOf(this.#pid);
    return {
      heap: memory.heapUsed,
      external: memory.external,
      rss,
      heapTotal: memory.heapTotal,
      native: rss - memory.heapTotal - memory.external,
      handles,
      files: files.length,
      connections: files.filter((name) => name.startsWith("socket:")).length,
    };
  }

  close(): void {
    this.#socket.close();
  }

  #ask(method: string, params: object = {}): Promise<Answer> {
    const id = this.#next++;
    const waiting = Promise.withResolvers<Answer>();
    this.#waiting.set(id, waiting);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return waiting.promise;
  }
}

/** Bytes of memory that a process has, but for what files back: pages of the program come and go with the machine's mood. */
function anonymousOf(pid: number): number {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

/** What the open files of a process lead to. */
function filesOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(`${folder}/${name}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
}
