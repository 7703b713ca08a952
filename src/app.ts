/**
 * The composition root: the one place that knows every part. `startApp` builds one instance from its settings; nothing is
 * global, so several can run in one process.
 *
 *   database -> journal -> hubs -> services -> doors
 *                  \-> bus -> the hubs of the other instances
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { MikroORM } from "@mikro-orm/postgresql";
import { type Logger, pino } from "pino";
import { Registry } from "prom-client";
import { BookingService } from "../gen/leadline/v1/booking_service_pb.ts";
import { ChangeService } from "../gen/leadline/v1/change_service_pb.ts";
import { ImportService } from "../gen/leadline/v1/import_service_pb.ts";
import { OrderService } from "../gen/leadline/v1/order_service_pb.ts";
import { StatusFlowService } from "../gen/leadline/v1/status_flow_service_pb.ts";
import { Tier } from "../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../gen/leadline/v1/tenant_service_pb.ts";
import { createLimits, createTokens } from "./app/credentials.ts";
import { type Database, openDatabase } from "./app/database.ts";
import { ownerKey, readSecret } from "./app/deployment.ts";
import { openDoors, readTls } from "./app/doors.ts";
import { type KnownKeys, knownKeys, readFirstKeys } from "./app/first-keys.ts";
import { HistoryRetention } from "./app/history-retention.ts";
import { InboundMemory } from "./app/inbound-memory.ts";
import { Instance } from "./app/instances.ts";
import { registerParts } from "./app/metrics.ts";
import { PhaseFigures } from "./app/phase-figures.ts";
import { RequestMemory } from "./app/request-memory.ts";
import { openTenancy } from "./app/tenancy.ts";
import { TenantRemoval } from "./app/tenant-removal.ts";
import type { Bus } from "./bus/bus.ts";
import { InProcessBus } from "./bus/in-process.ts";
import { NatsBus } from "./bus/nats.ts";
import type { Config } from "./config.ts";
import type { Claims } from "./domain/deficit-round-robin.ts";
import type { Extension } from "./domain/stored-event.ts";
import type { Authorise } from "./doors/pipeline.ts";
import { PostgresJournal } from "./journal/postgres-journal.ts";
import { inboundDaysOf } from "./service/agreed.ts";
import { createAudit } from "./service/audit.ts";
import { createBookingService } from "./service/booking-service.ts";
import type { Call, ServiceEntry } from "./service/call.ts";
import { createChangeService } from "./service/change-service.ts";
import { Credentials } from "./service/credentials.ts";
import { Entitlements } from "./service/entitlements.ts";
import { createWorkList } from "./service/import/work-list.ts";
import { createImportService } from "./service/import-service.ts";
import { keyRecords } from "./service/key-records.ts";
import { helpful } from "./service/limit-help.ts";
import { LinkTokens } from "./service/link-token.ts";
import { createOrderService } from "./service/order-service.ts";
import { authorise as mayCall } from "./service/permissions.ts";
import { redactionElsewhere } from "./service/redact-elsewhere.ts";
import { createStatusFlowService } from "./service/status-flow-service.ts";
import { SupportAccess } from "./service/support-access.ts";
import { createTenantService } from "./service/tenant-service.ts";
import { tierTerms } from "./service/tiers.ts";
import { redactUrl } from "./settings/kinds/urls.ts";
import { openOrm } from "./store/orm.ts";
import { Hubs } from "./watch/hubs.ts";
import type { WatchOptions } from "./watch/options.ts";
import { PageTokens } from "./wire/page-token.ts";
import { Positions } from "./wire/position.ts";

/** What a caller may bring along in place of what `startApp` would make. */
export interface AppParts {
  /** Default: nothing is logged. */
  readonly log?: Logger;
  /** Default: NATS where the settings name it, else one of this process' own. It is closed with the app. */
  readonly bus?: Bus;
  /** What `/metrics` shows beside the instance's own. */
  readonly registry?: Registry;
}

/** One running instance. */
export interface App {
  readonly grpcPort: number;
  readonly httpPort: number;
  /** `host:port`, as a client on this machine reaches the gRPC door; with TLS a URL. */
  readonly grpcAddress: string;
  readonly httpUrl: string;
  /** The credentials that this start may show. */
  readonly keys: KnownKeys;
  /** One line each: what is not as it should be, and what to do. */
  readonly warnings: readonly string[];
  /** Resolves when the embedded database has gone by itself; never otherwise. */
  readonly lost: Promise<void>;
  /**
   * Reads the certificates' files again and shows what they say to new connections; open ones go on. Throws a StartError when
   * they are not fit: what was shown is shown on.
   */
  renewCertificates(): void;
  /** Drains: watches end with their positions, calls in flight finish, writes are written. Again: the same promise. */
  stop(): Promise<void>;
}

/** How long a start waits for NATS before it warns and goes on. */
const natsPatienceMs = 1_500;

/** Starts an instance. Throws a StartError once everything that it had started is stopped again. */
export async function startApp(config: Config, parts: AppParts = {}): Promise<App> {
  await using started = new AsyncDisposableStack();
  const log = parts.log ?? pino({ enabled: false });
  const tls = readTls(config);
  const database = started.use(await openDatabase(config));
  const { statementTimeoutMs, lockTimeoutMs } = config;
  const poolOptions = { poolMax: config.poolConnections, statementTimeoutMs, lockTimeoutMs };
  const orm = started.adopt(await openOrm(database.url, poolOptions), (open) => open.close(true));
  const secret = await readSecret(orm);
  const bus = started.adopt(parts.bus ?? createBus(config, secret, log), (open) => open.close());
  const positions = new Positions(secret);
  // Asked when somebody waits; until then nobody has been authenticated.
  const claims: Claims = {
    weightOf: (tenant) => entitlements.weightOf(tenant),
    hasReserve: (tenant) => entitlements.hasReserve(tenant),
  };
  const { journal, hubs, figures, committed } = openJournal(config, database, { bus, positions, log, claims, started });
  const audit = createAudit(orm, committed);

  const records = keyRecords(orm);
  const links = new LinkTokens(secret);
  const pageTokens = new PageTokens(secret);
  const tenancy = openTenancy(config, { records, bus, hubs, limits: () => limits, log, started });
  const entitlements = new Entitlements((tenant) => tenancy.of(tenant));
  const limits = createLimits(config, (tenant) => tenancy.of(tenant));
  const bounds = helpful(limits, (tenant) => tenancy.of(tenant));
  const tenants = createTenantService({
    ...{ orm, journal, audit, links, pageTokens, here: limits },
    changed: (tenant) => tenancy.changed(tenant),
    revoked: (id) => credentials.revoked(id),
  });
  const remembered = database.embedded ? readFirstKeys(config.dataDir) : {};
  const owner = await ownerKey(orm, config.ownerKey, remembered.serviceOwner, database.embedded);
  const keys = await knownKeys(
    owner,
    database.embedded ? { dataDir: config.dataDir, remembered, tenants, records } : undefined,
  );

  const credentials = new Credentials({
    keys: records,
    tenancy,
    links,
    tokens: createTokens(config),
    ownerHash: owner.hash,
    bus,
    endStreams: (id) => hubs.endCredential(id),
    streamHolders: () => limits.streamHolders(),
    onError: (error) =>
      log.warn({ err: error }, "credentials could not be checked again, or marked as used; trying again"),
    cacheMs: config.keyCacheMs,
    sweepMs: config.keySweepMs,
    wrongPerSecond: config.addressWrongCredentialsPerSecond,
  });
  credentials.start();
  started.adopt(credentials, (running) => running.stop());
  const others = await tellOfInstance(config, orm, log, started);
  const retention = startRetention(config, orm, log, started);

  const keepsInbound = (call: Call) => entitlements.keepsInbound(call);
  const hasFlows = (call: Call) => entitlements.hasFlows(call);
  const mayHaveFlows = (call: Call, count: number) => entitlements.mayHaveFlows(call, count);
  const mayMap = (call: Call, perCarrier: boolean) => entitlements.mayMap(call, perCarrier);
  const workList = createWorkList(orm, { maxItems: config.workItemsMax });
  const onFault = (error: unknown, call: Call) => log.error({ err: error, callId: call.callId }, "an item failed");
  const elsewhere = redactionElsewhere(orm, audit);
  const services: ServiceEntry[] = [
    {
      service: OrderService,
      implementation: createOrderService({ journal, pageTokens, hasFlows, elsewhere, onFault }),
    },
    { service: BookingService, implementation: createBookingService({ journal, positions, pageTokens }) },
    {
      service: ImportService,
      implementation: createImportService({ orm, journal, workList, pageTokens, keepsInbound, onFault }),
    },
    {
      service: StatusFlowService,
      implementation: createStatusFlowService({ orm, audit, journal, pageTokens, mayHaveFlows, mayMap }),
    },
    {
      service: ChangeService,
      implementation: createChangeService({
        ...{ positions, grown: (...wait) => hubs.grown(...wait), read: (...asked) => hubs.read(...asked) },
        waits: ({ principal, address = "" }) => bounds.wait(principal, address),
      }),
    },
    { service: TenantService, implementation: tenants },
  ];
  const registry = parts.registry ?? new Registry();
  registerParts(registry, { journal, hubs, bus, retention });
  figures.register(registry);
  const { authenticate } = credentials;
  const supportAccess = new SupportAccess(audit);
  const authorise: Authorise = (call, method, request) => {
    mayCall(call.principal, method, request);
    bounds.request(call.principal, method, request);
    return supportAccess.note(call, method, request);
  };
  // Anybody may ask; one question serves all that wait for it.
  let asked: Promise<boolean> | undefined;
  const ready = () => {
    asked ??= answers(orm).finally(() => {
      asked = undefined;
    });
    return asked;
  };
  const doors = started.use(
    await openDoors(config, tls, {
      ...{ services, authenticate, authorise, entitlements, limits: bounds, hubs, log, registry, ready, claims },
    }),
  );
  const late = await lateness(config, parts, bus, database.embedded ? 0 : others);
  log.info({ grpc: doors.grpcAddress, http: doors.httpUrl }, "serving");

  const owned = started.move();
  let stopped: Promise<void> | undefined;
  const { grpcPort, httpPort, grpcAddress, httpUrl } = doors;
  return {
    ...{ grpcPort, httpPort, grpcAddress, httpUrl, keys, lost: database.lost },
    warnings: [...database.warnings, ...late],
    renewCertificates() {
      const renewed = readTls(config);
      if (renewed === undefined) return;
      doors.renew(renewed);
      log.info("the certificates were read again");
    },
    stop: () => {
      stopped ??= owned.disposeAsync();
      return stopped;
    },
  };
}

/** Every instance of one database finds the others under a name that follows from the deployment's secret. */
function createBus(config: Config, secret: Uint8Array, log: Logger): Bus {
  if (config.natsUrl === undefined) return new InProcessBus();
  const deployment = createHash("sha256").update("leadline deployment").update(secret).digest("hex").slice(0, 16);
  const servers = config.natsUrl.split(",").map((server) => server.trim());
  return new NatsBus({ servers, deployment, secret, log });
}

/** The journal and those who are told of its commits: the hubs here, and over the bus those of the other instances. */
function openJournal(
  config: Config,
  database: Database,
  parts: { bus: Bus; positions: Positions; log: Logger; claims: Claims; started: AsyncDisposableStack },
): { journal: PostgresJournal; hubs: Hubs; figures: PhaseFigures; committed: (extension: Extension) => void } {
  const { bus, positions, log, claims, started } = parts;
  const figures = new PhaseFigures();
  const committed = (extension: Extension) => {
    hubs.extend(extension);
    bus.publish(extension);
    figures.count(extension);
  };
  const journal = new PostgresJournal({
    connection: {
      url: database.url,
      statementTimeoutMs: config.statementTimeoutMs,
      lockTimeoutMs: config.lockTimeoutMs,
      idleInTransactionTimeoutMs: config.idleInTransactionTimeoutMs,
    },
    readers: config.readConnections,
    batchMaxCommands: config.batchCommands,
    batchMaxBytes: config.batchBytes,
    maxQueued: config.queueCommands,
    maxQueuedPerTenant: config.queueTenantCommands,
    maxQueuedBytes: config.queueBytes,
    maxQueuedReads: config.queueReads,
    giveUpAfterMs: config.commitGiveUpMs,
    claims,
    onTrouble: (what, error) => log.warn({ err: error }, what),
    onCommit: (extensions) => extensions.forEach(committed),
  });
  started.adopt(journal, (open) => open.close());
  const hubs = new Hubs({ reader: journal, bus, positions, log, claims, options: watchOptions(config) });
  started.adopt(hubs, (open) => open.close());
  return { journal, hubs, figures, committed };
}

function watchOptions(config: Config): Partial<WatchOptions> {
  const { watchersMax, tenantWatchersMax, ringEvents, ringBytes, catchUpReads } = config;
  const { heartbeatMs, slowReaderBytes, slowReaderMs, unverifiedMs, headCheckMs } = config;
  return {
    ...{ watchersMax, tenantWatchersMax, ringEvents, ringBytes, catchUpReads },
    ...{ heartbeatMs, slowReaderBytes, slowReaderMs, unverifiedMs, headCheckMs },
    keyBufferedBytes: config.keyBufferedBytes,
    tenantBufferedBytes: config.tenantBufferedBytes,
    addressBufferedBytes: config.addressBufferedBytes,
    instanceBufferedBytes: config.instanceBufferedBytes,
    messageBytes: config.watchMessageBytes,
    maxAgeMs: config.watchMaxAgeMs,
  };
}

/** What goes on beside the calls, for as long as the instance runs. @returns how many other instances run */
async function tellOfInstance(
  config: Config,
  orm: MikroORM,
  log: Logger,
  started: AsyncDisposableStack,
): Promise<number> {
  const instance = new Instance(orm, {
    onError: (error) => log.warn({ err: error }, "this instance could not tell that it runs; trying again"),
  });
  const others = await instance.start();
  started.adopt(instance, (running) => running.stop());
  const memory = new RequestMemory(orm, {
    days: config.requestMemoryDays,
    onError: (error) => log.warn({ err: error }, "old request ids could not be forgotten; trying again"),
  });
  memory.start();
  started.adopt(memory, (running) => running.stop());
  const inbound = new InboundMemory(orm, {
    daysOf: (tenant) => inboundDaysOf(tenant, tierTerms(Tier.ADAPTIVE).inboundDays),
    onError: (error) => log.warn({ err: error }, "old inbound messages could not be forgotten; trying again"),
  });
  inbound.start();
  started.adopt(inbound, (running) => running.stop());

  const removal = new TenantRemoval(orm, {
    onRemoved: (tenant) => log.info({ tenant }, "the day of a closed tenant has come: its data is deleted"),
    onError: (error) => log.warn({ err: error }, "a closed tenant's data could not be deleted; trying again"),
  });
  removal.start();
  started.adopt(removal, (running) => running.stop());
  return others;
}

/** Cuts history that is no longer to be kept, for as long as the instance runs. */
function startRetention(config: Config, orm: MikroORM, log: Logger, started: AsyncDisposableStack): HistoryRetention {
  const retention = new HistoryRetention(orm, {
    ...{ resumeDays: config.resumeDays, portion: config.historyPortion, heldMs: config.historyHeldMs },
    everyMs: config.historySweepMs,
    onCut: (cut) => log.info(cut, "history of journeys that ended long ago was cut"),
    onError: (error) => log.warn({ err: error }, "old history could not be cut; trying again"),
  });
  retention.start();
  return started.adopt(retention, (running) => running.stop());
}

async function answers(orm: MikroORM): Promise<boolean> {
  try {
    await orm.em.fork().execute("select 1");
    return true;
  } catch {
    return false;
  }
}

/** Instances that cannot hear each other still tell their watchers everything, but late. */
async function lateness(config: Config, parts: AppParts, bus: Bus, others: number): Promise<string[]> {
  if (parts.bus !== undefined) return [];
  const late = `changes made through another instance reach watchers here up to ${config.headCheckMs / 1_000} seconds late`;
  if (config.natsUrl === undefined) {
    if (others === 0) return [];
    const instances = `${others} other instance${others > 1 ? "s" : ""} on this database, and no NATS_URL`;
    return [`${instances}: ${late}; set NATS_URL on all of them`];
  }
  for (const deadline = Date.now() + natsPatienceMs; Date.now() < deadline; await sleep(20)) {
    if (bus.stats().connected) return [];
  }
  const servers = config.natsUrl.split(",").map((server) => redactUrl(server.trim()));
  return [
    `NATS (${servers.join(", ")}) cannot be reached, so ${late}: start it, or correct NATS_URL; it is tried on and on`,
  ];
}
