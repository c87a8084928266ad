"""Contracts with all features that an OpenAPI document describes."""

from edge.contract.authorization_endpoint import authorization_url
from edge.contract.contract import Contract
from edge.contract.token_endpoint import token_url
from edge.openapi.document import Documents

TORTURE = """
syntax = "proto3";
// Trees and forests.
package shapes.v1;
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
import "meshwright/policy/v1/policy.proto";

// All shapes.
service ShapesService {
  // Draws a tree. And more,
  // on two lines.
  //
  // A second paragraph.
  rpc Draw(Tree) returns (Tree) {
    option (google.api.http) = {
      post: "/v1/{name=forests/*/trees/*}/{kind}:draw" body: "*"
      additional_bindings {get: "/v1/draw/{name=**}"}
      additional_bindings {custom: {kind: "BREW" path: "/v1/brew"}}
      additional_bindings {post: "/v1/trees" body: "*"}
    };
  }
  rpc Fetch(google.protobuf.Empty) returns (google.api.HttpBody) {
    option deprecated = true;
    option (google.api.http) = {get: "/v1/fetch"};
  }
  rpc Store(google.api.HttpBody) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/v1/store" body: "*"};
    option (meshwright.policy.v1.method) = {http_status: 204};
  }
  rpc Plant(Tree) returns (Tree) {
    option (google.api.http) = {
      put: "/v1/plant" body: "leaf" response_body: "leaf"
      additional_bindings {put: "/v1/plant/{leaf.veins}" body: "name" response_body: "metres"}
      additional_bindings {put: "/v1/children" body: "children" response_body: "labeled"}
    };
    option (meshwright.policy.v1.method) = {
      public: true
      rate_limit: {requests: 100000 per: {seconds: 1}}
    };
  }
  rpc Prune(PruneRequest) returns (Tree) {
    option (google.api.http) = {
      patch: "/v1/{tree.name=trees/*}" body: "tree"
      additional_bindings {patch: "/v2/{tree.name=trees/*}" body: "*"}
    };
    option (meshwright.policy.v1.method) = {scopes: "trees.write" scopes: "trees.read"};
  }
  rpc List(ListRequest) returns (ListResponse) {
    option (google.api.http) = {get: "/v1/trees"};
  }
  // Makes a leaf.
  rpc Make(MakeRequest) returns (Leaf) {
    option (google.api.http) = {post: "/v1/leaves" body: "leaf"};
  }
  // Signs in.
  rpc SignIn(SignInRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/v1/token" body: "*"};
  }
  // Watches a tree grow.
  rpc Watch(ListRequest) returns (stream Tree) {
    option (google.api.http) = {get: "/v1/trees:watch"};
  }
  rpc Upload(stream Leaf) returns (Tree) {
    option (google.api.http) = {post: "/v1/leaves:upload" body: "*"};
  }
  rpc Chat(stream Leaf) returns (stream Tree) {
    option (google.api.http) = {post: "/v1/chat" body: "*"};
  }
  rpc Hidden(Tree) returns (Tree);
}

// A tree.
message Tree {
  string name = 1 [
    (google.api.field_behavior) = REQUIRED,
    (buf.validate.field).required = true
  ];
  // What kind.
  Kind kind = 2;
  Leaf leaf = 3;
  repeated Tree children = 4;
  map<string, Leaf> labeled = 5;
  map<string, int32> counts = 6;
  oneof size {
    int64 metres = 7;
    double ratio = 8;
  }
  bytes bark = 9;
  google.protobuf.Timestamp planted = 10;
  google.protobuf.Duration age = 11;
  google.protobuf.Struct notes = 12;
  google.protobuf.Value any_value = 13;
  google.protobuf.ListValue values = 31;
  google.protobuf.Int32Value rings = 15;
  google.protobuf.UInt64Value cells = 22;
  google.protobuf.NullValue nothing = 16;
  string etag = 17;
  string uid = 18 [(google.api.field_behavior) = OUTPUT_ONLY];
  google.protobuf.FieldMask mask = 19;
  // Where it stands.
  string place = 20 [(google.api.field_behavior) = IMMUTABLE];
  string secret = 21 [(google.api.field_behavior) = INPUT_ONLY];
  string id = 23 [
    (google.api.field_info).format = UUID4,
    (buf.validate.field).string.uuid = true,
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE
  ];
  string old = 24 [deprecated = true];
  optional bool alive = 25;
  map<int64, bool> years = 26;
  map<bool, Kind> flags = 27;
  fixed64 mass = 28;
  float density = 29;
  uint32 roots = 30;
  google.protobuf.Any thing = 32;
}

// A leaf.
message Leaf {
  string color = 1 [(buf.validate.field).string = {
    min_len: 2
    max_len: 9
    pattern: "^[a-z]+$"
  }];
  int32 veins = 2 [(buf.validate.field).int32 = {
    gte: 1
    lt: 100
  }];
  repeated string mites = 3 [(buf.validate.field).repeated = {
    max_items: 3
    items: {
      string: {email: true}
    }
  }];
  string shape = 4 [
    (buf.validate.field).string = {in: ["oval", "round"]},
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE
  ];
  int64 stomata = 5 [(buf.validate.field).int64 = {gte: 0 lte: 5000}];
}

message PruneRequest {
  Tree tree = 1 [(google.api.field_behavior) = REQUIRED];
  google.protobuf.FieldMask update_mask = 2;
}

message ListRequest {
  int32 page_size = 1 [(buf.validate.field).int32 = {
    gte: 0
    lte: 100
  }];
  string page_token = 2;
  Filter filter = 3;
  google.protobuf.Struct hints = 4;
  repeated google.protobuf.Timestamp times = 5;
  google.protobuf.BoolValue living = 6;
}

message Filter {
  repeated Kind kinds = 1;
  map<string, string> labels = 2;
  Filter and = 3;
  oneof by {
    string title = 4;
    int32 number = 5;
  }
}

message ListResponse {
  repeated Tree trees = 1;
  string next_page_token = 2;
}

message MakeRequest {
  Leaf leaf = 1 [(buf.validate.field).required = true];
  string request_id = 2 [
    (buf.validate.field).string.uuid = true,
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE
  ];
}

message SignInRequest {
  string name = 1 [(buf.validate.field).string.min_len = 1];
  repeated string scopes = 2;
  oneof proof {
    option (buf.validate.oneof).required = true;
    string password = 3;
    string code = 4;
  }
}

// Kinds of trees.
enum Kind {
  KIND_UNSPECIFIED = 0;
  // Green all year.
  KIND_CONIFER = 1;
  KIND_SHRUB = 2 [deprecated = true];
}
"""

OLD = """
syntax = "proto2";
package old.v1;
import "google/api/annotations.proto";

service OldService {
  rpc Put(Old) returns (Old) {
    option (google.api.http) = {post: "/v1/old" body: "*"};
  }
}

message Old {
  required string name = 1;
  optional string color = 2 [default = "gr\\"een"];
  optional int64 size = 3 [default = -5];
  optional bool alive = 4 [default = true];
  optional double ratio = 5 [default = inf];
  optional Side side = 6 [default = SIDE_RIGHT];
  optional int32 count = 7 [default = 3];
  optional group Part = 8 {
    optional int32 number = 1;
  }
  extensions 100 to 200;
}

extend Old {
  // Added later.
  optional string note = 100;
}

// A closed enum.
enum Side {
  SIDE_LEFT = 1;
  SIDE_RIGHT = 2;
}
"""


def documents_of(contract: Contract, *, secured: bool = False) -> Documents:
    """Returns the documents of a contract's routes."""
    return Documents(
        contract.routes,
        contract.registry,
        title="T",
        secured=secured,
        token_url=token_url(contract.routes),
        authorization_url=authorization_url(contract.routes),
    )
