"""Contracts that hold one of everything that ProtoJSON has a rule for, in each dialect of the language."""

PROTO3 = """
syntax = "proto3";
package conformance.v1;

import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

service Conformance {
  rpc Echo(All) returns (All) {
    option (google.api.http) = {post: "/all" body: "*" additional_bindings {get: "/all"}};
  }
}

enum Color {
  COLOR_UNSPECIFIED = 0;
  RED = 1;
  NEGATIVE = -1;
}

message Inner {
  string text = 1;
  int32 number = 2;
}

message All {
  int32 int32 = 1;
  int64 int64 = 2;
  uint32 uint32 = 3;
  uint64 uint64 = 4;
  sint32 sint32 = 5;
  sint64 sint64 = 6;
  fixed32 fixed32 = 7;
  fixed64 fixed64 = 8;
  sfixed32 sfixed32 = 9;
  sfixed64 sfixed64 = 10;
  float float = 11;
  double double = 12;
  bool bool = 13;
  string string = 14;
  bytes bytes = 15;
  Color color = 16;
  Inner inner = 17;
  All all = 18;

  optional int32 maybe_int32 = 21;
  optional string maybe_string = 22;
  optional Color maybe_color = 23;
  optional double maybe_double = 24;

  repeated int32 many_int32 = 31;
  repeated string many_string = 32;
  repeated Color many_color = 33;
  repeated Inner many_inner = 34;
  repeated bytes many_bytes = 35;
  repeated double many_double = 36;
  repeated int64 many_int64 = 37;
  repeated bool many_bool = 38;
  repeated google.protobuf.BoolValue many_bool_value = 39;
  repeated google.protobuf.Duration many_duration = 40;
  repeated google.protobuf.Value many_value = 41;
  repeated google.protobuf.Any many_any = 42;
  repeated google.protobuf.NullValue many_null = 43;

  map<int32, int32> of_int32 = 51;
  map<int64, int64> of_int64 = 52;
  map<uint32, uint32> of_uint32 = 53;
  map<uint64, uint64> of_uint64 = 54;
  map<sint32, sint32> of_sint32 = 55;
  map<sint64, sint64> of_sint64 = 56;
  map<fixed32, fixed32> of_fixed32 = 57;
  map<fixed64, fixed64> of_fixed64 = 58;
  map<sfixed32, sfixed32> of_sfixed32 = 59;
  map<sfixed64, sfixed64> of_sfixed64 = 60;
  map<bool, bool> of_bool = 61;
  map<string, string> of_string = 62;
  map<string, bytes> to_bytes = 63;
  map<string, Inner> to_inner = 64;
  map<string, Color> to_color = 65;
  map<string, float> to_float = 66;
  map<string, google.protobuf.Value> to_value = 67;
  map<string, google.protobuf.Timestamp> to_timestamp = 68;

  oneof one {
    int32 one_int32 = 71;
    Inner one_inner = 72;
    string one_string = 73;
    bytes one_bytes = 74;
    google.protobuf.NullValue one_null = 75;
    Color one_color = 76;
    google.protobuf.Value one_value = 77;
  }

  google.protobuf.BoolValue bool_value = 81;
  google.protobuf.Int32Value int32_value = 82;
  google.protobuf.Int64Value int64_value = 83;
  google.protobuf.UInt32Value uint32_value = 84;
  google.protobuf.UInt64Value uint64_value = 85;
  google.protobuf.FloatValue float_value = 86;
  google.protobuf.DoubleValue double_value = 87;
  google.protobuf.StringValue string_value = 88;
  google.protobuf.BytesValue bytes_value = 89;

  google.protobuf.Duration duration = 91;
  google.protobuf.Timestamp timestamp = 92;
  google.protobuf.FieldMask field_mask = 93;
  google.protobuf.Struct struct = 94;
  google.protobuf.Any any = 95;
  google.protobuf.Value value = 96;
  google.protobuf.ListValue list_value = 97;
  google.protobuf.NullValue null = 98;
  google.protobuf.Empty empty = 99;

  int32 fieldname1 = 401;
  int32 field_name2 = 402;
  int32 _field_name3 = 403;
  int32 field__name4_ = 404;
  int32 field0name5 = 405;
  int32 field_0_name6 = 406;
  int32 fieldName7 = 407;
  int32 FieldName8 = 408;
  int32 FIELD_NAME9 = 409;
  int32 renamed = 410 [json_name = "a b-c"];
}
"""

PROTO2 = """
syntax = "proto2";
package conformance.two;

import "google/api/annotations.proto";

service Conformance {
  rpc Echo(All) returns (All) {
    option (google.api.http) = {post: "/all" body: "*" additional_bindings {get: "/all/{required}/{result.number}"}};
  }
}

enum Closed {
  ONE = 1;
  TWO = 2;
  NEGATIVE = -1;
}

enum FromZero {
  ZERO = 0;
}

message Inner {
  optional string text = 1;
}

message All {
  required int32 required = 1;
  optional int32 int32 = 2 [default = 7];
  optional string string = 3 [default = "x"];
  optional Closed closed = 4 [default = TWO];
  repeated Closed many_closed = 5;
  repeated int32 packed = 6 [packed = true];
  repeated int32 unpacked = 7;
  optional group Result = 8 {
    optional string page_url = 1;
    required int32 number = 2;
  }
  repeated group Item = 9 {
    optional string text = 1;
  }
  map<string, FromZero> to_closed = 10;
  oneof one {
    int32 one_int32 = 11;
    string one_string = 12;
    group OneGroup = 13 {
      optional int32 x = 1;
    }
  }
  optional Inner inner = 14;
  optional All all = 15;
  repeated All many_all = 16;
  map<string, All> to_all = 17;
  extensions 100 to 200;
}

extend All {
  optional int32 ext_int32 = 100;
  repeated string ext_strings = 101;
  optional Inner ext_inner = 102;
  optional Closed ext_closed = 103;
  optional group ExtGroup = 104 {
    optional int32 x = 1;
  }
}

message Scope {
  extend All {
    optional Inner ext_scoped = 110;
  }
}
"""

EDITION_2023 = """
edition = "2023";
package conformance.editions;

import "google/api/annotations.proto";

option features.field_presence = IMPLICIT;

service Conformance {
  rpc Echo(All) returns (All) {
    option (google.api.http) = {post: "/all" body: "*" additional_bindings {get: "/all/{required}"}};
  }
}

enum Open {
  OPEN_ZERO = 0;
  OPEN_ONE = 1;
}

enum Closed {
  option features.enum_type = CLOSED;
  CLOSED_ZERO = 0;
  CLOSED_ONE = 1;
}

message Inner {
  string text = 1;
}

message All {
  int32 implicit = 1;
  int32 explicit = 2 [features.field_presence = EXPLICIT];
  int32 required = 3 [features.field_presence = LEGACY_REQUIRED];
  int32 defaulted = 4 [features.field_presence = EXPLICIT, default = 5];
  Open open = 5;
  Closed closed = 6 [features.field_presence = EXPLICIT];
  repeated Closed many_closed = 7;
  Inner delimited = 8 [features.message_encoding = DELIMITED];
  repeated Inner many_delimited = 9 [features.message_encoding = DELIMITED];
  repeated int32 expanded = 10 [features.repeated_field_encoding = EXPANDED];
  map<string, Inner> to_inner = 11;
  extensions 100 to 200;
}

extend All {
  int32 ext_int32 = 100;
  Inner ext_delimited = 101 [features.message_encoding = DELIMITED];
  repeated Open ext_open = 102;
}
"""
