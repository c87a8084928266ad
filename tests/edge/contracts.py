"""Contracts compiled on the fly, and the one that most tests of the edge share."""

from pathlib import Path

import google.api  # type: ignore[import-untyped] # has no stubs
import grpc_tools  # type: ignore[import-untyped] # has no stubs
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from edge.contract.image import parse_image

ROOT = Path(__file__).resolve().parents[2]

# http.proto is beside the modules of googleapis-common-protos, the well-known types are in grpcio-tools.
_FOLDERS = (
    Path(grpc_tools.__file__).parent / "_proto",
    Path(next(iter(google.api.__path__))).parents[1],
    ROOT / "proto",
    ROOT / "third_party",
)


def compile_image(text: str, folder: Path, name: str = "test.proto") -> FileDescriptorSet:
    """The descriptor image of one contract, with its imports and its comments."""
    (folder / name).write_text(text)
    image = folder / f"{name}.binpb"
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
    status = protoc.main(["protoc", f"-I{folder}", *(f"-I{each}" for each in _FOLDERS), *options, name])
    assert status == 0, "protoc says why on standard error"
    return parse_image(image.read_bytes(), name)


LIBRARY = """
syntax = "proto3";
// A contract with everything that a unary rule can say.
package library.v1;

import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/api/httpbody.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/money.proto";
import "meshwright/policy/v1/policy.proto";

// Lends books.
service Library {
  rpc GetBook(GetBookRequest) returns (Book) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {
      get: "/v1/{name=shelves/*/books/*}"
      additional_bindings {get: "/v1/books/{name}"}
    };
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc CreateBook(CreateBookRequest) returns (Book) {
    option (google.api.http) = {post: "/v1/{parent=shelves/*}/books" body: "book"};
    option (meshwright.policy.v1.method) = {scopes: "books.write" http_status: 201 timeout: {seconds: 9}};
  }
  rpc UpdateBook(UpdateBookRequest) returns (Book) {
    option (google.api.http) = {
      patch: "/v1/{book.name=shelves/*/books/*}" body: "book"
      additional_bindings {patch: "/v2/{book.name=shelves/*/books/*}" body: "*"}
    };
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc DeleteBook(DeleteBookRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = {delete: "/v1/{name=shelves/*/books/*}"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc LendBook(LendBookRequest) returns (Book) {
    option (google.api.http) = {post: "/v1/{name=shelves/*/books/*}:lend" body: "*"};
    option (meshwright.policy.v1.method) = {public: true timeout: {seconds: 9}};
  }
  rpc ListBooks(ListBooksRequest) returns (ListBooksResponse) {
    option (google.api.http) = {
      get: "/v1/{parent=shelves/*}/books"
      additional_bindings {get: "/v1/titles" response_body: "titles"}
      additional_bindings {get: "/v1/first" response_body: "first"}
    };
    option (meshwright.policy.v1.method) = {
      public: true
      cache: {max_age: {seconds: 30}}
      rate_limit: {requests: 1000 per: {seconds: 60}}
    };
  }
  rpc Upload(UploadRequest) returns (google.api.HttpBody) {
    option (google.api.http) = {put: "/v1/files/{path=**}" body: "file"};
    option (meshwright.policy.v1.method) = {public: true cache: {max_age: {}}};
  }
  rpc Echo(Everything) returns (Everything) {
    option (google.api.http) = {
      post: "/v1/echo" body: "*"
      additional_bindings {get: "/v1/echo"}
      additional_bindings {post: "/v1/echo/{i32}/{i64}/{flag}/{kind}" body: "*"}
      additional_bindings {get: "/v1/numbers/{i64}"}
      additional_bindings {post: "/v1/choice/{choice_a}" body: "*"}
      additional_bindings {post: "/v1/items" body: "strings"}
      additional_bindings {custom: {kind: "PURGE" path: "/v1/echo"}}
      additional_bindings {get: "/v1/time/{timestamp}/{duration}/{wrapped_string}"}
      additional_bindings {get: "/v1/nested/{inner.text}"}
      additional_bindings {post: "/v1/value" body: "value"}
    };
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Check(CheckRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = {
      post: "/v1/check" body: "*"
      additional_bindings {get: "/v1/check"}
    };
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Limited(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {get: "/v1/limited"};
    option (meshwright.policy.v1.method) = {public: true rate_limit: {requests: 2 per: {seconds: 3600}}};
  }
  rpc Hidden(google.protobuf.Empty) returns (google.protobuf.Empty);
}

// A book.
message Book {
  // Its name.
  string name = 1 [(google.api.field_behavior) = IDENTIFIER];
  string title = 2 [(buf.validate.field).string.max_len = 20];
  int32 page_count = 3;
  google.type.Money price = 4;
  Author author = 5;
  google.protobuf.Timestamp create_time = 6 [(google.api.field_behavior) = OUTPUT_ONLY];
  string etag = 7;
  repeated string tags = 8;
}

message Author {
  string given_name = 1;
  Address home_address = 2;
}

message Address {
  string city = 1;
}

message GetBookRequest {
  string name = 1;
  bool show_deleted = 2;
}

message CreateBookRequest {
  string parent = 1;
  Book book = 2 [(buf.validate.field).required = true];
  string book_id = 3;
  string request_id = 4;
}

message UpdateBookRequest {
  Book book = 1;
  google.protobuf.FieldMask update_mask = 2;
}

message DeleteBookRequest {
  string name = 1;
  string etag = 2;
}

message LendBookRequest {
  string name = 1;
  string to = 2;
  string request_id = 3;
}

message ListBooksRequest {
  string parent = 1;
  int32 page_size = 2 [(buf.validate.field).int32 = {gte: 0 lte: 100}];
  string page_token = 3;
  Filter filter = 4;
}

message Filter {
  repeated Kind kinds = 1;
  map<string, string> labels = 2;
  Filter and = 3;
  string title_part = 4;
}

message ListBooksResponse {
  repeated Book books = 1;
  repeated string titles = 2;
  Book first = 3;
  string next_page_token = 4;
}

message UploadRequest {
  string path = 1;
  google.api.HttpBody file = 2;
}

// Kinds of books.
enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_NOVEL = 1;
  KIND_POEM = 2;
}

message Everything {
  int32 i32 = 1;
  int64 i64 = 2;
  uint32 u32 = 3;
  uint64 u64 = 4;
  sint32 s32 = 5;
  fixed64 f64 = 6;
  float float_value = 7;
  double double_value = 8;
  bool flag = 9;
  string text = 10;
  bytes data = 11;
  Kind kind = 12;
  optional string maybe = 13;
  repeated int32 numbers = 14;
  repeated string strings = 15;
  repeated Kind kinds = 16;
  map<string, int32> counts = 17;
  map<int32, string> names = 18;
  map<bool, Inner> inners = 19;
  Inner inner = 20;
  repeated Inner list = 21;
  oneof choice {
    string choice_a = 22;
    int32 choice_b = 23;
    Inner choice_c = 24;
  }
  google.protobuf.Timestamp timestamp = 25;
  google.protobuf.Duration duration = 26;
  google.protobuf.FieldMask field_mask = 27;
  google.protobuf.Struct struct = 28;
  google.protobuf.Value value = 29;
  google.protobuf.ListValue list_value = 30;
  google.protobuf.Any any = 31;
  google.protobuf.Int32Value wrapped_int = 32;
  google.protobuf.StringValue wrapped_string = 33;
  google.protobuf.BoolValue wrapped_bool = 34;
  google.protobuf.BytesValue wrapped_bytes = 35;
  google.protobuf.NullValue nothing = 36;
  Everything deeper = 37;
  google.protobuf.Int64Value wrapped_long = 38;
  string renamed = 39 [json_name = "otherName"];
}

message Inner {
  string text = 1;
  int32 number = 2;
}

message CheckRequest {
  string email_address = 1 [(buf.validate.field).string.email = true];
  repeated Part parts = 2 [(buf.validate.field).repeated.min_items = 1];
  message Part {
    int32 part_size = 1 [(buf.validate.field).int32.gt = 0];
  }
  option (buf.validate.message).cel = {
    id: "check.together"
    message: "at most two parts"
    expression: "this.parts.size() <= 2"
  };
}
"""
