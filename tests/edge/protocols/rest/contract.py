"""A contract with all kinds of streams."""

FEEDS = """
syntax = "proto3";
package feeds.v1;

import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
import "meshwright/policy/v1/policy.proto";

service Feeds {
  rpc Watch(WatchRequest) returns (stream Event) {
    option (google.api.http) = {
      get: "/v1/{name=feeds/*}:watch"
      additional_bindings {post: "/v1/watch" body: "*"}
      additional_bindings {get: "/v1/{name=feeds/*}/texts" response_body: "text"}
    };
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Brief(WatchRequest) returns (stream Event) {
    option (google.api.http) = {get: "/v1/{name=feeds/*}:brief"};
    option (meshwright.policy.v1.method) = {public: true timeout: {seconds: 2} http_status: 202};
  }
  rpc Private(WatchRequest) returns (stream Event) {
    option (google.api.http) = {get: "/v1/{name=feeds/*}:private"};
    option (meshwright.policy.v1.method) = {scopes: "feeds.read" rate_limit: {requests: 3 per: {seconds: 3600}}};
  }
  rpc Record(stream Point) returns (Summary) {
    option (google.api.http) = {
      post: "/v1/{track=tracks/*}/points" body: "*"
      additional_bindings {post: "/v1/{track=tracks/*}/places" body: "place"}
      additional_bindings {post: "/v1/{number}/points" body: "place"}
      additional_bindings {post: "/v1/points" body: "*"}
    };
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Chat(stream Point) returns (stream Event) {
    option (google.api.http) = {post: "/v1/{track=tracks/*}:chat" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Download(FileRequest) returns (stream google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/files/{path=**}"};
    option (meshwright.policy.v1.method) = {public: true cache: {max_age: {seconds: 60}}};
  }
  rpc Upload(stream FileRequest) returns (Summary) {
    option (google.api.http) = {put: "/v1/files/{path=**}" body: "content"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Transform(stream google.api.HttpBody) returns (stream google.api.HttpBody) {
    option (google.api.http) = {post: "/v1/transform" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Once(WatchRequest) returns (Event) {
    option (google.api.http) = {get: "/v1/{name=feeds/*}"};
    option (meshwright.policy.v1.method) = {public: true};
  }
}

message WatchRequest {
  string name = 1;
  int32 count = 2;
  string resume_token = 3;
}

message Event {
  string text = 1;
  int32 number = 2;
  string resume_token = 3;
  Kind kind = 4;
}

enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_LOUD = 1;
}

message Point {
  string track = 1;
  int32 number = 2 [(buf.validate.field).int32.lt = 1000];
  Place place = 3;
}

message Place {
  string label = 1;
}

message Summary {
  int32 count = 1;
  string text = 2;
}

message FileRequest {
  string path = 1;
  google.api.HttpBody content = 2;
  string note = 3;
}
"""

STREAMING = [
    f"/feeds.v1.Feeds/{name}"
    for name in ("Watch", "Brief", "Private", "Record", "Chat", "Download", "Upload", "Transform")
]
