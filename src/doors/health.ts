import {
  HealthCheckResponse_ServingStatus as Status,
  type HealthCheckResponse_ServingStatus as StatusType,
} from "../../gen/grpc/health/v1/health_pb.ts";

/**
 * Whether this instance wants calls, as grpc.health.v1 and `/readyz` tell it. It begins as not serving. The empty service
 * name stands for the instance as a whole.
 */
export class Health {
  readonly #services: ReadonlySet<string>;
  readonly #watchers = new Set<{ tell(): void; end(): void }>();
  #serving = false;
  #closed = false;

  constructor(services: Iterable<string>) {
    this.#services = new Set(["", ...services]);
  }

  get serving(): boolean {
    return this.#serving;
  }

  /** All services are served together or not at all. Watchers are told when it changes. */
  set(serving: boolean): void {
    if (serving === this.#serving || this.#closed) return;
    this.#serving = serving;
    for (const watcher of this.#watchers) watcher.tell();
  }

  /** Not serving, for good: watchers are told and ended. */
  close(): void {
    this.set(false);
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }

  /** The state of one service; undefined: there is no such service. */
  check(service: string): StatusType | undefined {
    if (!this.#services.has(service)) return undefined;
    return this.#serving ? Status.SERVING : Status.NOT_SERVING;
  }

  /** The state of every service, by name. */
  list(): Map<string, StatusType> {
    return new Map([...this.#services].map((service) => [service, this.check(service) ?? Status.SERVICE_UNKNOWN]));
  }

  /** Tells the state at once and whenever it changes, until the result is called or the health is closed. */
  watch(service: string, tell: (status: StatusType) => void, end: () => void): () => void {
    const watcher = { tell: () => tell(this.check(service) ?? Status.SERVICE_UNKNOWN), end };
    watcher.tell();
    if (this.#closed) end();
    else this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}
