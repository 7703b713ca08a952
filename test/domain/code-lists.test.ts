import { describe, expect, it, test } from "vitest";
import { CodeList, CodeListSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { nothingOwn } from "../../src/domain/code-meanings.ts";
import { CODE_LISTS, meaningOf } from "../../src/domain/flows/code-lists.ts";
import { TEMPLATES } from "../../src/domain/flows/templates.ts";
import { legEndOf, MILESTONE_KINDS, statusFor } from "../../src/domain/milestone-kinds.ts";
import { STANDARD_FLOW } from "../../src/domain/standard-flow.ts";
import { statusFlow } from "../../src/domain/status-flow.ts";

/** The codes of the standards, written from their lists and not from the code. */
const TRANSPORT = "ARRI DEPA";
const EQUIPMENT = "LOAD DISC GTIN GTOT STUF STRP PICK AVPU DROP AVDO INSP RSEA RMVD CUSS CUSI CUSR CROS WAYP";
const FSU = "BKD FOH RCS DOC PRE MAN DEP ARR RCF RCT TFD TRM TGC AWR NFD CRC CCD AWD DLV DPU DDL FIW FOW OCI OSI DIS";
const DISCREPANCIES = "FDAV FDAW FDCA FDMB MSAV MSAW MSCA MSMB OFLD OVCD SSPD DFLD";
const DOCUMENTS =
  "CBR BKG SHI TRD DEI DEO TRO CRO ARN VGM CAS CUC DGD OOG CQU INV HCE PCE VCE FCE ICE CEA CEO AMF PFD SRM CUS";
const SHIPMENT =
  "RECE DRFT PENA PENU PENC CONF REJE APPR ISSU SURR SUBM VOID REQS CMPL HOLD RELS CANC " +
  "AMRE AMPR AMCF AMDC AMCN CARE CACF CADC DECL PENM UPRE UPDT UPCF UPDC UPCN PSAM PSDL SUAM SUDL";
const STATES = DOCUMENTS.split(" ").flatMap((one) => SHIPMENT.split(" ").map((state) => `${one}:${state}`));
const X12_214 = "X3 CP AF X6 X4 P1 X1 D1 AP A7 A3 A9 SD";
const HOLDS = "PA PB PC PD PE PF PG PH PI PJ PK PL PM PN PO PP";
const X12_315 = `EE I OA AE VD VA UV AL AR AV CR CT CU FT NF BF BR D X1 P ${HOLDS} A1 A2 A3 A4`;
const REC_24 = "1 6 7 12 13 16 17 18 20 21 23 24 25 31 36 44 45";

const sorted = (codes: string) => codes.split(" ").sort();

describe("the code lists", () => {
  it.each([
    ["DCSA transport", CodeList.DCSA_TRANSPORT, TRANSPORT],
    ["DCSA equipment", CodeList.DCSA_EQUIPMENT, EQUIPMENT],
    ["DCSA shipment", CodeList.DCSA_SHIPMENT, STATES.join(" ")],
    ["DCSA IoT", CodeList.DCSA_IOT, "DRO DRC LOC"],
    ["DCSA reefer", CodeList.DCSA_REEFER, "MEAS ADJU"],
    ["IATA FSU", CodeList.IATA_FSU, `${FSU} ${DISCREPANCIES}`],
    ["X12 214", CodeList.X12_214, X12_214],
    ["X12 315", CodeList.X12_315, X12_315],
    ["IFTSTA with the letters of X12 315", CodeList.IFTSTA, `${REC_24} ${X12_315}`],
  ])("have every code of %s, each with what it means", (_, list, codes) => {
    const listed = [...(CODE_LISTS.get(list)?.values() ?? [])];
    expect(listed.map(({ code }) => code).sort()).toEqual(sorted(codes));
    expect(listed.filter(({ meaning }) => meaning === "")).toEqual([]);
  });

  it("lead to milestones that are known, but for two that move nothing", () => {
    // The states of documents are milestones that orders take nothing from.
    const lists = [...CODE_LISTS].filter(([list]) => list !== CodeList.DCSA_SHIPMENT);
    const all = lists.flatMap(([, codes]) => [...codes.values()]);
    expect(all.filter(({ milestone }) => milestone === "").map(({ code }) => code)).toEqual(["OCI", "OSI"]);
    const unknown = all.filter(({ milestone }) => milestone !== "" && !Object.hasOwn(MILESTONE_KINDS, milestone));
    expect(unknown).toEqual([]);
  });

  it("have all lists of the contract", () => {
    expect([...CODE_LISTS.keys()].sort()).toEqual(
      CodeListSchema.values.map(({ number }) => number).filter((number) => number > 0),
    );
  });

  it("know nothing of codes that an object brings along", () => {
    expect(meaningOf({ list: CodeList.IATA_FSU, code: "constructor", carrier: "" }, nothingOwn)).toBeUndefined();
  });
});

/**
 * What an order takes from each code, alone on one leg: the milestone, `!` where something went wrong, then its status in the
 * standard flow and the templates for ocean, air, road and parcel. Codes that move none of them stand together.
 */
const TABLE = `
ARRI ARR VA 1    ARRIVED                  ARRIVED PORT_REACHED ARRIVED AT_DELIVERY DESTINATION_DEPOT
DEPA DEP AF VD 24 DEPARTED                IN_TRANSIT SAILED DEPARTED IN_TRANSIT IN_TRANSIT
LOAD CP AE DFLD  LOADED                   READY LOADED MANIFESTED LOADED COLLECTED
DISC UV          DISCHARGED               ARRIVED DISCHARGED ARRIVED - DESTINATION_DEPOT
GTIN I           GATE_IN                  READY GATED_IN ACCEPTED AT_PICK_UP COLLECTED
GTOT OA          GATE_OUT                 OUT_FOR_DELIVERY GATED_OUT OUT_FOR_DELIVERY IN_TRANSIT OUT_FOR_DELIVERY
EE               EMPTY_PICKED_UP          - EMPTY_PICKED_UP - - -
PICK DPU 13      PICKED_UP                READY - - LOADED COLLECTED
AVPU AV          AVAILABLE_FOR_PICK_UP    ARRIVED DISCHARGED ARRIVED - DESTINATION_DEPOT
CUSR CCD CT 12   CUSTOMS_RELEASED         - CUSTOMS_CLEARED - - -
CROS 16          BORDER_CROSSED           IN_TRANSIT SAILED DEPARTED IN_TRANSIT IN_TRANSIT
BKD BF 6         BOOKED                   BOOKED BOOKED BOOKED BOOKED -
RCS              RECEIVED_BY_CARRIER      READY GATED_IN ACCEPTED LOADED COLLECTED
MAN              MANIFESTED               - - MANIFESTED - -
RCF              RECEIVED_FROM_FLIGHT     ARRIVED PORT_REACHED RECEIVED_FROM_FLIGHT - DESTINATION_DEPOT
NFD 45           CONSIGNEE_NOTIFIED       ARRIVED PORT_REACHED CONSIGNEE_NOTIFIED - DESTINATION_DEPOT
FOW              OUT_OF_WAREHOUSE         - - OUT_FOR_DELIVERY - -
DLV DDL D1 D 21  DELIVERED                DELIVERED DELIVERED DELIVERED DELIVERED DELIVERED
X3               ARRIVED_AT_PICK_UP       - - - AT_PICK_UP -
X6 31            EN_ROUTE                 IN_TRANSIT SAILED DEPARTED IN_TRANSIT IN_TRANSIT
X4               ARRIVED_AT_TERMINAL      - - - - DESTINATION_DEPOT
P1 P             DEPARTED_TERMINAL        - - - IN_TRANSIT IN_TRANSIT
X1               ARRIVED_AT_DELIVERY      OUT_FOR_DELIVERY GATED_OUT OUT_FOR_DELIVERY AT_DELIVERY OUT_FOR_DELIVERY
AP 23            DELIVERY_NOT_COMPLETED!  - - - DELIVERY_FAILED DELIVERY_FAILED
A7               REFUSED_BY_CONSIGNEE!    - - - DELIVERY_FAILED DELIVERY_FAILED
214:A3           RETURNED_TO_SHIPPER!     - - - - RETURNED
A9 18            DAMAGED!                 - - - - -
SD 20            DELAYED!                 - - - - -
25               DEPARTURE_DELAYED!       - - - - -
7                BOOKING_CANCELLED!       - - - - -
17               CUSTOMS_REFUSED!         - - - - -
36 MSAV MSAW MSCA MSMB NOT_FOUND!               - - - - -
44               MISROUTED!               - - - - -
DIS FDAV FDAW FDCA FDMB DISCREPANCY!      - - - - -
OFLD             OFFLOADED!               - - - - -
OVCD             OVERCARRIED!             - - - - -
SSPD             SHORT_SHIPPED!           - - - - -
DRO              DOOR_OPENED              - - - - -
DRC              DOOR_CLOSED              - - - - -
LOC              LOCATED                  - - - - -
MEAS             REEFER_MEASURED          - - - - -
ADJU             REEFER_ADJUSTED          - - - - -
FT               FREE_TIME_EXPIRED!       - - - - -
${HOLDS}         CUSTOMS_HELD!            - - - - -
NF               FREE_TIME_EXPIRES        - - - - -
TGC A1 A2 A3 A4  GOVERNMENT_CONTROL       - - - - -
STUF             STUFFED                  - - - - -
STRP             STRIPPED                 - - - - -
DROP             DROPPED_OFF              - - - - -
AVDO             AVAILABLE_FOR_DROP_OFF   - - - - -
INSP             INSPECTED                - - - - -
RSEA             RESEALED                 - - - - -
RMVD             REMOVED                  - - - - -
CUSS             CUSTOMS_SELECTED_FOR_SCAN - - - - -
CUSI             CUSTOMS_SELECTED_FOR_INSPECTION - - - - -
WAYP             WAYPOINT_PASSED          - - - - -
FOH              ON_HAND                  - - - - -
DOC              DOCUMENTS_RECEIVED       - - - - -
PRE              PREPARED_FOR_LOADING     - - - - -
RCT              RECEIVED_FROM_CARRIER    - - - - -
TFD              TRANSFERRED              - - - - -
TRM              TO_BE_TRANSFERRED        - - - - -
AWR              ARRIVAL_DOCUMENTS_RECEIVED - - - - -
CRC              CUSTOMS_REPORTED         - - - - -
AWD              DOCUMENTS_DELIVERED      - - - - -
FIW              INTO_WAREHOUSE           - - - - -
AL               LOADED_ON_RAIL           - - - - -
AR               RAIL_ARRIVED             - - - - -
CR               CARRIER_RELEASED         - - - - -
CU               RELEASED                 - - - - -
BR               BILL_RELEASED            - - - - -`;

describe("what an order takes from a code", () => {
  const flows = [STANDARD_FLOW, ...TEMPLATES.map(({ id, definition }) => statusFlow({ id, version: 1 }, definition))];
  const rows = TABLE.trim()
    .split("\n")
    .map((line) => {
      const words = line.split(/\s+/);
      const [milestone = "", ...statuses] = words.slice(-6);
      return {
        codes: words.slice(0, -6),
        milestone: milestone.replace("!", ""),
        exception: milestone.endsWith("!"),
        statuses,
      };
    });
  /** A3 alone is in two lists with two meanings. */
  const rowOf = (list: CodeList, code: string) =>
    rows.find(({ codes }) => codes.includes(list === CodeList.X12_214 && code === "A3" ? "214:A3" : code));

  test("nothing from the state of a document, whatever it is", () => {
    const states = [...(CODE_LISTS.get(CodeList.DCSA_SHIPMENT)?.values() ?? [])];
    const taken = states.flatMap(({ milestone }) =>
      flows.map((flow) => statusFor({ kind: milestone, leg: 0 }, [], flow)),
    );
    expect(new Set(taken)).toEqual(new Set([""]));
    expect(states.find(({ code }) => code === "BKG:CONF")).toMatchObject({
      milestone: "BKG_CONFIRMED",
      exception: false,
    });
    expect(states.filter(({ exception }) => exception).map(({ code }) => code.split(":")[1])).toEqual(
      DOCUMENTS.split(" ").map(() => "HOLD"),
    );
  });

  const lists = [...CODE_LISTS].filter(([list]) => list !== CodeList.DCSA_SHIPMENT);
  const listed = lists.flatMap(([list, codes]) => [...codes.values()].map((one) => ({ list, ...one })));

  test.each(listed.filter(({ milestone }) => milestone !== ""))(
    "$list $code",
    ({ list, code, milestone, exception }) => {
      const statuses = flows.map((flow) => statusFor({ kind: milestone, leg: 0 }, [], flow) || "-");
      const row = rowOf(list, code);
      expect({ milestone, exception, statuses }).toEqual({
        milestone: row?.milestone,
        exception: row?.exception,
        statuses: row?.statuses,
      });
    },
  );

  test("the templates are for ocean, air, road and parcel", () => {
    expect(TEMPLATES.map(({ id }) => id)).toEqual(["ocean", "air", "road", "parcel"].map((mode) => `template-${mode}`));
  });
});

test("what begins a leg and what ends it", () => {
  const ends = Object.keys(MILESTONE_KINDS).map((kind) => [kind, legEndOf(kind)] as const);
  const at = (end: string) => ends.flatMap(([kind, which]) => (which === end ? [kind] : [])).sort();
  expect(at("from")).toEqual(["DEPARTED", "LOADED", "MANIFESTED"]);
  expect(at("to")).toEqual(["ARRIVED", "DISCHARGED", "RECEIVED_FROM_FLIGHT"]);
});
