import {
  clone,
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethodUnary,
  getOption,
  hasOption,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { type FieldRules, field as fieldRules, Ignore } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/*
 * Requests made from the contract alone: what is drawn mostly keeps its rules and names things that may exist, so that much
 * of it is taken; now and then a value is one that nobody sends in earnest.
 */

/** Draws from 0 up to 1. */
export type Draw = () => number;

const ORDERS = Array.from({ length: 8 }, (_, i) => `PO-${i}`);
const BOOKINGS = Array.from({ length: 16 }, (_, i) => `B-${i}`);

/** Values by field name that make requests meet each other. */
const POOLS: Readonly<Record<string, readonly string[]>> = {
  order_id: ORDERS,
  order_ids: ORDERS,
  booking_id: BOOKINGS,
  booking_ids: BOOKINGS,
  ids: ["PO-1", "B-1", "PO-2", "B-2"],
  request_id: ["", "", "", "", "", "r-1", "r-2"],
  etag: ["", "", "", "", "", "", "", "", "1", "2", "01"],
  carrier: ["MAEU", "MAEU", "MAEU", "HLCU"],
  carriers: ["MAEU", "HLCU"],
  line_id: ["1", "2", "3"],
  unit_ids: ["APZU4812090", "TCNU7418920", "PAL-1"],
  status: ["PROCESSING", "BOOKED", "READY", "IN_TRANSIT", "ARRIVED", "DELIVERED", "NOWHERE"],
  statuses: ["RECEIVED", "IN_TRANSIT"],
  milestone: ["GATE_IN", "LOADED", "DEPARTED", "ARRIVED", "DISCHARGED", ""],
  source: ["", "MAEU", "desk"],
  source_id: ["", "s-1", "s-2", "s-3"],
  booking_reference: ["", "ABC123", "ABC124"],
  flight: ["KL0897", "LH8400"],
  flight_date: ["2026-05-01", "2026-02-30"],
  vessel_imo: ["9321483", "9321484"],
  unlocode: ["NLRTM", "CNSHA", "DEHAM"],
  type: ["PO", "BKG", "POL", "POD", "CR"],
  id: ["APZU4812090", "TCNU7418920", "PAL-1", "1", "2"],
  time_zone: ["", "", "", "Europe/Amsterdam"],
  page_token: ["", "", "", "AAAA"],
  position: ["", "1-aaaaaaaaaaaaa"],
  tenant_id: ["", "fuzzed", "other"],
  country_code: ["NL", "CN"],
  role: ["SHIPPER", "CONSIGNEE", "CARRIER"],
  hs_codes: ["851713"],
  space_code: [""],
  space_action: ["", "", "NN", "SS"],
  routing_reference: ["", "", "", "RR-1"],
  facility_code_list: ["", "SMDG"],
  iso_equipment_code: ["22G1", "45R1"],
  key_id: ["key_0000000000000000"],
  flow_id: ["", "", "standard", "own-1", "own-2"],
};

/** Draws the same in every run with the same seed (mulberry32). */
export function randomFrom(seed: number): Draw {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Stands for half a character, which messages cannot hold: to be put in once the request is encoded. */
export const HALF_CHARACTER = "\ue000";

/** Texts that nobody types. */
const ODD_TEXTS = [
  "a\0b",
  "\0",
  `half ${HALF_CHARACTER}`,
  "\u{1f6a2}".repeat(40),
  "\u202eltr",
  "'; drop table event; --",
  " ",
  "\n",
];
const ODD_INTEGERS = [0n, 1n, -1n, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 64n - 1n];
const ODD_SECONDS = [0n, -1n, -62_135_596_800n, 253_402_300_799n, 631_151_999n, 4_133_980_800n];
/** Fields that are always set: without them a request says nothing. */
const NEEDED = new Set([
  "instant",
  "report",
  "order_id",
  "booking_id",
  "confirmation",
  "request",
  "unlocode",
  "name",
  "places",
  "equipment",
  "legs",
  "cut_offs",
]);

/** How often a value is odd, while the request may have another one. */
const ODD_SHARE = 0.08;
/** How often a message is made from a model, where there is one. */
const MODEL_SHARE = 0.8;
/** How deep messages nest at most; the contracts nest less. */
const DEPTH_MAX = 8;

/** Makes random requests of a method. */
export class RandomRequests {
  readonly #draw: Draw;
  readonly #models: ReadonlyMap<string, readonly Message[]>;
  #odds = 0;

  /** @param models messages that keep all rules: mostly one of them is taken, with a field or two drawn anew */
  constructor(draw: Draw, models: readonly Message[]) {
    this.#draw = draw;
    this.#models = Map.groupBy(models, ({ $typeName }) => $typeName);
  }

  /** @param odds how many odd values it has at most: with many it is refused for the first */
  request(method: DescMethodUnary, odds: number): Message {
    this.#odds = odds;
    return this.#message(method.input, 0);
  }

  #message(schema: DescMessage, depth: number): Message {
    const models = this.#models.get(schema.typeName);
    const isModelled = models !== undefined && this.#draw() < MODEL_SHARE;
    const message = reflect(schema, isModelled ? clone(schema, this.#pick(models)) : create(schema));
    const anew = isModelled ? [this.#pick(schema.fields)].filter(() => this.#draw() < 0.5) : schema.fields;
    for (const field of anew) {
      if (field.oneof && message.oneofCase(field.oneof) !== undefined) continue;
      if (isModelled) message.clear(field);
      else if (!this.#isToBeSet(field, depth)) continue;
      const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
      if (field.fieldKind === "list") {
        const list = message.get(field);
        const repeated = rules?.type.case === "repeated" ? rules.type.value : undefined;
        const said = new Set<unknown>();
        for (let left = this.#count(); left > 0; left -= 1) {
          const value = this.#value(field, repeated?.items, depth);
          if (!(repeated?.unique && said.has(value))) list.add(value);
          said.add(value);
        }
      } else if (field.fieldKind !== "map") message.set(field, this.#value(field, rules, depth));
    }
    return message.message;
  }

  #isToBeSet(field: DescField, depth: number): boolean {
    if (depth >= DEPTH_MAX) return false;
    if (this.#odd()) return this.#draw() < 0.5;
    const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
    if (rules?.required || NEEDED.has(field.name)) return true;
    if (rules && rules.ignore === Ignore.UNSPECIFIED && field.fieldKind !== "message" && field.fieldKind !== "list")
      return true;
    if (field.fieldKind === "message" || field.fieldKind === "list") {
      const least = rules?.type.case === "repeated" ? rules.type.value.minItems : 0n;
      return least > 0n || this.#draw() < 0.4 / (depth / 2 + 1);
    }
    return this.#draw() < 0.85;
  }

  #count(): number {
    if (this.#odd()) return this.#pick([0, 1, 40]);
    return 1 + Math.floor(this.#draw() * 2.5);
  }

  #value(field: DescField, rules: FieldRules | undefined, depth: number): unknown {
    const { message, enum: desc, scalar } = field;
    if (desc) return this.#odd() ? this.#pick([0, 99, -1]) : this.#enumNumber(desc, rules);
    if (message?.typeName === "google.protobuf.Timestamp") return reflect(message, this.#timestamp(message));
    if (message) return reflect(message, this.#message(message, depth + 1));
    switch (scalar) {
      case ScalarType.STRING:
        return this.#text(field, rules);
      case ScalarType.BOOL:
        return this.#draw() < 0.3;
      case ScalarType.UINT64:
      case ScalarType.INT64:
        return this.#odd() ? this.#integer(scalar === ScalarType.INT64 ? 63 : 64) : this.#small();
      default:
        return Number(this.#odd() ? this.#integer(31) : this.#small());
    }
  }

  #enumNumber(desc: DescEnum, rules: FieldRules | undefined): number {
    const rule = rules?.type.case === "enum" ? rules.type.value : undefined;
    const numbers = rule?.in.length ? rule.in : desc.values.map((value) => value.number);
    return this.#pick(numbers.filter((number) => !rule?.notIn.includes(number)));
  }

  #small(): bigint {
    return BigInt(1 + Math.floor(this.#draw() * 9));
  }

  #integer(bits: number): bigint {
    const drawn = this.#pick(ODD_INTEGERS);
    return bits === 64 ? BigInt.asUintN(64, drawn) : BigInt.asUintN(bits, drawn);
  }

  #timestamp(schema: DescMessage): Message {
    const hour = 1_777_600_000n + BigInt(Math.floor(this.#draw() * 200)) * 3_600n;
    const seconds = this.#odd() ? this.#pick(ODD_SECONDS) : hour;
    const message = reflect(schema, create(schema));
    const [secondsField, nanosField] = schema.fields;
    if (secondsField) message.set(secondsField, seconds);
    if (nanosField && this.#odd()) message.set(nanosField, this.#pick([-1, 1, 999_999_999, 1_000_000_000]));
    return message.message;
  }

  #text(field: DescField, rules: FieldRules | undefined): string {
    const rule = rules?.type.case === "string" ? rules.type.value : undefined;
    if (this.#odd()) {
      const longest = Number(rule?.maxLen ?? 100n);
      return this.#pick([...ODD_TEXTS, "x".repeat(longest), "\u00e9".repeat(longest), "x".repeat(longest + 1)]);
    }
    if (rule && rule.in.length > 0) return this.#pick(rule.in);
    const pool = POOLS[field.name];
    if (pool) return this.#pick(pool);
    return this.#pick(["A", "AB", "text"]).slice(0, Number(rule?.maxLen ?? 4n) || 4);
  }

  #odd(): boolean {
    if (this.#odds === 0 || this.#draw() > ODD_SHARE) return false;
    this.#odds -= 1;
    return true;
  }

  #pick<T>(of: readonly T[]): T {
    const one = of[Math.floor(this.#draw() * of.length)];
    if (one === undefined) throw new Error("nothing to choose from");
    return one;
  }
}
