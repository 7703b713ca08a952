/** From the settings to what credentials may do, and to the tokens that are taken. */
import type { Config } from "../config.ts";
import { JwtVerifier } from "../service/jwt.ts";
import { Limits, type LimitsOptions } from "../service/limits.ts";

/** What each caller may use of this instance. */
export function createLimits(config: Config, termsOf: LimitsOptions["termsOf"]): Limits {
  return new Limits({
    termsOf,
    instead: {
      callsPerSecond: config.keyCallsPerSecond,
      streams: config.keyStreams,
      streamOpensPerSecond: config.keyStreamOpensPerSecond,
      tenantCallsPerSecond: config.tenantCallsPerSecond,
      tenantStreamOpensPerSecond: config.tenantStreamOpensPerSecond,
      snapshotRows: config.snapshotRows,
      filterTerms: config.filterTerms,
    },
    tenantStreams: config.tenantWatchersMax,
    address: {
      callsPerSecond: config.addressCallsPerSecond,
      streams: config.addressStreams,
      streamOpensPerSecond: config.addressStreamOpensPerSecond,
    },
    instance: {
      callsPerSecond: config.instanceCallsPerSecond,
      streams: config.watchersMax,
      streamOpensPerSecond: config.instanceStreamOpensPerSecond,
    },
    resumeReservePercent: config.resumeReservePercent,
  });
}

/** The tokens of the identity provider that the settings name; undefined: none are taken. */
export function createTokens(config: Config): JwtVerifier | undefined {
  const { jwtAudience: audience, jwtIssuer: issuer, jwtJwksUrl: jwksUrl } = config;
  if (audience === undefined || issuer === undefined || jwksUrl === undefined) return undefined;
  return new JwtVerifier({
    ...{ audience, issuer, jwksUrl },
    algorithms: config.jwtAlgorithms,
    claimsPrefix: config.jwtClaimsPrefix,
    clockToleranceMs: config.jwtClockToleranceMs,
    jwksCacheMs: config.jwtJwksCacheMs,
  });
}
