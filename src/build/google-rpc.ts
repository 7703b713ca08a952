/**
 * The messages of `google.rpc` that errors carry, restated with their public names, field numbers and types: no npm package
 * that we depend on has their `.proto`. Only what errors of ours use is here; other details pass through as `Any`.
 */
export const googleRpcFiles: Readonly<Record<string, string>> = {
  "google/rpc/status.proto": `syntax = "proto3";

package google.rpc;

import "google/protobuf/any.proto";

// A call's outcome: what the trailer grpc-status-details-bin carries.
message Status {
  // The gRPC status code.
  int32 code = 1;
  // For people.
  string message = 2;
  // What programs act on.
  repeated google.protobuf.Any details = 3;
}
`,
  "google/rpc/error_details.proto": `syntax = "proto3";

package google.rpc;

import "google/protobuf/duration.proto";

// Why a call was refused, for programs.
message ErrorInfo {
  // The reason: a name that is unique in the domain.
  string reason = 1;
  // Whose reason it is.
  string domain = 2;
  // What was refused.
  map<string, string> metadata = 3;
}

// When a refused call is worth another try.
message RetryInfo {
  // Wait at least this long.
  google.protobuf.Duration retry_delay = 1;
}

// Which fields of a request were refused.
message BadRequest {
  // One refused field.
  message FieldViolation {
    // The path of the field in the request.
    string field = 1;
    // What it should be.
    string description = 2;
  }
  // All refused fields that were found.
  repeated FieldViolation field_violations = 1;
}
`,
};
