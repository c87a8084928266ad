"""Routes of descriptor images, and problems of their rules."""

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from edge.app.routes import Routes, build_routes
from edge.call.no_upstream import NoUpstream
from edge.contract.contract import Contract, load, read
from edge.settings import EdgeSettings
from mesh.errors import InvalidArgument
from tests.edge.contracts import compile_image

FIRST = "pages of the edge take precedence for GET and HEAD: %s; set PAGES_PATH to move them"
NONE_CAN = "no request can satisfy this rule: "
HEAD = """
syntax = "proto3";
package wrong.v1;
import "google/api/annotations.proto";
import "buf/validate/validate.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
message M {
  string id = 1;
  repeated string ids = 2;
  M inner = 3;
  map<string, string> map = 4;
  google.protobuf.Struct struct = 5;
  google.protobuf.Timestamp time = 6;
  repeated M inners = 7;
  string long_name = 8;
  string own_name = 9 [json_name = "renamed"];
  int32 number = 10;
  oneof choice {
    string left = 11;
    M right = 12;
    google.protobuf.Timestamp moment = 13;
  }
  optional string maybe = 14;
  optional string perhaps = 15;
  One one = 16;
}
message One {
  string only = 1;
}
service S {
  rpc Call(M) returns (M) { option (google.api.http) = {%s}; }
}
"""


def contract_of(rule: str, folder: Path) -> Contract:
    """Returns a contract with one method and this rule."""
    return read(compile_image(HEAD % rule, folder))


@pytest.mark.parametrize(
    ("rule", "column", "why"),
    [
        ('get: "v1/x"', 1, "expected '/', found 'v'"),
        ('get: "/v1/{nope}"', 5, "wrong.v1.M has no field nope"),
        ('get: "/v1/{inner.nope}"', 5, "wrong.v1.M has no field nope"),
        ('get: "/v1/{id.x}"', 5, "id is not a message and has no field x"),
        ('get: "/v1/{ids.x}"', 5, "ids is repeated, not a message: a path can't set its field x"),
        (
            'get: "/v1/{inner.inners.id}"',
            5,
            "inner.inners is repeated, not a message: a path can't set its field id",
        ),
        (
            'get: "/v1/{map.value}"',
            5,
            "map is a map, which is repeated, not a message: a path can't set its field value",
        ),
        ('get: "/v1/{time.seconds.x}"', 5, "time.seconds is not a message and has no field x"),
        (
            'get: "/v1/{longName}"',
            5,
            "wrong.v1.M has no field longName; use the proto name long_name",
        ),
        (
            'post: "/v1/x" body: "renamed"',
            0,
            "body: wrong.v1.M has no field renamed; use the proto name own_name",
        ),
        ('get: "/v1/{ids}"', 5, "ids is repeated; a path can't set it"),
        ('get: "/v1/{inner}"', 5, "inner is a message; a path can only set a field of it"),
        ('get: "/v1/{map}"', 5, "map is a map, which is repeated; a path can't set it"),
        ('get: "/v1/{struct}"', 5, "struct is a message; a path can only set a field of it"),
        ('post: "/v1/x" body: "nope"', 0, "body: wrong.v1.M has no field nope"),
        ('post: "/v1/x" body: "inner.id"', 0, "body: wrong.v1.M has no field inner.id"),
        ('post: "/v1/{id}" body: "id"', 0, "id is both the body and a variable of the path"),
        ('get: "/v1/x" response_body: "nope"', 0, "response_body: wrong.v1.M has no field nope"),
        ('body: "*"', 0, "the rule has no HTTP method and path"),
        (
            'get: "/v1/x" additional_bindings {get: "/v1/y" additional_bindings {get: "/v1/z"}}',
            0,
            "additional_bindings can't be nested",
        ),
    ],
)
def test_a_wrong_rule_is_named(tmp_path: Path, rule: str, column: int, why: str) -> None:
    """A problem names the method, the template, the column and the reason."""
    problem = contract_of(rule, tmp_path).problems[0]
    assert (problem.method, problem.column, problem.why, problem.fatal) == ("wrong.v1.S.Call", column, why, True)
    assert str(problem).startswith("error: wrong.v1.S.Call: ")


def test_a_public_method_that_wants_scopes_is_wrong(tmp_path: Path) -> None:
    """Nobody could call it: without a token there are no scopes. It is an error, and the other methods are served."""
    text = """
    syntax = "proto3";
    package wrong.v1;
    import "google/api/annotations.proto";
    import "meshwright/policy/v1/policy.proto";
    message M {}
    service S {
      rpc Call(M) returns (M) {
        option (google.api.http) = {get: "/v1/x"};
        option (meshwright.policy.v1.method) = {public: true scopes: "x.write"};
      }
      rpc Other(M) returns (M) {
        option (google.api.http) = {get: "/v1/y"};
        option (meshwright.policy.v1.method) = {public: true};
      }
    }
    """
    contract = read(compile_image(text, tmp_path))
    assert [each.template.text for each in contract.routes] == ["/v1/y"]
    assert [(problem.method, problem.fatal) for problem in contract.problems] == [("wrong.v1.S.Call", True)]
    assert str(contract.problems[0]).startswith("error: wrong.v1.S.Call: is public and requires scopes: ")


def test_one_wrong_rule_does_not_hide_the_others(tmp_path: Path) -> None:
    """An invalid additional binding does not hide the problems of the others."""
    rule = 'get: "/v1/{nope}" additional_bindings {get: "/v1/{id}"} additional_bindings {get: "/v1/{"}'
    contract = contract_of(rule, tmp_path)
    assert [each.template.text for each in contract.routes] == ["/v1/{id}"]
    assert [problem.template for problem in contract.problems] == ["/v1/{nope}", "/v1/{"]


def test_a_doubtful_rule_is_a_warning(tmp_path: Path) -> None:
    """A body that some clients can't send is a warning, and the route is served."""
    contract = contract_of('delete: "/v1/{id}" body: "*"', tmp_path)
    assert (len(contract.routes), [problem.fatal for problem in contract.problems]) == (1, [False])
    assert str(contract.problems[0]).startswith("warning: ")


@pytest.mark.parametrize(
    ("rule", "column", "why"),
    [
        (
            'get: "/v1/{left}/{moment}"',
            12,
            f"{NONE_CAN}left and moment are both members of the oneof choice",
        ),
        (
            'get: "/v1/{right.inner.left}/{right.inner.moment}"',
            24,
            f"{NONE_CAN}right.inner.left and right.inner.moment are both members of the oneof choice",
        ),
        (
            'get: "/v1/{right.left}/{left}"',
            18,
            f"{NONE_CAN}right.left and left are both members of the oneof choice",
        ),
        (
            'post: "/v1/{left}" body: "right"',
            5,
            "no request can have the body right: the path sets left, another member of the oneof choice",
        ),
        (
            'get: "/v1/{number=a/*}"',
            5,
            f"{NONE_CAN}number captures several segments, but no value of its type contains a slash",
        ),
        (
            'get: "/v1/{time=*/**/x}"',
            5,
            f"{NONE_CAN}time captures several segments, but no value of its type contains a slash",
        ),
        (
            'put: "/v1/{one.only}" body: "one"',
            0,
            "the path sets every field of the body one; a request can only repeat them there",
        ),
    ],
)
def test_a_rule_that_contradicts_itself_is_a_warning(tmp_path: Path, rule: str, column: int, why: str) -> None:
    """A rule that no request can satisfy is served, but its author gets a warning."""
    contract = contract_of(rule, tmp_path)
    assert [(problem.column, problem.fatal, problem.why) for problem in contract.problems] == [(column, False, why)]
    assert len(contract.routes) == 1


@pytest.mark.parametrize(
    "rule",
    [
        'get: "/v1/{maybe}/{perhaps}"',
        'get: "/v1/{inner.left}/{moment}"',
        'post: "/v1/{inner.left}" body: "right"',
        'post: "/v1/{right.id}" body: "right"',
        'get: "/v1/{id=a/*/**}" additional_bindings {get: "/v2/{number=**}"}',
        'put: "/v1/{one.only}" body: "*"',
        'get: "/v1/{number=7}/{id=x}/{time.seconds}/{time.nanos}"',
    ],
)
def test_a_rule_that_can_be_satisfied_has_no_warning(tmp_path: Path, rule: str) -> None:
    """Members of different oneofs, of one oneof in different messages, and slashes in text cause no warning."""
    assert contract_of(rule, tmp_path).problems == ()


def test_names_that_clash_are_a_warning(tmp_path: Path) -> None:
    """Ambiguous names are reported once, in every message that a rule reaches."""
    text = (HEAD % 'get: "/v1/x" additional_bindings {post: "/v1/x" body: "*"}').replace(
        "string only = 1;", 'string only = 1; string b = 2 [json_name = "only2"]; string only2 = 3 [json_name = "b"];'
    )
    problems = [str(each) for each in read(compile_image(text, tmp_path)).problems]
    assert problems == [
        "warning: wrong.v1.One: 'b' means only2, whose json_name it is, wherever clients write it; the field b is"
        " 'only2' there",
        "warning: wrong.v1.One: 'only2' means b, whose json_name it is, wherever clients write it; the field only2 is"
        " 'b' there",
    ]
    image = compile_image(HEAD % 'get: "/v1/x"', tmp_path)
    message = next(each for each in image.file[-1].message_type if each.name == "M")
    message.field[1].json_name = "id"
    assert [each.why for each in read(image).problems] == [
        "ids and id are both 'id' in JSON: it means id; ids keeps its name"
    ]


def routes_of(text: str, folder: Path, **settings: object) -> Routes:
    """Returns the routes of a contract."""
    made = EdgeSettings.model_validate({"contracts": "-", "upstreams": "", **settings})
    return build_routes(read(compile_image(text, folder)), made, NoUpstream, None)


def test_rules_under_the_pages_of_the_edge_are_a_warning(tmp_path: Path) -> None:
    """The warning names the URLs of the pages and the setting that moves them; other methods are not affected."""
    first, *others = (
        'get: "/{id=**}"',
        'get: "/livez"',
        'custom: {kind: "*" path: "/docs"}',
        'custom: {kind: "HEAD" path: "/redoc"}',
        'post: "/{id=**}"',
    )
    text = HEAD % f"{first} {' '.join(f'additional_bindings {{{each}}}' for each in others)}"
    found = {each.template: each.why for each in routes_of(text, tmp_path).problems}
    assert found == {
        "/{id=**}": FIRST % "/docs/oauth2-redirect.html, /metrics, /openapi.json and 12 more",
        "/livez": FIRST % "/livez",
        "/docs": FIRST % "/docs",
        "/redoc": FIRST % "/redoc",
    }
    on_other_port = {each.template for each in routes_of(text, tmp_path, ops_port=1).problems}
    assert on_other_port == {"/{id=**}", "/docs", "/redoc"}
    assert [each.template for each in routes_of(text, tmp_path, pages_path="/x").problems] == ["/{id=**}"]


def test_a_contract_without_a_rule_is_an_error(tmp_path: Path) -> None:
    """A contract without rules or without services is an error, because there is nothing to serve."""
    text = (HEAD % 'get: "/v1/x"').replace('{ option (google.api.http) = {get: "/v1/x"}; }', ";")
    (problem,) = routes_of(text, tmp_path).problems
    assert str(problem).startswith("error: wrong.v1.S: no method has a google.api.http rule")
    idle = (HEAD % 'get: "/v1/x"') + "service Idle { rpc Call(M) returns (M); }"
    (problem,) = routes_of(idle, tmp_path, upstreams="wrong.v1.Idle=localhost:1").problems
    assert str(problem).startswith("warning: wrong.v1.Idle: it has an upstream, but is not served")
    (problem,) = routes_of('syntax = "proto3"; message M {}', tmp_path).problems
    assert str(problem) == "error: the contracts: no service is declared, so nothing would be served"


def test_methods_that_stream_have_routes(tmp_path: Path) -> None:
    """Streaming methods have routes like all others."""
    text = (HEAD % 'get: "/v1/x"').replace("returns (M)", "returns (stream M)")
    contract = read(compile_image(text, tmp_path))
    assert ([route.method.streams for route in contract.routes], contract.problems) == ([True], ())


def test_the_first_of_two_equal_urls_is_served(tmp_path: Path) -> None:
    """The second rule gets a warning that names the first; an invalid rule of protovalidate is an error."""
    text = HEAD % 'get: "/v1/{id}" additional_bindings {get: "/v1/{inner.id}"} additional_bindings {post: "/v1/x"}'
    settings = EdgeSettings.model_validate({"contracts": "-", "upstreams": ""})
    routes = build_routes(read(compile_image(text, tmp_path)), settings, NoUpstream, None)
    assert [each.template.text for each in routes.served] == ["/v1/{id}", "/v1/x"]
    assert [(problem.why, problem.fatal) for problem in routes.problems] == [
        ("GET of this URL is already served by '/v1/{id}' of wrong.v1.S.Call", False)
    ]
    broken = text.replace("string id = 1;", 'string id = 1 [(buf.validate.field).cel = {id: "x" expression: "nope("}];')
    problems = build_routes(read(compile_image(broken, tmp_path)), settings, NoUpstream, None).problems
    assert {problem.fatal for problem in problems} == {True}
    assert "a validation rule is invalid" in problems[0].why


def test_a_method_that_the_parser_rejects_is_a_warning(tmp_path: Path) -> None:
    """The HTTP parser rejects unknown methods before routing, so a rule with one gets a warning."""
    kinds = ("PURGE", "BREW")
    rules = " ".join(f'additional_bindings {{custom: {{kind: "{kind}" path: "/v1/x"}}}}' for kind in kinds)
    settings = EdgeSettings.model_validate({"contracts": "-", "upstreams": ""})
    routes = build_routes(
        read(compile_image(HEAD % f'get: "/v1/{{id}}" {rules}', tmp_path)), settings, NoUpstream, None
    )
    assert [(problem.why, problem.fatal) for problem in routes.problems] == [
        ("no request can reach this route: BREW is not an HTTP method that the server supports", False)
    ]


def test_a_file_that_is_not_an_image_raises(tmp_path: Path) -> None:
    """A missing file, another file, and an image without its imports raise InvalidArgument."""
    with pytest.raises(InvalidArgument, match="Can't read the contracts"):
        load(tmp_path / "missing.binpb")
    (tmp_path / "nonsense").write_bytes(b"\xff\xff\xff")
    with pytest.raises(InvalidArgument, match="not a descriptor image"):
        load(tmp_path / "nonsense")
    image = compile_image(HEAD % 'get: "/v1/x"', tmp_path)
    alone = FileDescriptorSet(file=[file for file in image.file if file.name == "test.proto"])
    (tmp_path / "alone").write_bytes(alone.SerializeToString())
    with pytest.raises(InvalidArgument, match=r"test\.proto imports google/api/annotations\.proto, which is missing"):
        load(tmp_path / "alone")


def test_a_file_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    """Concatenated images contain shared imports twice, which count once."""
    image = compile_image(HEAD % 'get: "/v1/x"', tmp_path)
    contract = read(FileDescriptorSet(file=[*image.file, *image.file]))
    assert (contract.services, len(contract.routes)) == (("wrong.v1.S",), 1)
