import { expect, test } from "vitest";
import { boundsOf } from "../../src/app/doors.ts";
import { readConfig } from "../../src/config.ts";

/* That each bound is held is shown at the doors; here, that a setting is the one that is held. */

test("what is set for peers is what both doors hold them to", () => {
  const settings: [string, number, string][] = [
    ["LEADLINE_MESSAGE_MAX_BYTES", 70_001, "maxMessageBytes"],
    ["LEADLINE_HEADER_MAX_BYTES", 5_001, "maxHeaderBytes"],
    ["LEADLINE_ADDRESS_REQUEST_BYTES", 2_000_001, "maxAddressRequestBytes"],
    ["LEADLINE_INSTANCE_REQUEST_BYTES", 2_000_002, "maxRequestBytes"],
    ["LEADLINE_ADDRESS_ANONYMOUS_CALLS_PER_SECOND", 11, "addressAnonymousCallsPerSecond"],
    ["LEADLINE_CONNECTION_ANONYMOUS_STREAMS", 9, "anonymousStreams"],
    ["LEADLINE_UNPACKED_AT_A_TIME", 2, "maxUnpacking"],
    ["LEADLINE_INSTANCE_CONNECTIONS", 12, "maxConnections"],
    ["LEADLINE_ADDRESS_CONNECTIONS", 13, "maxAddressConnections"],
    ["LEADLINE_ADDRESS_CONNECTS_PER_SECOND", 14, "addressConnectsPerSecond"],
    ["LEADLINE_CONNECTION_STREAMS", 15, "maxConcurrentStreams"],
    ["LEADLINE_CONNECTION_MEMORY_MB", 16, "sessionMemoryMb"],
    ["LEADLINE_CONNECTION_RESET_BURST", 17, "resetBurst"],
    ["LEADLINE_CONNECTION_RESETS_PER_SECOND", 18, "resetsPerSecond"],
    ["LEADLINE_CONNECTION_REFUSED_BURST", 119, "refusedBurst"],
    ["LEADLINE_CONNECTION_REFUSED_PER_SECOND", 20, "refusedPerSecond"],
    ["LEADLINE_ADDRESS_REFUSED_PER_SECOND", 21, "addressRefusedPerSecond"],
    ["LEADLINE_CONNECTION_CALLS_IN_A_TURN", 22, "callsInATurn"],
    ["LEADLINE_CONNECTION_UNSENT_BYTES", 70_002, "maxUnsentBytes"],
    ["LEADLINE_FIRST_BYTE_TIMEOUT_MS", 231, "firstByteTimeoutMs"],
    ["LEADLINE_REQUEST_TIMEOUT_MS", 232, "requestTimeoutMs"],
    ["LEADLINE_ANSWER_TIMEOUT_MS", 233, "answerTimeoutMs"],
    ["LEADLINE_PING_INTERVAL_MS", 234, "pingIntervalMs"],
    ["LEADLINE_PING_TIMEOUT_MS", 235, "pingTimeoutMs"],
  ];
  const env = Object.fromEntries(settings.map(([variable, value]) => [variable, String(value)]));
  const tls = { cert: "cert", key: "key", clientCa: "ca" };
  expect(boundsOf(readConfig(env), tls)).toEqual({
    tls,
    ...Object.fromEntries(settings.map(([, value, bound]) => [bound, value])),
  });
});
