import { describe, expect, test } from "vitest";
import {
  isAirWaybill,
  isContainerNumber,
  isImoNumber,
  looksLikeContainer,
  waybillSpellings,
  withCheckDigit,
} from "../../src/domain/identifiers.ts";

describe("container numbers (ISO 6346)", () => {
  test.each(["MSKU6874333", "CSQU3054383", "MEDU3170580", "SITU9130070", "CMAU4049810", "APZU4812090"])(
    "%s is one",
    (text) => expect(isContainerNumber(text)).toBe(true),
  );
  test.each([
    ["APNR7744962", "a fourth letter that is no category"],
    ["MSCU1234567", "a wrong check digit"],
    ["GMCU6094137", "a wrong check digit"],
    ["CSNU6829161", "a wrong check digit"],
    ["MSKU687433", "too few digits"],
    ["msku6874333", "small letters"],
    ["MSKU 6874333", "a space"],
    ["", "nothing"],
  ])("%s is none: %s", (text) => expect(isContainerNumber(text)).toBe(false));

  test("changing any one of its six digits makes a container number wrong", () => {
    const right = "MSKU6874333";
    const others = [4, 5, 6, 7, 8, 9].flatMap((at) =>
      [..."0123456789"].filter((d) => d !== right[at]).map((d) => right.slice(0, at) + d + right.slice(at + 1)),
    );
    expect(others.filter(isContainerNumber)).toEqual([]);
  });

  test("a number with a wrong check digit still looks like a container", () => {
    expect(looksLikeContainer("MSCU1234567")).toBe(true);
    expect(looksLikeContainer("PALLET-1")).toBe(false);
  });
});

test.each([
  ["CSQU305438", "CSQU3054383"],
  ["MSKU687433", "MSKU6874333"],
  ["CSQU3054383", "CSQU3054383"],
  ["CSQX305438", "CSQX305438"],
  ["pallet-1", "pallet-1"],
])("%s with its check digit is %s", (text, whole) => {
  expect(withCheckDigit(text)).toBe(whole);
});

describe("vessel numbers (IMO)", () => {
  test.each(["9321483", "9298686", "9352004", "9710438", "9450571"])("%s is one", (text) =>
    expect(isImoNumber(text)).toBe(true),
  );
  test.each(["7654321", "9456789", "9330141", "9999999", "932148", "93214830", "IMO9321483"])("%s is none", (text) =>
    expect(isImoNumber(text)).toBe(false),
  );
});

describe("air waybill numbers", () => {
  test.each(["239-12345675", "901-00001875", "888-11111111", "23912345675"])("%s is one", (text) =>
    expect(isAirWaybill(text)).toBe(true),
  );
  test.each(["239-12345677", "239-12345678", "239-12345679", "239-12345674", "23-912345675", "239-1234567"])(
    "%s is none",
    (text) => expect(isAirWaybill(text)).toBe(false),
  );
});

test.each([
  ["239-12345675", ["239-12345675", "23912345675"]],
  ["23912345675", ["23912345675", "239-12345675"]],
  ["239-1", ["239-1"]],
])("%s is written as %j", (text, spellings) => {
  expect(waybillSpellings(text)).toEqual(spellings);
});
