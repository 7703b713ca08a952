import { create } from "@bufbuild/protobuf";
import {
  type Commodity,
  CommoditySchema,
  type Equipment,
  EquipmentSchema,
} from "../../../gen/leadline/v1/booking_pb.ts";
import { type Unit, UnitKind, UnitSchema } from "../../../gen/leadline/v1/place_pb.ts";
import type { JsonObject } from "./json-reader.ts";

/** Bounds of leadline.v1.BookingRequest and Equipment. */
const EQUIPMENT_MAX = 100;
const COMMODITIES_MAX = 100;
const UNITS_MAX = 500;
const HS_CODES_MAX = 20;
const DANGEROUS_GOODS_MAX = 50;

/** Grams in a kilogram and in an avoirdupois pound (international yard and pound agreement of 1959). */
const GRAMS: Readonly<Record<string, number>> = { KGM: 1_000, LBR: 453.59237 };
/** The heaviest that is taken, in the unit it is given in: ten times the largest ship's load. */
const WEIGHT_MAX = 2_000_000_000;

/** Thousandths of a degree Celsius that `Equipment.temperature_millicelsius` can hold. */
const COLDEST_MILLICELSIUS = -273_150;
const HOTTEST_MILLICELSIUS = 100_000;

/** ISO 6346 names a refrigerated container by an R in the third place: `22R1`, `45RT`. */
const REEFER = /^..R/;

/** The equipment asked for, and the units that are named already. */
export interface EquipmentReading {
  readonly equipment: Equipment[];
  readonly units: Unit[];
}

/** Reads `requestedEquipments`, at least one. */
export function readEquipment(booking: JsonObject): EquipmentReading {
  const requested = booking.objects("requestedEquipments");
  if (requested.length === 0) booking.violation("requestedEquipments", "is needed: what is asked for");
  if (requested.length > EQUIPMENT_MAX) {
    booking.violation("requestedEquipments", `has ${requested.length} elements; at most ${EQUIPMENT_MAX} are kept`);
    return { equipment: [], units: [] };
  }
  const units = new Map<string, Unit>();
  const equipment = requested.map((one) => readOne(one, units));
  if (units.size > UNITS_MAX) {
    booking.violation("requestedEquipments", `names ${units.size} units; at most ${UNITS_MAX} are kept`);
  }
  return { equipment, units: [...units.values()] };
}

function readOne(requested: JsonObject, units: Map<string, Unit>): Equipment {
  const code = requested.text("ISOEquipmentCode", { needed: true, max: 20 });
  for (const id of requested.texts("equipmentReferences", UNIT_ID).map(unitIdFrom)) {
    units.set(id, create(UnitSchema, { id, kind: UnitKind.CONTAINER, isoEquipmentCode: code }));
  }
  const nonOperatingReefer = requested.flag("isNonOperatingReefer");
  const temperature = readTemperature(requested, nonOperatingReefer);
  if (REEFER.test(code) && !nonOperatingReefer && !requested.has("activeReeferSettings")) {
    requested.violation("activeReeferSettings", "is needed for a reefer that cools");
  }
  return create(EquipmentSchema, {
    isoEquipmentCode: code,
    units: requested.number("units", { needed: true, whole: true, min: 1, max: 10_000 }) ?? 0,
    shipperOwned: requested.flag("isShipperOwned"),
    nonOperatingReefer,
    ...(temperature === undefined ? {} : { temperatureMillicelsius: temperature }),
    commodities: readCommodities(requested),
  });
}

/** `Unit.id`. */
export const UNIT_ID = {
  max: 35,
  pattern: /^[A-Za-z0-9][A-Za-z0-9._/ -]*$/,
  expected: "the mark of a unit",
} as const;

/**
 * A unit's id from the mark that a source wrote: without blanks, and a container's number without the hyphen or slash that
 * people put before the check digit (`MSKU 687433-3` is `MSKU6874333`).
 */
export function unitIdFrom(mark: string): string {
  const id = mark.replaceAll(" ", "").toUpperCase();
  return /^[A-Z]{4}\d{6}[-/]\d$/.test(id) ? id.slice(0, 10) + id.slice(11) : id;
}

function readTemperature(requested: JsonObject, nonOperating: boolean): number | undefined {
  const settings = requested.object("activeReeferSettings");
  if (!settings.present) return undefined;
  const setpoint = settings.number("temperatureSetpoint", { needed: true, min: -1_000, max: 1_000 });
  const unit = settings.text("temperatureUnit", { needed: true, pattern: /^(CEL|FAH)$/, expected: "CEL or FAH" });
  if (setpoint === undefined || unit === "") return undefined;
  if (nonOperating) {
    settings.note("temperatureSetpoint", "is not kept: the reefer does not cool");
    return undefined;
  }
  const celsius = unit === "FAH" ? ((setpoint - 32) * 5) / 9 : setpoint;
  const millicelsius = Math.round(celsius * 1_000);
  if (millicelsius >= COLDEST_MILLICELSIUS && millicelsius <= HOTTEST_MILLICELSIUS) return millicelsius;
  settings.violation("temperatureSetpoint", `${setpoint} ${unit} is no temperature of a container`);
  return undefined;
}

function readCommodities(requested: JsonObject): Commodity[] {
  const listed = requested.objects("commodities");
  if (listed.length > COMMODITIES_MAX) {
    requested.violation("commodities", `has ${listed.length} elements; at most ${COMMODITIES_MAX} are kept`);
    return [];
  }
  const commodities = listed.map(readCommodity);
  const [only, ...others] = commodities;
  // The weight of the equipment's whole cargo is its only commodity's.
  if (only && others.length === 0 && only.grossWeightGrams === 0n && requested.has("cargoGrossWeight")) {
    return [{ ...only, grossWeightGrams: readGrams(requested.object("cargoGrossWeight")) }];
  }
  return commodities;
}

function readCommodity(commodity: JsonObject): Commodity {
  const packaging = commodity.object("outerPackaging");
  const packages = packaging.number("numberOfPackages", { whole: true, min: 1, max: 100_000_000 });
  const dangerousGoods = packaging.objects("dangerousGoods").map(readDangerousGoods);
  if (dangerousGoods.length > 0 && packages === undefined) {
    packaging.violation("numberOfPackages", "is needed for dangerous goods");
  }
  if (dangerousGoods.length > DANGEROUS_GOODS_MAX) {
    packaging.violation(
      "dangerousGoods",
      `has ${dangerousGoods.length} elements; at most ${DANGEROUS_GOODS_MAX} are kept`,
    );
  }
  const hsCodes = commodity.texts("HSCodes", { pattern: /^\d{6,10}$/, expected: "an HS code of 6 to 10 digits" });
  if (hsCodes.length > HS_CODES_MAX) commodity.violation("HSCodes", `has more than ${HS_CODES_MAX} elements`);
  return create(CommoditySchema, {
    type: commodity.text("commodityType", { needed: true, max: 550 }),
    grossWeightGrams: readGrams(commodity.object("cargoGrossWeight")),
    hsCodes,
    packages: packages ?? 0,
    dangerousGoods: dangerousGoods.filter((number) => number !== ""),
  });
}

/** The UN number with its prefix (`UN1950`), or the North American one where goods have no UN number. */
function readDangerousGoods(goods: JsonObject): string {
  const un = goods.text("UNNumber", { pattern: /^(UN)?\d{4}$/, expected: "a UN number of four digits" });
  const na = goods.text("NANumber", { pattern: /^(NA)?\d{4}$/, expected: "an NA number of four digits" });
  if (un !== "") return `UN${un.slice(-4)}`;
  if (na !== "") return `NA${na.slice(-4)}`;
  if (!goods.has("UNNumber") && !goods.has("NANumber")) goods.violation("UNNumber", "is needed, or NANumber");
  return "";
}

function readGrams(weight: JsonObject): bigint {
  if (!weight.present) return 0n;
  const value = weight.number("value", { needed: true, min: 0, max: WEIGHT_MAX });
  const unit = weight.text("unit", { needed: true, pattern: /^(KGM|LBR)$/, expected: "KGM or LBR" });
  return value === undefined || unit === "" ? 0n : BigInt(Math.round(value * (GRAMS[unit] ?? 0)));
}
