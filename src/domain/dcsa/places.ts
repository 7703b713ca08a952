import { create } from "@bufbuild/protobuf";
import { type Place, PlaceSchema } from "../../../gen/leadline/v1/place_pb.ts";
import { facilityTypeOf } from "./codes.ts";
import type { JsonObject, Names } from "./json-reader.ts";
import type { TextRule } from "./json-rules.ts";

/** Characters of `Place.name`, `Place.address` and `Party.address`. */
const NAME_MAX = 100;
const ADDRESS_MAX = 500;

const UN_LOCATION: TextRule = {
  max: 5,
  pattern: /^[A-Z]{2}[A-Z2-9]{3}$/,
  expected: "a UN/LOCODE: two letters, then three of A to Z and 2 to 9",
};
const COUNTRY: TextRule = { max: 2, pattern: /^[A-Z]{2}$/, expected: "an ISO 3166-1 alpha-2 country code" };

/** A place as it was read. */
export interface PlaceReading {
  /** Undefined: the source did not say where. */
  readonly place: Place | undefined;
  /** The facility type is written as older versions wrote it. */
  readonly obsolete: boolean;
}

/**
 * Reads a location. `sources` are the objects that may tell of it, the best first: versions of the standard put the parts of
 * one location into different objects, and each part is taken from the first that has it. What has neither UN/LOCODE, name nor
 * facility is named by its town, street or coordinates.
 */
export function readPlace(...sources: readonly JsonObject[]): PlaceReading {
  const facilities = sources.map((source) => source.object("facility"));
  const addresses = sources.map((source) => source.object("address"));
  const first = (names: Names, rule?: TextRule) => firstText(sources, names, rule);
  const facilityType = facilityTypeOf(first("facilityTypeCode", { max: 10 }));
  const facility = first("facilityCode", { max: 20 }) || firstText(facilities, "facilityCode", { max: 20 });
  const address = addresses.find((one) => one.present);
  const place = create(PlaceSchema, {
    unlocode: first("UNLocationCode", UN_LOCATION),
    facility,
    facilityCodeList: facility === "" ? "" : listOfFacility(sources, facilities),
    facilityType: facilityType.code,
    name:
      first("locationName", { max: NAME_MAX }) ||
      firstText(facilities, "facilityName", { max: NAME_MAX }) ||
      first("otherFacility", { max: NAME_MAX }),
    address: address === undefined ? "" : readAddress(address),
    countryCode: address === undefined ? "" : address.text("countryCode", COUNTRY),
  });
  const named = place.unlocode !== "" || place.name !== "" || place.facility !== "";
  const name = named ? place.name : fallbackName(sources, address);
  return {
    place: named || name !== "" ? { ...place, name } : undefined,
    obsolete: facilityType.obsolete,
  };
}

function listOfFacility(sources: readonly JsonObject[], facilities: readonly JsonObject[]): string {
  const rule: TextRule = { max: 10 };
  return (
    firstText(sources, "facilityCodeListProvider", rule) || firstText(facilities, "facilityCodeListProvider", rule)
  );
}

/** The postal address on one line, in the order in which the standard lists its parts; empty: none. */
export function readAddress(address: JsonObject): string {
  const parts = [
    address.text(["street", "streetName"]),
    address.text("streetNumber"),
    address.text("floor"),
    address.text("postCode"),
    address.text("POBox"),
    address.text(["city", "cityName"]),
    address.text("stateRegion"),
    address.text("country"),
    address.text("countryCode", { max: 2 }),
    ...address.texts("addressLines"),
  ].filter((part) => part !== "");
  const line = parts.join(", ");
  if (line.length <= ADDRESS_MAX) return line;
  address.violation("street", `the address is longer than ${ADDRESS_MAX} characters on one line`);
  return "";
}

function fallbackName(sources: readonly JsonObject[], address: JsonObject | undefined): string {
  const town = address?.text(["city", "cityName"]) || address?.text(["street", "streetName"]);
  if (town) return town;
  for (const source of sources) {
    const point = source.has("geoCoordinate") ? source.object("geoCoordinate") : source;
    const latitude = point.text("latitude", { max: 20 });
    const longitude = point.text("longitude", { max: 20 });
    if (latitude !== "" && longitude !== "") return `${latitude}, ${longitude}`;
  }
  return "";
}

/** Reads the field from the first object that has it; the field counts as read in the others as well. */
function firstText(objects: readonly JsonObject[], names: Names, rule?: TextRule): string {
  const values = objects.map((object) => object.text(names, rule));
  return values.find((value) => value !== "") ?? "";
}
