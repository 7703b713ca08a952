/** The instance takes refusals without end: for tests that do little else than be refused. */
export const PATIENT = {
  LEADLINE_CONNECTION_REFUSED_BURST: "1000000",
  LEADLINE_ADDRESS_REFUSED_PER_SECOND: "10000000",
} as const;
