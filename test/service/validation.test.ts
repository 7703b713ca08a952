import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { RequestBookingRequestSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ImportItemsRequestSchema } from "../../gen/leadline/v1/import_service_pb.ts";
import {
  BatchReportStatusRequestSchema,
  CreateOrderRequestSchema,
  GetOrderRequestSchema,
  ListOrdersRequestSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { checkRequest } from "../../src/service/validation.ts";
import { oceanRequest } from "../domain/booking-world.ts";
import { refusalOf } from "./support.ts";

const NUL = "contains the character U+0000";

test("a request that keeps its rules passes, and one with a choice too", () => {
  const references = [{ type: "PO", value: "4711" }];
  checkRequest(CreateOrderRequestSchema, create(CreateOrderRequestSchema, { orderId: "PO-1", references }));
  const asOf = { case: "asOfRevision", value: 1n } as const;
  checkRequest(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "PO-1", asOf }));
});

test("a text with U+0000 is refused by the path of its field, however deep it lies", async () => {
  const at = (path: string) => ({ reason: ErrorReason.FIELD_INVALID, violations: [{ field: path, description: NUL }] });
  const order = create(CreateOrderRequestSchema, {
    references: [
      { type: "PO", value: "4711" },
      { type: "PO", value: "47\0" },
    ],
  });
  expect(await refusalOf(() => checkRequest(CreateOrderRequestSchema, order))).toMatchObject(at("references[1].value"));
  const filter = { carriers: ["MAEU", "\0"] };
  const list = create(ListOrdersRequestSchema, { filter });
  expect(await refusalOf(() => checkRequest(ListOrdersRequestSchema, list))).toMatchObject(at("filter.carriers[1]"));
  const booking = create(RequestBookingRequestSchema, { request: { ...oceanRequest(), remark: "a\0" } });
  expect(await refusalOf(() => checkRequest(RequestBookingRequestSchema, booking))).toMatchObject(at("request.remark"));
});

test("items that are taken one by one are left to whoever takes them, but their number is not", async () => {
  const items = [{ orderId: "not an id" }, {}];
  checkRequest(BatchReportStatusRequestSchema, create(BatchReportStatusRequestSchema, { items }));
  checkRequest(ImportItemsRequestSchema, create(ImportItemsRequestSchema, { items: ["", "\0"] }));
  const none = create(BatchReportStatusRequestSchema, {});
  expect(await refusalOf(() => checkRequest(BatchReportStatusRequestSchema, none))).toMatchObject({
    reason: ErrorReason.FIELD_INVALID,
    violations: [{ field: "items" }],
  });
});
