import { describe, expect, test } from "vitest";
import { ConfigError, describeConfig, readConfig, settingsMarkdown, unknownVariables } from "../src/config.ts";

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("settings", () => {
  test("nothing set gives the defaults, frozen", () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      databaseUrl: undefined,
      grpcPort: 50051,
      httpPort: 8080,
      allowedOrigins: [],
      logLevel: "info",
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  test("a stream outlives its credential by half a minute at most, where nobody tells that it has ended", () => {
    const { keySweepMs, jwtJwksCacheMs } = readConfig({});
    expect(keySweepMs).toBeLessThanOrEqual(30_000);
    // Tokens cannot be revoked; a signing key that was withdrawn is found out when the kept ones are too old.
    expect(jwtJwksCacheMs).toBeLessThanOrEqual(600_000);
  });

  test("an empty variable counts as not set", () => {
    expect(readConfig({ LEADLINE_GRPC_PORT: "", DATABASE_URL: "  " })).toEqual(readConfig({}));
  });

  test("values are read by their kind", () => {
    const config = readConfig({
      DATABASE_URL: "postgres://leadline:secret@db:5432/leadline?sslmode=require",
      NATS_URL: "nats://a:4222, nats://b:4222",
      LEADLINE_GRPC_PORT: "0",
      LEADLINE_ALLOWED_ORIGINS: "https://app.example.com, http://localhost:5173",
      LEADLINE_LOG_LEVEL: "debug",
    });
    expect(config.databaseUrl).toBe("postgres://leadline:secret@db:5432/leadline?sslmode=require");
    expect(config.grpcPort).toBe(0);
    expect(config.allowedOrigins).toEqual(["https://app.example.com", "http://localhost:5173"]);
    expect(config.logLevel).toBe("debug");
  });

  test("tokens' keys come over TLS, or from this machine", () => {
    const provider = { LEADLINE_JWT_ISSUER: "https://id.example.com/", LEADLINE_JWT_AUDIENCE: "leadline" };
    for (const url of [
      "https://id.example.com/keys",
      "http://127.0.0.1:8/keys",
      "http://[::1]/",
      "http://localhost/",
    ]) {
      expect(readConfig({ ...provider, LEADLINE_JWT_JWKS_URL: url }).jwtJwksUrl).toBe(url);
    }
    expect(readConfig({}).jwtAlgorithms).toEqual(["RS256", "PS256", "ES256", "EdDSA"]);
  });

  test("the bounds themselves are accepted, what lies beyond is not", () => {
    expect(readConfig({ LEADLINE_GRPC_PORT: "65535" }).grpcPort).toBe(65535);
    expect(problemsOf({ LEADLINE_GRPC_PORT: "65536" })).toEqual([
      'LEADLINE_GRPC_PORT is "65536": it must be a whole number from 0 to 65535',
    ]);
  });

  test.each([
    ["LEADLINE_GRPC_PORT", "50051.5"],
    ["LEADLINE_GRPC_PORT", "0x50"],
    ["LEADLINE_GRPC_PORT", "-1"],
    ["LEADLINE_HTTP_HOST", "not a host"],
    ["LEADLINE_REQUEST_MEMORY_DAYS", "6"],
    ["LEADLINE_LOG_LEVEL", "verbose"],
    ["LEADLINE_ALLOWED_ORIGINS", "*"],
    ["LEADLINE_ALLOWED_ORIGINS", "https://app.example.com/path"],
    ["LEADLINE_ALLOWED_ORIGINS", "app.example.com"],
    ["DATABASE_URL", "mysql://db/leadline"],
    ["DATABASE_URL", "postgres://db"],
    ["NATS_URL", "localhost:4222"],
    ["LEADLINE_JWT_JWKS_URL", "http://id.example.com/keys"],
    ["LEADLINE_JWT_JWKS_URL", "file:///keys.json"],
    ["LEADLINE_JWT_ALGORITHMS", "HS256"],
    ["LEADLINE_JWT_ALGORITHMS", "none"],
    ["LEADLINE_JWT_ISSUER", "two words"],
    ["LEADLINE_RESUME_RESERVE_PERCENT", "91"],
  ])("%s refuses %s, and says what it accepts", (variable, value) => {
    const problems = problemsOf({ [variable]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`${variable} is "${value}": it must be `);
  });

  test("all problems are told at once", () => {
    const problems = problemsOf({ LEADLINE_GRPC_PORT: "x", LEADLINE_HTTP_PORT: "y", LEADLINE_TLS_KEY: "key.pem" });
    expect(problems.map((line) => line.split(" ")[0])).toEqual([
      "LEADLINE_GRPC_PORT",
      "LEADLINE_HTTP_PORT",
      "LEADLINE_TLS_CERTIFICATE",
    ]);
  });

  test.each([
    [{ LEADLINE_TLS_CERTIFICATE: "c.pem" }, "only one of them is set"],
    [{ LEADLINE_TLS_CLIENT_CA: "ca.pem" }, "LEADLINE_TLS_CLIENT_CA is set without LEADLINE_TLS_CERTIFICATE"],
    [{ LEADLINE_JWT_JWKS_URL: "https://id.example.com/keys" }, "only some of them are set"],
    [{ LEADLINE_JWT_ISSUER: "https://id.example.com/", LEADLINE_JWT_AUDIENCE: "a" }, "only some of them are set"],
    [{ DATABASE_ADMIN_URL: "postgres://a@h/d" }, "DATABASE_ADMIN_URL is set without DATABASE_URL"],
    [{ LEADLINE_GRPC_PORT: "8080" }, "both 8080"],
  ])("settings that contradict each other are refused: %j", (env, words) => {
    expect(problemsOf(env).join()).toContain(words);
  });

  test("neither a refusal nor the printout shows a secret", () => {
    const env = {
      DATABASE_URL: "postgres://leadline:hunter2@db/leadline?password=hunter2",
      NATS_URL: "nats://user:hunter2@a:4222",
      LEADLINE_OWNER_KEY: "hunter2hunter2hunter2hunter2hunter2",
    };
    const shown = JSON.stringify(describeConfig(env));
    expect(shown).toContain("postgres://leadline:***@db/leadline");
    expect(shown).not.toContain("hunter2");
    const refused = problemsOf({
      DATABASE_URL: "mysql://u:hunter2@h/d",
      LEADLINE_OWNER_KEY: "hunter2",
      NATS_URL: "hunter2",
    });
    expect(refused).toHaveLength(3);
    expect(refused.join()).not.toContain("hunter2");
  });

  test("the printout tells what is set and what is a default", () => {
    const shown = describeConfig({ LEADLINE_HTTP_PORT: "9000" });
    expect(shown.find((one) => one.variable === "LEADLINE_HTTP_PORT")).toMatchObject({ value: "9000", set: true });
    expect(shown.find((one) => one.variable === "LEADLINE_HEARTBEAT_MS")).toMatchObject({
      value: "20000 ms",
      set: false,
    });
  });

  test("every setting has a row in the README's table, and no row is broken by its text", () => {
    const table = settingsMarkdown();
    const rows = table.trimEnd().split("\n");
    for (const { variable } of describeConfig({})) expect(table).toContain(`| \`${variable}\` |`);
    for (const row of rows) expect(row.split("|")).toHaveLength(6);
  });

  test("a misspelt variable is found, with the one that was probably meant", () => {
    expect(unknownVariables({ LEADLINE_GRCP_PORT: "1", LEADLINE_KEY: "k", PATH: "/bin" }, ["LEADLINE_KEY"])).toEqual([
      { variable: "LEADLINE_GRCP_PORT", nearest: "LEADLINE_GRPC_PORT" },
    ]);
  });
});
