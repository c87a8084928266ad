"""The contract of the differential test: every kind of rule, on a message with every kind of field."""

from typing import Final

from tests.conformance.contracts import PROTO3

SERVICE: Final = "conformance.v1.Shapes"

_RULES: Final = """
service Shapes {
  rpc Paths(All) returns (All) {
    option (google.api.http) = {
      get: "/one/{string}"
      additional_bindings {get: "/deep/{inner.text}/{inner.number}"}
      additional_bindings {get: "/several/{string=a/*/b/*}"}
      additional_bindings {get: "/rest/{string=**}"}
      additional_bindings {get: "/rest/{string=**}:verb"}
      additional_bindings {get: "/one/{string}:verb"}
      additional_bindings {get: "/star/*/{int32}"}
      additional_bindings {get: "/types/{int64}/{bool}/{color}/{double}"}
      additional_bindings {get: "/bytes/{bytes}"}
      additional_bindings {get: "/one/literal"}
      additional_bindings {delete: "/one/{string}"}
    };
  }
  rpc Queries(All) returns (All) {
    option (google.api.http) = {get: "/query" additional_bindings {get: "/query/{inner.text}"}};
  }
  rpc Bodies(All) returns (All) {
    option (google.api.http) = {
      post: "/body" body: "*"
      additional_bindings {put: "/body/{int32}" body: "*"}
      additional_bindings {patch: "/inner/{int32}" body: "inner"}
      additional_bindings {post: "/field/{string}" body: "many_int32"}
      additional_bindings {post: "/response" body: "*" response_body: "inner"}
    };
  }
}
"""

_BEFORE, _AFTER = PROTO3.split("enum Color", 1)
SHAPES: Final = f"{_BEFORE.partition('service')[0]}{_RULES}\nenum Color{_AFTER}"
