import type { Role } from "../../gen/leadline/v1/tenant_pb.ts";

/** Who calls. The tenant comes from here and from nowhere else. */
export type Principal =
  | { readonly kind: "service-owner"; readonly id: string }
  | {
      readonly kind: "key";
      /** The key's id (`key_...`); it is the actor of the events it causes. */
      readonly id: string;
      /** The key's name: the default source of its reports. */
      readonly name: string;
      readonly tenant: string;
      readonly role: Role;
      /** The carrier's code; empty unless the role is CARRIER. */
      readonly carrier: string;
      readonly expiresAtMs: number | undefined;
      /** It is the service owner's, to help the tenant: what it calls is in the audit journal. */
      readonly support?: boolean;
    }
  | {
      /** A JSON Web Token of the deployment's identity provider. */
      readonly kind: "token";
      /** `jwt_` and a hash of issuer, tenant and subject; it is the actor of the events it causes. */
      readonly id: string;
      /** The subject: the default source of its reports. */
      readonly name: string;
      readonly tenant: string;
      readonly role: Role;
      /** The carrier's code; empty unless the role is CARRIER. */
      readonly carrier: string;
      readonly expiresAtMs: number;
      /** The name (`kid`) of the key that signed it; empty: the token names none. */
      readonly signer: string;
    }
  | {
      readonly kind: "link";
      readonly id: string;
      readonly tenant: string;
      readonly orderId: string;
      readonly expiresAtMs: number;
    };

/** What a reader may see of events: everything of the tenant, one carrier's bookings, or one order. */
export type Visibility =
  | { readonly class: "staff" }
  | { readonly class: "carrier"; readonly carrier: string }
  | { readonly class: "link"; readonly orderId: string };
