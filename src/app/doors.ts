/** Opens the two doors of an instance, and drains them. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Registry } from "prom-client";
import type { Config } from "../config.ts";
import { builtinServices } from "../doors/builtins.ts";
import { drain } from "../doors/drain.ts";
import { GrpcDoor } from "../doors/grpc.ts";
import { Health } from "../doors/health.ts";
import { HttpDoor } from "../doors/http.ts";
import { createDoorMetrics } from "../doors/metrics.ts";
import type { DoorBounds, DoorTls } from "../doors/options.ts";
import { createPipeline, type PipelineParts } from "../doors/pipeline.ts";
import { createReflection } from "../doors/reflection.ts";
import type { Hubs } from "../watch/hubs.ts";
import { ExitCode, reasonOf, StartError } from "./start-error.ts";

export interface DoorsParts extends Omit<PipelineParts, "metrics" | "openWatch"> {
  readonly hubs: Hubs;
  readonly registry: Registry;
  /** Whether the database answers: `/readyz` asks it. */
  ready(): Promise<boolean>;
}

/** Two doors that are open. */
export interface Doors extends AsyncDisposable {
  readonly grpcPort: number;
  readonly httpPort: number;
  /** `host:port`, as a client on this machine reaches the gRPC door; with TLS a URL. */
  readonly grpcAddress: string;
  readonly httpUrl: string;
  /** Shows other certificates to new connections. */
  renew(tls: DoorTls): void;
}

/** The watches' readers are told to come back within so long. */
const retrySpreadMs = 1_000;

/** The files that the settings name; undefined: no TLS. Throws a StartError. */
export function readTls(config: Config): DoorTls | undefined {
  const { tlsCertificate, tlsClientCa, tlsKey } = config;
  if (tlsCertificate === undefined || tlsKey === undefined) return undefined;
  const tls = { cert: readPem("LEADLINE_TLS_CERTIFICATE", tlsCertificate), key: readPem("LEADLINE_TLS_KEY", tlsKey) };
  if (tlsClientCa !== undefined) return { ...checked(tls), clientCa: readAuthorities(tlsClientCa) };
  return checked(tls);
}

function checked(tls: DoorTls): DoorTls {
  try {
    createSecureContext({ cert: tls.cert, key: tls.key });
  } catch (error) {
    const problem = "LEADLINE_TLS_CERTIFICATE and LEADLINE_TLS_KEY are no certificate and its private key in PEM";
    throw new StartError(ExitCode.CONFIG, `${problem} (${reasonOf(error)}): correct the files`, error);
  }
  return tls;
}

/** Node takes a file without a certificate for no authority at all, and would let nobody in without a word. */
function readAuthorities(path: string): string {
  const text = readPem("LEADLINE_TLS_CLIENT_CA", path);
  try {
    new X509Certificate(text);
  } catch (error) {
    const problem = "LEADLINE_TLS_CLIENT_CA has no certificate in PEM";
    throw new StartError(ExitCode.CONFIG, `${problem} (${reasonOf(error)}): correct the file`, error);
  }
  return text;
}

/** Throws a StartError when a port cannot be had. Disposal drains. */
export async function openDoors(config: Config, tls: DoorTls | undefined, parts: DoorsParts): Promise<Doors> {
  const { hubs, log, registry, services } = parts;
  const pipeline = createPipeline({
    ...parts,
    metrics: createDoorMetrics(registry),
    openWatch: (spec, sink, endsAtMs) => hubs.open(spec, sink, endsAtMs),
  });
  const described = services.map(({ service }) => service);
  const health = new Health(described.map(({ typeName }) => typeName));
  const reflection = createReflection([...described, ...builtinServices]);
  const bounds = boundsOf(config, tls);
  const grpc = new GrpcDoor(
    { pipeline, health, reflection },
    { ...bounds, host: config.grpcHost, port: config.grpcPort },
  );
  const http = new HttpDoor(
    { pipeline, health, reflection, registry, ready: () => parts.ready() },
    {
      ...bounds,
      host: config.httpHost,
      port: config.httpPort,
      headersTimeoutMs: config.headersTimeoutMs,
      corsOrigins: config.allowedOrigins,
      metricsToken: config.metricsToken,
    },
  );
  const grpcPort = await opened(grpc, "LEADLINE_GRPC", config.grpcHost, config.grpcPort);
  let httpPort: number;
  try {
    httpPort = await opened(http, "LEADLINE_HTTP", config.httpHost, config.httpPort);
  } catch (error) {
    await grpc.close(0);
    throw error;
  }
  health.set(true);
  const scheme = tls === undefined ? "" : "https://";
  return {
    grpcPort,
    httpPort,
    grpcAddress: `${scheme}${reachable(config.grpcHost)}:${grpcPort}`,
    httpUrl: `${scheme || "http://"}${reachable(config.httpHost)}:${httpPort}`,
    renew(renewed) {
      for (const door of [grpc, http]) door.renew(renewed);
    },
    async [Symbol.asyncDispose]() {
      log.info("draining");
      const drainWatches = () => hubs.drain(retrySpreadMs);
      await drain({ health, pipeline, doors: [grpc, http], drainWatches }, { graceMs: config.drainTimeoutMs });
    },
  };
}

/** What both doors hold their peers to. */
export function boundsOf(config: Config, tls: DoorTls | undefined): Partial<DoorBounds> {
  const { firstByteTimeoutMs, requestTimeoutMs, answerTimeoutMs, pingIntervalMs, pingTimeoutMs } = config;
  return {
    ...{ tls, firstByteTimeoutMs, requestTimeoutMs, answerTimeoutMs, pingIntervalMs, pingTimeoutMs },
    maxMessageBytes: config.messageMaxBytes,
    maxRequestBytes: config.instanceRequestBytes,
    maxAddressRequestBytes: config.addressRequestBytes,
    addressAnonymousCallsPerSecond: config.addressAnonymousCallsPerSecond,
    anonymousStreams: config.connectionAnonymousStreams,
    maxHeaderBytes: config.headerMaxBytes,
    maxUnpacking: config.unpackedAtATime,
    maxConnections: config.instanceConnections,
    maxAddressConnections: config.addressConnections,
    addressConnectsPerSecond: config.addressConnectsPerSecond,
    maxConcurrentStreams: config.connectionStreams,
    sessionMemoryMb: config.connectionMemoryMb,
    resetBurst: config.connectionResetBurst,
    resetsPerSecond: config.connectionResetsPerSecond,
    refusedBurst: config.connectionRefusedBurst,
    refusedPerSecond: config.connectionRefusedPerSecond,
    addressRefusedPerSecond: config.addressRefusedPerSecond,
    callsInATurn: config.connectionCallsInATurn,
    maxUnsentBytes: config.connectionUnsentBytes,
  };
}

async function opened(door: { open(): Promise<number> }, prefix: string, host: string, port: number): Promise<number> {
  try {
    return await door.open();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    const what =
      code === "EADDRINUSE"
        ? `port ${port} on ${host} is taken: stop what listens there, or set ${prefix}_PORT`
        : `cannot listen on ${host}, port ${port} (${reasonOf(error)}): correct ${prefix}_HOST or ${prefix}_PORT`;
    throw new StartError(ExitCode.UNAVAILABLE, what, error);
  }
}

function readPem(variable: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new StartError(ExitCode.CONFIG, `${variable} names a file that cannot be read: ${reasonOf(error)}`, error);
  }
}

/** An address that listens everywhere is reached on this machine by its loopback address. */
function reachable(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}
