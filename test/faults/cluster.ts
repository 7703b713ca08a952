import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drawKey } from "../../src/service/api-key.ts";
import { signal } from "../../src/store/embedded-process.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { APP_LOGIN, TEMPLATE } from "../support/prepare-server.ts";
import { startProxy, type Proxy as TcpProxy } from "../support/proxy.ts";
import { steadyPort } from "../support/steady-port.ts";
import { Database } from "./database.ts";

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
    stack.defer(() => member.stop());
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
    this.#instance = await startInstance(this.#env, this.release);
  }

  /** Drains and ends. */
  async stop(): Promise<void> {
    await this.#end((instance) => instance.stop());
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.#end((instance) => instance.kill());
  }

  /** Sends a signal now, in this very turn. Does nothing when the process has ended. */
  signal(kind: NodeJS.Signals): void {
    if (this.pid !== undefined) signal(this.pid, kind);
  }

  async #end(how: (instance: Instance) => Promise<void>): Promise<void> {
    const instance = this.#instance;
    if (!instance) return;
    await how(instance);
    await instance.ended;
    this.#instance = undefined;
    this.#log = (this.#log + instance.words()).slice(-262_144);
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
  #closed = false;

  private constructor(env: Readonly<Record<string, string>>) {
    this.env = env;
  }

  static async start(instances: number, env: Readonly<Record<string, string>> = {}): Promise<Cluster> {
    const cluster = new Cluster(env);
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
