import { create } from "@bufbuild/protobuf";
import { type Party, PartySchema, type Reference, ReferenceSchema } from "../../../gen/leadline/v1/place_pb.ts";
import type { JsonObject } from "./json-reader.ts";
import { readAddress } from "./places.ts";

/** Parties of a booking at most, and references; bounds of leadline.v1.BookingRequest. */
const PARTIES_MAX = 30;
const REFERENCES_MAX = 50;

/** The parties that stand in `documentParties` under a name of their own, and what each is here. */
const NAMED_PARTIES = [
  ["bookingAgent", "BOOKING_AGENT"],
  ["shipper", "SHIPPER"],
  ["consignee", "CONSIGNEE"],
  ["serviceContractOwner", "SERVICE_CONTRACT_OWNER"],
  ["carrierBookingOffice", "CARRIER_BOOKING_OFFICE"],
  ["issueTo", "ISSUE_TO"],
] as const;

/** The one function that several parties of a booking may have: notify parties beside the first two. */
const REPEATABLE_FUNCTION = "NI";

const CONTACT_MAX = 200;

/** Reads `documentParties`, those of `other` under their DCSA party function codes (`DDR`, `N1`, ...). */
export function readParties(documentParties: JsonObject): Party[] {
  const parties: Party[] = [];
  for (const [name, role] of NAMED_PARTIES) {
    const party = documentParties.object(name);
    if (party.present) parties.push(readParty(party, role));
  }
  const seen = new Set<string>();
  for (const entry of documentParties.objects("other")) {
    const role = entry.text("partyFunction", {
      needed: true,
      max: 3,
      pattern: /^[A-Z][A-Z0-9]*$/,
      expected: "a party function code",
    });
    if (role !== REPEATABLE_FUNCTION && seen.has(role)) {
      entry.violation(
        "partyFunction",
        `${role} stands here a second time; only ${REPEATABLE_FUNCTION} may be repeated`,
      );
    }
    seen.add(role);
    const party = readParty(entry.object("party"), role);
    if (role !== "") parties.push(party);
  }
  if (parties.length > PARTIES_MAX) {
    documentParties.violation("other", `makes ${parties.length} parties; at most ${PARTIES_MAX} are kept`);
    return [];
  }
  return parties;
}

function readParty(party: JsonObject, role: string): Party {
  const name = party.text("partyName", { needed: true });
  const [code, ...moreCodes] = party.objects("identifyingCodes");
  const [contact, ...moreContacts] = party.objects("partyContactDetails");
  if (moreCodes.length > 0) party.note("identifyingCodes", "only the first is kept");
  if (moreContacts.length > 0) party.note("partyContactDetails", "only the first is kept");
  const address = party.object("address");
  return create(PartySchema, {
    role,
    name,
    code: code?.text("partyCode", { needed: true }) ?? "",
    codeList: code?.text("codeListProvider", { needed: true, max: 20 }) ?? "",
    address: address.present ? readAddress(address) : "",
    contact: contact === undefined ? "" : readContact(contact),
  });
}

function readContact(contact: JsonObject): string {
  const parts = [contact.text("name"), contact.text("email"), contact.text("phone")].filter((part) => part !== "");
  const line = parts.join(", ");
  if (line.length <= CONTACT_MAX) return line;
  contact.note("email", "is not kept: name, e-mail address and telephone number together are too long");
  return parts[0] ?? "";
}

/**
 * The references of a booking: those it lists, purchase orders, numbers that the shipper reserved or agreed, and the carrier's
 * booking reference where a carrier's copy has one, so that events find the booking by it.
 */
export function readReferences(booking: JsonObject): Reference[] {
  const found = readTypedReferences(booking, "references");
  const shipper = booking.object("documentParties").object("shipper");
  add(found, "PO", shipper.texts("purchaseOrderReferences"));
  add(found, "TRD", [booking.text("transportDocumentReference"), ...booking.texts("transportDocumentReferences")]);
  add(found, "CQU", [booking.text("contractQuotationReference")]);
  add(found, "BKG", [booking.text("carrierBookingReference", { max: 35 })]);
  if (found.size > REFERENCES_MAX) {
    booking.violation("references", `makes ${found.size} references; at most ${REFERENCES_MAX} are kept`);
    return [];
  }
  return [...found.values()];
}

function readTypedReferences(object: JsonObject, name: string): Map<string, Reference> {
  const found = new Map<string, Reference>();
  for (const reference of object.objects(name)) {
    const type = reference.text("type", { ...REFERENCE_TYPE, needed: true });
    const value = reference.text("value", { needed: true });
    if (type !== "") add(found, type, [value]);
  }
  return found;
}

/** What `Reference.type` may be. */
export const REFERENCE_TYPE = {
  max: 16,
  pattern: /^[A-Z][A-Z0-9_]*$/,
  expected: "a reference type: capital letters, digits and underscores",
} as const;

function add(to: Map<string, Reference>, type: string, values: readonly string[]): void {
  for (const value of values) {
    if (value !== "") to.set(`${type}:${value}`, create(ReferenceSchema, { type, value }));
  }
}
