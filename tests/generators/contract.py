"""A contract with every kind of field, rule, method and name that a generated client meets."""

EVERYTHING = """
syntax = "proto3";
// Everything. With "quotes", `backquotes`, */ and \\\\ backslashes.
package every.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/api/field_info.proto";
import "google/api/httpbody.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "google/type/money.proto";
import "meshwright/policy/v1/policy.proto";

// Every kind of method.
service Every {
  // Gives back what it gets. */ "Twice", or `once`.
  rpc Echo(Thing) returns (Thing) {
    option (google.api.http) = {
      post: "/v1/things" body: "*"
      additional_bindings {get: "/v1/things:find"}
      additional_bindings {put: "/v1/things/{long_value}/{kind}/{text}" body: "*"}
      additional_bindings {post: "/v1/things/{inner.text}/{inner.deeper.text}:deep" body: "*"}
      additional_bindings {post: "/v1/things:list" body: "texts" response_body: "texts"}
      additional_bindings {post: "/v1/things:map" body: "counts" response_body: "counts"}
      additional_bindings {post: "/v1/things:long" body: "long_value" response_body: "long_value"}
      additional_bindings {post: "/v1/things:kind" body: "kind" response_body: "kind"}
      additional_bindings {post: "/v1/things:value" body: "value" response_body: "value"}
      additional_bindings {post: "/v1/things:time" body: "time" response_body: "time"}
      additional_bindings {post: "/v1/things/{choice_text}:choose" body: "*"}
      additional_bindings {custom: {kind: "PURGE" path: "/v1/things"}}
    };
  }
  rpc Get(GetRequest) returns (Resource) {
    option (google.api.http) = {
      get: "/v1/{name=shelves/*/books/*}"
      additional_bindings {get: "/v1/files/{name=**}"}
      additional_bindings {get: "/v1/*/any/{name}"}
    };
  }
  rpc Create(CreateRequest) returns (Resource) {
    option (google.api.http) = {post: "/v1/{parent=shelves/*}/books" body: "resource"};
    option (meshwright.policy.v1.method) = {http_status: 201};
  }
  rpc Update(UpdateRequest) returns (Resource) {
    option (google.api.http) = {
      patch: "/v1/{resource.name=shelves/*/books/*}" body: "resource"
      additional_bindings {put: "/v1/{resource.name=shelves/*/books/*}" body: "resource"}
      additional_bindings {patch: "/v2/{resource.name=shelves/*/books/*}" body: "*"}
    };
  }
  rpc Delete(GetRequest) returns (google.protobuf.Empty) {
    option deprecated = true;
    option (google.api.http) = {delete: "/v1/{name=shelves/*/books/*}"};
    option (meshwright.policy.v1.method) = {http_status: 204};
  }
  rpc List(ListRequest) returns (ListResponse) {
    option (google.api.http) = {get: "/v1/shelves/{shelf}/books"};
  }
  rpc Ping(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {
      get: "/v1/ping"
      additional_bindings {post: "/v1/ping" body: "*"}
      additional_bindings {post: "/v1/ping:none"}
    };
  }
  rpc Rules(Ruled) returns (Ruled) {
    option (google.api.http) = {
      post: "/v1/rules" body: "*"
      additional_bindings {get: "/v1/rules"}
    };
  }
  rpc SignIn(Form) returns (Form) {
    option (google.api.http) = {
      post: "/v1/forms" body: "*"
      additional_bindings {post: "/v1/forms/{name}" body: "*"}
    };
  }
  rpc Upload(Upload_) returns (google.api.HttpBody) {
    option (google.api.http) = {
      put: "/v1/uploads/{name}" body: "file"
      additional_bindings {get: "/v1/uploads/{name}"}
    };
  }
  rpc Raw(google.api.HttpBody) returns (google.api.HttpBody) {
    option (google.api.http) = {post: "/v1/raw" body: "*"};
  }
  rpc Watch(ListRequest) returns (stream Resource) {
    option (google.api.http) = {get: "/v1/shelves/{shelf}/books:watch"};
  }
  rpc Download(GetRequest) returns (stream google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/downloads/{name}"};
  }
  rpc Collect(stream Resource) returns (Inner) {
    option (google.api.http) = {post: "/v1/collect" body: "*"};
  }
  rpc Chat(stream Resource) returns (stream Resource) {
    option (google.api.http) = {post: "/v1/chat" body: "*"};
  }
  rpc Struct(google.protobuf.Struct) returns (google.protobuf.Struct) {
    option (google.api.http) = {post: "/v1/struct" body: "*"};
  }
  rpc Value(google.protobuf.Value) returns (google.protobuf.Value) {
    option (google.api.http) = {post: "/v1/value" body: "*"};
  }
  rpc Time(google.protobuf.Timestamp) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/v1/time" body: "*"};
  }
  rpc Wrapped(google.protobuf.Int64Value) returns (google.protobuf.DoubleValue) {
    option (google.api.http) = {post: "/v1/wrapped" body: "*"};
  }
  rpc Any(google.protobuf.Any) returns (google.protobuf.Any) {
    option (google.api.http) = {post: "/v1/any" body: "*"};
  }
  rpc Import(Class) returns (Error) {
    option (google.api.http) = {
      post: "/v1/class/{class}" body: "*"
      additional_bindings {get: "/v1/class/{class}"}
    };
  }
  rpc Range(Problem) returns (String) {
    option (google.api.http) = {post: "/v1/problem" body: "*"};
  }
  rpc Hidden(Thing) returns (Thing);
}

// Another service with a method of the same name.
service Other {
  rpc Echo(Thing.Nested) returns (Thing.Nested) {
    option (google.api.http) = {post: "/v1/nested" body: "*"};
  }
}

// All kinds of fields.
message Thing {
  bool flag = 1;
  int32 int_value = 2;
  sint32 sint_value = 3;
  sfixed32 sfixed_value = 4;
  uint32 uint_value = 5;
  fixed32 fixed_value = 6;
  int64 long_value = 7;
  sint64 slong_value = 8;
  sfixed64 sfixed_long = 9;
  uint64 ulong_value = 10;
  fixed64 fixed_long = 11;
  float float_value = 12;
  double double_value = 13;
  // A text. */ With "quotes".
  string text = 14;
  bytes data = 15;
  // A kind.
  Kind kind = 16;
  Inner inner = 17;
  optional bool maybe_flag = 18;
  optional int32 maybe_int = 19;
  optional int64 maybe_long = 20;
  optional double maybe_double = 21;
  optional string maybe_text = 22;
  optional bytes maybe_data = 23;
  optional Kind maybe_kind = 24;
  repeated bool flags = 25;
  repeated int32 ints = 26;
  repeated int64 longs = 27;
  repeated double doubles = 28;
  repeated string texts = 29;
  repeated bytes datas = 30;
  repeated Kind kinds = 31;
  repeated Inner inners = 32;
  map<string, int32> counts = 33;
  map<int32, string> names = 34;
  map<int64, int64> longs_by_long = 35;
  map<bool, Kind> kinds_by_flag = 36;
  map<string, Inner> inners_by_text = 37;
  map<uint64, double> doubles_by_long = 38;
  map<string, google.protobuf.Timestamp> times_by_text = 39;
  map<string, google.protobuf.Value> values_by_text = 40;
  oneof choice {
    string choice_text = 41;
    int64 choice_long = 42;
    Inner choice_inner = 43;
    Kind choice_kind = 44;
    google.protobuf.NullValue choice_null = 45;
    bool choice_flag = 46;
  }
  google.protobuf.Timestamp time = 50;
  google.protobuf.Duration duration = 51;
  google.protobuf.FieldMask mask = 52;
  google.protobuf.Struct struct = 53;
  google.protobuf.Value value = 54;
  google.protobuf.ListValue list = 55;
  google.protobuf.Any any = 56;
  google.protobuf.Empty empty = 57;
  google.protobuf.NullValue nothing = 58;
  google.protobuf.BoolValue wrapped_flag = 59;
  google.protobuf.Int32Value wrapped_int = 60;
  google.protobuf.UInt32Value wrapped_uint = 61;
  google.protobuf.Int64Value wrapped_long = 62;
  google.protobuf.UInt64Value wrapped_ulong = 63;
  google.protobuf.FloatValue wrapped_float = 64;
  google.protobuf.DoubleValue wrapped_double = 65;
  google.protobuf.StringValue wrapped_text = 66;
  google.protobuf.BytesValue wrapped_data = 67;
  repeated google.protobuf.Timestamp times = 68;
  repeated google.protobuf.Duration durations = 69;
  repeated google.protobuf.Any anys = 70;
  repeated google.protobuf.Value values = 71;
  repeated google.protobuf.Int64Value wrapped_longs = 72;
  repeated google.protobuf.NullValue nothings = 73;
  // Things in things.
  Thing thing = 74;
  repeated Thing things = 75;
  map<string, Thing> things_by_text = 76;
  Nested nested = 77;
  Nested.Kind nested_kind = 78;
  google.type.Money price = 79;
  google.type.Date date = 80;
  Aliased aliased = 81;
  string renamed = 82 [json_name = "other-name"];
  string dotted = 83 [json_name = "with.dots"];
  string _under_score_ = 84;
  string UPPER_CASE = 85;
  string digit_1_2 = 86;
  string old = 87 [deprecated = true];
  TreeInput tree_input = 88;
  Tree tree = 89;
  message Nested {
    string text = 1;
    Kind kind = 2;
    enum Kind {
      KIND_UNSPECIFIED = 0;
      KIND_NESTED = 1;
    }
  }
}

message Inner {
  string text = 1;
  int64 number = 2;
  Inner deeper = 3;
}

// Its input has the name of another message.
message Tree { string leaf = 1; }
message TreeInput { int32 leaf = 1; }

// A kind.
enum Kind {
  KIND_UNSPECIFIED = 0;
  // One.
  KIND_ONE = 1;
  KIND_TWO = 2 [deprecated = true];
  KIND_LESS = -1;
}

enum Aliased {
  option allow_alias = true;
  ALIASED_UNSPECIFIED = 0;
  ALIASED_FIRST = 1;
  ALIASED_SECOND = 1;
  None = 2;
  class = 3;
}

message GetRequest {
  string name = 1 [(buf.validate.field).string = {max_len: 60}];
  google.protobuf.FieldMask read_mask = 2;
}

message CreateRequest {
  string parent = 1 [(buf.validate.field).string.pattern = "^shelves/[a-z]+$"];
  Resource resource = 2 [(google.api.field_behavior) = REQUIRED, (buf.validate.field).required = true];
  string resource_id = 3;
  string request_id = 4 [
    (buf.validate.field).string.uuid = true,
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE
  ];
}

message UpdateRequest {
  Resource resource = 1 [(google.api.field_behavior) = REQUIRED];
  google.protobuf.FieldMask update_mask = 2;
}

// A resource.
message Resource {
  string name = 1 [(google.api.field_behavior) = IDENTIFIER];
  string title = 2 [
    (google.api.field_behavior) = REQUIRED,
    (buf.validate.field).string = {min_len: 1 max_len: 50}
  ];
  Kind kind = 3;
  int64 size = 4;
  google.protobuf.Timestamp create_time = 5 [(google.api.field_behavior) = OUTPUT_ONLY];
  string secret = 6 [(google.api.field_behavior) = INPUT_ONLY];
  string etag = 7;
  double weight = 8;
}

message ListRequest {
  string shelf = 1;
  int32 page_size = 2 [(buf.validate.field).int32 = {gte: 0 lte: 100}];
  string page_token = 3;
  repeated Kind kinds = 4;
  Kind kind = 5;
  Filter filter = 6;
  repeated int64 sizes = 7;
  google.protobuf.Timestamp since = 8;
  google.protobuf.Duration age = 9;
  google.protobuf.BoolValue living = 10;
  google.protobuf.DoubleValue weight = 11;
  bytes data = 12;
  map<string, string> labels = 13;
  google.protobuf.Struct hints = 14;
  google.protobuf.FieldMask mask = 15;
  bool flag = 16;
  double ratio = 17;
  string resume_token = 18;
}

message Filter {
  repeated Kind kinds = 1;
  Filter and = 2;
  oneof by {
    string title = 3;
    int64 number = 4;
  }
}

message ListResponse {
  repeated Resource resources = 1;
  string next_page_token = 2;
  int32 total_size = 3;
}

message Upload_ {
  string name = 1;
  google.api.HttpBody file = 2;
}

message Form {
  string name = 1 [(google.api.field_behavior) = REQUIRED, (buf.validate.field).required = true];
  repeated string scopes = 2;
  int64 number = 3;
  bool flag = 4;
  Kind kind = 5;
  oneof proof {
    option (buf.validate.oneof).required = true;
    string password = 6;
    string code = 7;
  }
}

// Every kind of rule.
message Ruled {
  string id = 1 [(buf.validate.field).string.uuid = true, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  string email = 2 [(buf.validate.field).string.email = true, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  string slug = 3 [
    (buf.validate.field).string.pattern = "^[a-z]+(-[a-z]+)*$",
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE
  ];
  string shape = 4 [
    (buf.validate.field).string = {in: ["oval", "round", "class", "a b", "1"]},
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE
  ];
  string fixed = 5 [(buf.validate.field).string.const = "x", (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  string ip = 6 [(buf.validate.field).string.ip = true, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  string host = 7 [(buf.validate.field).string.hostname = true, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  string affixes = 8 [
    (buf.validate.field).string = {prefix: "a" suffix: "z" not_in: ["abz"]},
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE
  ];
  int32 small = 9 [(buf.validate.field).int32 = {gt: 0 lt: 10}, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  int32 outside = 10 [(buf.validate.field).int32 = {gt: 10 lt: 0}, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  int32 listed = 11 [(buf.validate.field).int32 = {in: [0, 3, 5]}];
  int64 long_small = 12 [(buf.validate.field).int64 = {gte: 0 lte: 10}];
  int64 long_listed = 13 [(buf.validate.field).int64 = {in: [0, 7]}];
  uint64 long_not = 14 [(buf.validate.field).uint64 = {not_in: [7]}];
  double ratio = 15 [(buf.validate.field).double = {gte: 0 lte: 1}];
  float finite = 16 [(buf.validate.field).float.finite = true];
  bool fact = 17 [(buf.validate.field).bool.const = true, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  bytes short = 18 [(buf.validate.field).bytes.max_len = 4];
  Kind known = 19 [(buf.validate.field).enum.defined_only = true];
  Kind one = 20 [(buf.validate.field).enum = {in: [0, 1]}];
  Kind other = 21 [(buf.validate.field).enum = {not_in: [2]}];
  repeated string tags = 22 [(buf.validate.field).repeated = {max_items: 3 unique: true items: {string: {min_len: 1}}}];
  repeated Kind kinds = 23 [(buf.validate.field).repeated = {items: {enum: {defined_only: true}}}];
  map<string, int64> limits = 24 [(buf.validate.field).map = {
    max_pairs: 3
    keys: {string: {min_len: 1}}
    values: {int64: {gte: 0}}
  }];
  google.protobuf.Timestamp past = 25 [(buf.validate.field).timestamp.lt_now = true];
  google.protobuf.Duration brief = 26 [(buf.validate.field).duration = {gte: {} lte: {seconds: 60}}];
  google.protobuf.StringValue wrapped = 27 [(buf.validate.field).string.min_len = 2];
  google.protobuf.Int64Value wrapped_long = 28 [(buf.validate.field).int64.gt = 0];
  google.protobuf.DoubleValue wrapped_double = 29 [(buf.validate.field).double.gt = 0];
  google.protobuf.Any any = 30 [(buf.validate.field).any = {in: ["type.googleapis.com/every.v1.Inner"]}];
  string with_cel = 31 [(buf.validate.field).cel = {
    id: "odd"
    message: "must be \\"odd\\""
    expression: "true"
  }];
  string uid = 32 [(google.api.field_info).format = UUID4];
  optional string owner = 33 [(buf.validate.field).string.min_len = 1];
  oneof a { string a1 = 34; string a2 = 35; }
  oneof b { string b1 = 36; Inner b2 = 37; }
  option (buf.validate.message).cel = {id: "both" message: "a and b must fit" expression: "true"};
  option (buf.validate.message).oneof = {fields: ["slug", "shape"]};
}

// Names that are words of a language.
message Class {
  string class = 1;
  string def = 2;
  string import = 3;
  string from = 4;
  string none = 5 [json_name = "None"];
  string self = 6;
  string func = 7;
  string type = 8;
  string range = 9;
  string interface = 10;
  string package = 11;
  string map = 12;
  string default = 13;
  string function = 14;
  string constructor = 15;
  string var = 16;
  string new = 17;
  string await = 18;
  string async = 19;
  string return = 20;
  string str = 21;
  string int = 22;
  string list = 23;
  string dict = 24;
  string json = 25;
  string body = 26;
  string headers = 27;
  string client = 28;
  string additional_properties = 29;
  string model_config = 30;
  string to_dict = 31;
  string copy = 32;
  string id = 33;
  string error = 34;
  string len = 35;
  string string = 36;
  string nil = 37;
  string any = 38;
  string property = 39;
}
message Error { string message = 1; }
message Problem { String string = 1; Object object = 2; Map map = 3; Date date = 4; }
message String { string value = 1; }
message Object { string value = 1; }
message Map { string value = 1; }
message Date { string value = 1; }
"""
