import { describe, expect, it } from "vitest";
import { BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import {
  bookingStateOf,
  DOCUMENT_TYPES,
  EQUIPMENT_CODES,
  equipmentMapping,
  IOT_CODES,
  REEFER_CODES,
  SHIPMENT_CODES,
  shipmentMapping,
  TRANSPORT_CODES,
} from "../../src/domain/dcsa/codes.ts";
import { MILESTONE_KINDS } from "../../src/domain/milestone-kinds.ts";

const anywhere = { empty: false, laden: false, facilityType: "" };

describe("the code tables", () => {
  it("have every code of Track & Trace 2.2 and 3.0", () => {
    const equipment = "LOAD DISC GTIN GTOT STUF STRP PICK AVPU DROP AVDO INSP RSEA RMVD CUSS CUSI CUSR CROS WAYP".split(
      " ",
    );
    const shipment = [
      "RECE DRFT PENA PENU PENC CONF REJE APPR ISSU SURR SUBM VOID REQS CMPL HOLD RELS CANC",
      "AMRE AMPR AMCF AMDC AMCN CARE CACF CADC DECL PENM UPRE UPDT UPCF UPDC UPCN PSAM PSDL SUAM SUDL",
    ].flatMap((line) => line.split(" "));
    const documents =
      "CBR BKG SHI TRD DEI DEO TRO CRO ARN VGM CAS CUC DGD OOG CQU INV HCE PCE VCE FCE ICE CEA CEO AMF PFD SRM CUS".split(
        " ",
      );
    expect(equipment.filter((code) => equipmentMapping(code, anywhere) === undefined)).toEqual([]);
    expect(Object.keys(EQUIPMENT_CODES).sort()).toEqual(equipment.sort());
    expect(Object.keys(SHIPMENT_CODES).sort()).toEqual(shipment.sort());
    expect(Object.keys(DOCUMENT_TYPES).sort()).toEqual(documents.sort());
    expect(Object.keys(TRANSPORT_CODES)).toEqual(["ARRI", "DEPA"]);
    expect(Object.keys(IOT_CODES)).toEqual(["DRO", "DRC", "LOC"]);
    expect(Object.keys(REEFER_CODES)).toEqual(["MEAS", "ADJU"]);
  });

  it("name kinds that a milestone may have, whatever the document", () => {
    const kinds = Object.keys(SHIPMENT_CODES).flatMap((code) =>
      Object.keys(DOCUMENT_TYPES).map((document) => shipmentMapping(code, document)?.kind ?? ""),
    );
    const others = [EQUIPMENT_CODES, TRANSPORT_CODES, IOT_CODES, REEFER_CODES]
      .flatMap((table) => Object.values(table))
      .map((m) => m.kind);
    expect([...kinds, ...others].filter((kind) => !/^[A-Z][A-Z0-9_]{0,31}$/.test(kind))).toEqual([]);
  });

  it("lead every movement of transport and equipment but an obsolete one to a known kind of milestone", () => {
    const moves = [...Object.values(EQUIPMENT_CODES), ...Object.values(TRANSPORT_CODES)].filter((m) => !m.obsolete);
    expect(moves.map((m) => m.kind).filter((kind) => !(kind in MILESTONE_KINDS))).toEqual([]);
  });

  it.each([
    ["WAYP", true],
    ["LOAD", undefined],
  ])("tell whether %s is obsolete: %s", (code, obsolete) => {
    expect(equipmentMapping(code, anywhere)?.obsolete).toBe(obsolete);
  });

  it("take the 2.2 code of customs inspection for the 3.0 one, as obsolete", () => {
    expect(shipmentMapping("HOLD", "CUS")).toEqual({ kind: "CUC_ON_HOLD", obsolete: true, exception: true });
    expect(shipmentMapping("RELS", "CUC")).toEqual({ kind: "CUC_RELEASED", obsolete: false, exception: false });
  });

  it("know nothing of codes and names that an object brings along", () => {
    expect(equipmentMapping("constructor", anywhere)).toBeUndefined();
    expect(shipmentMapping("toString", "BKG")).toBeUndefined();
    expect(bookingStateOf("__proto__")).toBeUndefined();
  });

  it.each([
    ["PENDING UPDATE", BookingState.PENDING_UPDATE],
    ["PENDING_UPDATE", BookingState.PENDING_UPDATE],
    ["UPDATE RECEIVED", BookingState.UPDATE_RECEIVED],
    ["PENDING AMENDMENT", BookingState.PENDING_AMENDMENT],
    ["CONFIRMED", BookingState.CONFIRMED],
    ["SHIPPED", undefined],
  ])("read the booking status %s", (status, state) => {
    expect(bookingStateOf(status)).toBe(state);
  });
});
