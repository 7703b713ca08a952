import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { drawKey } from "../../src/service/api-key.ts";
import { signal } from "../../src/store/embedded-process.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { APP_LOGIN, TEMPLATE } from "../support/prepare-server.ts";
import { startProxy, type Proxy as TcpProxy } from "../support/proxy.ts";
import { steadyPort } from "../support/steady-port.ts";
import { Database } from "./database.ts";
import { breachesIn, graveIn } from "./words.ts";

/** The settings of all instances. Small bounds, so that a run of minutes comes to every one of them. */
const SETTINGS = {
  LEADLINE_LOG_LEVEL: "warn",
  LEADLINE_HEARTBEAT_MS: "2000",
  LEADLINE_RING_EVENTS: "256",
  LEADLINE_WATCH_MESSAGE_BYTES: "65536",
  LEADLINE_SLOW_READER_MS: "2000",
};
/** The names that bound how long one instance can hold up another: the defaults of the settings. */
export const LOCK_TIMEOUT_MS = 2_000;
export const HEARTBEAT_MS = 2_000;
/** A port on which nobody listens. */
const NOBODY = 1;
/** How often the logs are looked at: what is kept of them is the last. */
const LOOK_MS = 500;
const LAST_WORDS_MS = 100;
/** How long an instance may take to show its metrics. */
const METRICS_MS = 10_000;

/** Told of what must not be: a validator's name, whom it is about, and what it is. */
type OnWrong = (validator: string, who: string, what: string) => void;

/** One instance: its process, and the proxies before its doors and behind it. Its addresses stay over restarts. */
export class Member {
  readonly name: string;
  readonly release: string | undefined;
  readonly doors: { readonly grpc: TcpProxy; readonly http: TcpProxy };
  /** The ports of the doors themselves, for those who go without a proxy. */
  readonly ports: { readonly grpc: number; readonly http: number };
  /** Its ways to the database and to NATS. */
  readonly database: TcpProxy;
  readonly nats: TcpProxy;
  readonly #env: Record<string, string>;
  readonly #cluster: Cluster;
  #instance: Instance | undefined;
  #log = "";
  /** The process that was asked to end, or killed. */
  #asked: Instance | undefined;
  /** Lines of the logs that were told of. */
  readonly #told = new Set<string>();

  private constructor(
    name: string,
    release: string | undefined,
    proxies: { grpc: TcpProxy; http: TcpProxy; database: TcpProxy; nats: TcpProxy },
    ports: { readonly grpc: number; readonly http: number },
    cluster: Cluster,
  ) {
    this.#cluster = cluster;
    this.name = name;
    this.release = release;
    this.doors = proxies;
    this.database = proxies.database;
    this.nats = proxies.nats;
    this.ports = ports;
    this.#env = {
      ...SETTINGS,
      LEADLINE_GRPC_PORT: String(ports.grpc),
      LEADLINE_HTTP_PORT: String(ports.http),
      DATABASE_URL: `postgres://${APP_LOGIN.user}:${APP_LOGIN.password}@127.0.0.1:${this.database.port}/${TEMPLATE}`,
      NATS_URL: `nats://127.0.0.1:${this.nats.port}`,
      LEADLINE_OWNER_KEY: cluster.ownerKey,
      NODE_COMPILE_CACHE: cluster.compiled,
      ...cluster.env,
    };
  }

  static async make(cluster: Cluster, name: string, stack: AsyncDisposableStack, release?: string): Promise<Member> {
    const ports = { grpc: await steadyPort(), http: await steadyPort() };
    const proxy = async (target: { host: string; port: number }) => stack.use(await startProxy(target));
    const proxies = {
      grpc: await proxy({ host: "127.0.0.1", port: ports.grpc }),
      http: await proxy({ host: "127.0.0.1", port: ports.http }),
      database: await proxy(cluster.database.target),
      nats: await proxy(cluster.natsTarget),
    };
    const member = new Member(name, release, proxies, ports, cluster);
    stack.defer(async () => void (await member.stop()));
    await member.start();
    return member;
  }

  get pid(): number | undefined {
    return this.#instance?.pid;
  }

  get isUp(): boolean {
    return this.#instance !== undefined;
  }

  get grpc(): string {
    return `127.0.0.1:${this.doors.grpc.port}`;
  }

  get http(): string {
    return `http://127.0.0.1:${this.doors.http.port}`;
  }

  /** What its processes wrote to their logs, the last of it. */
  get log(): string {
    return this.#log + (this.#instance?.words() ?? "");
  }

  async start(): Promise<void> {
    this.#cluster.expectOpen();
    const instance = await startInstance(this.#env, this.release);
    this.#instance = instance;
    void this.#follow(instance);
  }

  /** Looks at what it has written, and whether its metrics say that a wall held back what was about to cross it. */
  async expectSound(): Promise<void> {
    const instance = this.#instance;
    if (!instance) return;
    this.#look(instance);
    const who = `instance ${this.name}`;
    try {
      const answer = await fetch(`http://127.0.0.1:${this.ports.http}/metrics`, {
        signal: AbortSignal.timeout(METRICS_MS),
      });
      const breaches = breachesIn(await answer.text());
      if (breaches !== 0) this.#cluster.wrong("walls", who, `its metrics say ${breaches} breaches of walls, not 0`);
    } catch (error) {
      this.#cluster.wrong("walls", who, `its metrics cannot be read: ${error}`);
    }
  }

  /** Drains and ends. @returns whether it did so by itself, in 15 s */
  async stop(): Promise<boolean> {
    let isDrained = true;
    await this.#end(async (instance) => {
      isDrained = await instance.stop();
    });
    return isDrained;
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.#end((instance) => instance.kill());
  }

  /** Sends a signal now, in this very turn. Does nothing when the process has ended. */
  signal(kind: NodeJS.Signals): void {
    if (kind === "SIGKILL") this.#asked = this.#instance;
    if (this.pid !== undefined) signal(this.pid, kind);
  }

  async #end(how: (instance: Instance) => Promise<unknown>): Promise<void> {
    const instance = this.#instance;
    if (!instance) return;
    this.#asked = instance;
    await how(instance);
    await instance.ended;
    this.#instance = undefined;
    this.#log = (this.#log + instance.words()).slice(-262_144);
  }

  /** Reads its log until it has ended, and tells when nobody had asked it to. */
  async #follow(instance: Instance): Promise<void> {
    const looking = setInterval(() => this.#look(instance), LOOK_MS);
    await instance.ended;
    const isCrash = this.#asked !== instance;
    clearInterval(looking);
    await sleep(LAST_WORDS_MS); // they may come after its end is known
    this.#look(instance);
    if (!isCrash) return;
    const words = instance.words().trim().slice(-2_000);
    this.#cluster.wrong("crash", `instance ${this.name}`, `its process ended by itself; its last words: ${words}`);
  }

  #look(instance: Instance): void {
    for (const line of graveIn(instance.words())) {
      if (this.#told.has(line)) continue;
      this.#told.add(line);
      this.#cluster.wrong("log", `instance ${this.name}`, line);
    }
  }
}

/** Postgres, NATS and the instances of a run, each a process of its own. */
export class Cluster implements AsyncDisposable {
  readonly database = new Database();
  readonly natsTarget = { host: "127.0.0.1", port: 0 };
  readonly ownerKey = drawKey("service", "key_0faults").text;
  readonly members: Member[] = [];
  /** Where instances find what the first of them has compiled: they are started often. */
  readonly compiled = mkdtempSync(join(tmpdir(), "leadline-compiled-"));
  readonly #stack = new AsyncDisposableStack();
  #nats: NatsServer | undefined;

  /** More of the environment of the instances. */
  readonly env: Readonly<Record<string, string>>;
  readonly wrong: OnWrong;
  #closed = false;

  private constructor(wrong: OnWrong, env: Readonly<Record<string, string>>) {
    this.wrong = wrong;
    this.env = env;
  }

  /** @param wrong told when an instance ends by itself, or logs what it must not */
  static async start(instances: number, wrong: OnWrong, env: Readonly<Record<string, string>> = {}): Promise<Cluster> {
    const cluster = new Cluster(wrong, env);
    try {
      cluster.#stack.defer(() => rmSync(cluster.compiled, { recursive: true, force: true }));
      cluster.#stack.use(cluster.database);
      await cluster.database.create();
      cluster.#stack.defer(async () => cluster.#nats?.stop());
      await cluster.startNats();
      for (let i = 0; i < instances; i += 1) await cluster.add("ABC".charAt(i));
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** NATS as a rogue reaches it: without a proxy. */
  get natsUrl(): string {
    return `nats://127.0.0.1:${this.natsTarget.port}`;
  }

  /** Starts one more instance, of this release or of the one in a folder. */
  async add(name: string, release?: string): Promise<Member> {
    const member = await Member.make(this, name, this.#stack, release);
    this.members.push(member);
    return member;
  }

  /** Drains an instance and forgets it. */
  async remove(member: Member): Promise<void> {
    this.members.splice(this.members.indexOf(member), 1);
    await member.stop();
  }

  async startNats(): Promise<void> {
    this.expectOpen();
    this.#nats = await startNats(); // on any port: the proxies follow
    this.natsTarget.port = this.#nats.port;
  }

  async killNats(): Promise<void> {
    await this.#nats?.kill();
    this.#nats = undefined;
    this.natsTarget.port = NOBODY; // another's server may come to listen where it did
  }

  /** Throws when the run is over: a fault that is still under way starts nothing any more. */
  expectOpen(): void {
    if (this.#closed) throw new Error("the run is over");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.database.close();
    // Stopped processes do not end when they are asked to.
    for (const member of this.members) member.signal("SIGCONT");
    await this.#stack.disposeAsync();
  }
}
