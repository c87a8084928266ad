"""Contradictions between declarations, contracts and code."""

import re
from pathlib import Path

import pytest
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto

from local.declarations.checkout import read_services
from local.declarations.problem import WrongDeclarations
from tests.declared_service import declare
from tests.edge.contracts import compile_image
from tools import generate
from tools.generation.code import read_code
from tools.generation.contradictions import code_problems, contract_problems
from tools.generation.rules import rule_problems

ROOT = Path(__file__).resolve().parents[3]
PROTO = "proto/meshwright/reviews/v1/reviews.proto"
HEAD = """\
syntax = "proto3";
package meshwright.reviews.v1;
import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";
message M {}
"""
SERVICE = """\
service ReviewsService {
  rpc Get(M) returns (M) {
    option (google.api.http) = {get: "/v1/reviews"};
  }
  rpc Rate(M) returns (M) {
    option (meshwright.policy.v1.method) = {callers: "shelf_labels"};
  }
}
"""
EVENT = """\
message Reviewed {
  option (meshwright.policy.v1.event) = {consumers: "shelf_labels"};
}
"""
CALLING = """\
from meshwright.reviews.v1.reviews_grpc import ReviewsServiceClient


class Reviews:
    def __init__(self, channel):
        self._client = ReviewsServiceClient(channel)

    async def rate(self):
        return await self._client.rate(1)

    async def get(self):
        return self.get
"""
WIRING = "from mesh.events import Inbox, Relay\n"
HANDLING = "from meshwright.reviews.v1.reviews_pb import Reviewed\n"


class Checkout:
    """A checkout with the services reviews and shelf_labels, and the contract of the first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.service("reviews", "database = true\n", HANDLING)
        self.service("shelf_labels", "database = true\n", HANDLING + CALLING)
        self.contract = HEAD + SERVICE + EVENT

    def service(self, name: str, declaration: str = "", code: str = "") -> None:
        """Makes a service, or changes it."""
        folder = declare(self.root, name, declaration)
        (folder / "clients.py").write_text(code)
        (folder / "__main__.py").write_text(WIRING)

    def image(self) -> FileDescriptorSet:
        """Returns the compiled contracts, in which shelf_labels has a service, too."""
        texts = {"reviews": self.contract, "shelf_labels": HEAD.replace("reviews", "shelf_labels") + "service S {}"}
        files: dict[str, FileDescriptorProto] = {}
        for name, text in texts.items():
            folder = self.root / "proto"
            path = f"meshwright/{name}/v1/{name}.proto"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            image = FileDescriptorSet.from_binary(compile_image(text, folder, path).SerializeToString())
            files |= {file.name: file for file in image.file}
        return FileDescriptorSet(file=list(files.values()))

    def problems(self) -> list[str]:
        """Returns all problems."""
        image = self.image()
        services = read_services(self.root, image.to_registry())
        found = [*contract_problems(services, image), *code_problems(read_code(self.root, services), image)]
        return [str(problem) for problem in sorted(found)]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Returns a checkout in which all is well."""
    return Checkout(tmp_path)


def line_of(text: str, part: str) -> int:
    """Returns the first line that has this part."""
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def test_the_store_contradicts_itself_nowhere() -> None:
    """The committed contracts, declarations and code have no contradictions."""
    image = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes())
    services = read_services(ROOT, image.to_registry())
    assert [*contract_problems(services, image), *code_problems(read_code(ROOT, services), image)] == []
    assert rule_problems(image) == ([], [])


def test_what_fits_together_is_no_problem(checkout: Checkout) -> None:
    """A listed caller, a published and consumed event, and an attribute of `self` named as a method are no
    contradictions.
    """
    assert checkout.problems() == []


@pytest.mark.parametrize(
    ("old", "new", "at", "why"),
    [
        (
            'callers: "shelf_labels"',
            'callers: "shelf-labels"',
            "callers",
            "Rate names the caller 'shelf-labels', which is no workload. "
            "Name some of these: reviews, shelf_labels; or '*', which is all of them.",
        ),
        (
            'consumers: "shelf_labels"',
            'consumers: "shelves"',
            "consumers",
            "Reviewed names the consumer 'shelves', which is no workload. Name some of these: reviews, shelf_labels.",
        ),
        (
            '{get: "/v1/reviews"};',
            '{get: "/v1/reviews"};\n    option (meshwright.policy.v1.method) = {public: true scopes: "a"};',
            "public",
            "Get is public and requires scopes: a method that needs no token can't require scopes of one.",
        ),
        (
            '{get: "/v1/reviews"};',
            '{get: "/v1/reviews"};\n    option (meshwright.policy.v1.method) = {degraded_field: "degraded"};',
            "degraded_field",
            "Get has degraded_field 'degraded', which is no single bool field of its response.",
        ),
        (
            '{callers: "shelf_labels"}',
            '{callers: "shelf_labels" timeout: {seconds: -2}}',
            "timeout",
            "Rate has a timeout of -2 s: it must be more than 0 and at most 315576000000.",
        ),
        (
            'option (meshwright.policy.v1.method) = {callers: "shelf_labels"};',
            "",
            "Rate(M)",
            "Rate has neither a google.api.http rule nor callers: nobody can call it.",
        ),
    ],
)
def test_a_contract_that_is_wrong_is_named_where_it_is(
    checkout: Checkout, old: str, new: str, at: str, why: str
) -> None:
    """The problem has the file, the line, the method or event, and the remedy."""
    checkout.contract = checkout.contract.replace(old, new)
    assert f"{PROTO}:{line_of(checkout.contract, at)}: {why}" in checkout.problems()


def test_a_scope_that_no_role_has(checkout: Checkout) -> None:
    """A scope that identity can't grant is found: the method would be forbidden to everybody."""
    policy = 'option (meshwright.policy.v1.method) = {scopes: "profile" scopes: "loyalty.write"};'
    checkout.contract = checkout.contract.replace('{get: "/v1/reviews"};', f'{{get: "/v1/reviews"}};\n    {policy}')
    line = line_of(checkout.contract, "loyalty.write")
    assert checkout.problems() == [
        f"{PROTO}:{line}: Get requires the scope 'loyalty.write', which no role of identity has: "
        "add it in services/identity/domain.py."
    ]


def test_a_call_that_the_contract_does_not_name(checkout: Checkout) -> None:
    """A call that `callers` does not allow is found: it would work here with a user's token and fail on a cluster."""
    checkout.contract = checkout.contract.replace('callers: "shelf_labels"', 'callers: "reviews"')
    checkout.service("reviews", "database = true\n", HANDLING + CALLING)
    line = line_of(HANDLING + CALLING, "_client.rate(")
    assert checkout.problems() == [
        f"services/shelf_labels/clients.py:{line}: shelf_labels calls ReviewsService.Rate, whose contract does not "
        f'name it: add callers: "shelf_labels" in {PROTO}.'
    ]


def test_a_caller_that_never_calls(checkout: Checkout) -> None:
    """A caller that the code does not have is found: it would get a secret and access that it does not need."""
    named = 'callers: "shelf_labels"'
    checkout.contract = checkout.contract.replace(named, f'{named} callers: "reviews"')
    line = line_of(checkout.contract, 'callers: "reviews"')
    why = "Rate names the caller 'reviews', but no file of services/reviews calls it."
    assert checkout.problems() == [f"{PROTO}:{line}: {why}"]


@pytest.mark.parametrize(
    "code",
    [
        "from meshwright.reviews.v1.reviews_grpc import ReviewsServiceClient as C\nC(1).get(2)",
        "from meshwright.reviews.v1 import reviews_grpc\nreviews_grpc.ReviewsServiceClient(1).get(2)",
        "import meshwright.reviews.v1.reviews_grpc\nmeshwright.reviews.v1.reviews_grpc.ReviewsServiceClient(1).get(2)",
        "import meshwright.reviews.v1.reviews_grpc as g\nclient = g.ReviewsServiceClient(1)\nclient.get(2)",
    ],
)
def test_a_method_with_a_route_is_for_the_edge_and_those_it_names(checkout: Checkout, code: str) -> None:
    """However the client was imported: only the edge may call it without being named."""
    checkout.service("shelf_labels", "database = true\n", f"{HANDLING}{code}\n{CALLING}")
    line = code.count("\n") + 2
    assert [each.partition(", whose")[0] for each in checkout.problems()] == [
        f"services/shelf_labels/clients.py:{line}: shelf_labels calls ReviewsService.Get"
    ]


def test_an_event_that_nobody_publishes(checkout: Checkout) -> None:
    """A consumed event without a publisher is found."""
    checkout.service("reviews", "database = true\n")
    line = line_of(checkout.contract, "consumers")
    assert checkout.problems() == [
        f"{PROTO}:{line}: The event Reviewed is published by nobody: no file of services/reviews uses it."
    ]


def test_an_event_of_a_service_that_is_not_there(checkout: Checkout) -> None:
    """A contract without routes may exist before its service, but its events can't be consumed."""
    for path in (checkout.root / "services/reviews").iterdir():
        path.unlink()
    line = line_of(checkout.contract, "consumers")
    assert checkout.problems() == [
        f"{PROTO}:{line_of(checkout.contract, 'service ReviewsService')}: No service has ReviewsService of the package "
        "meshwright.reviews.v1. Packages are meshwright.<service>.v1, and the services are: shelf_labels.",
        f"{PROTO}:{line}: The event Reviewed is consumed, but there is no service that publishes it: services/reviews.",
    ]
    checkout.service("shelf_labels", code=CALLING)
    route = SERVICE[SERVICE.index("  rpc Get") : SERVICE.index("  rpc Rate")]
    checkout.contract = HEAD + SERVICE.replace(route, "")
    assert checkout.problems() == []


def test_a_consumer_without_a_handler(checkout: Checkout) -> None:
    """A consumer without a handler is a contradiction, because its events would become dead letters."""
    checkout.service("shelf_labels", "database = true\n", CALLING)
    line = line_of(checkout.contract, "consumers")
    why = "The event Reviewed names the consumer 'shelf_labels', but no file of services/shelf_labels uses it."
    assert checkout.problems() == [f"{PROTO}:{line}: {why}"]


@pytest.mark.parametrize(
    "code",
    [
        "from meshwright.reviews.v1 import reviews_pb as e\nhandles(e.Reviewed)",
        "from meshwright.reviews import v1\n@v1.reviews_pb.Reviewed.handler\ndef handle(): ...",
        "import meshwright.reviews.v1.reviews_pb\nmeshwright.reviews.v1.reviews_pb.Reviewed()",
        "import meshwright.reviews.v1.reviews_pb as e\ndef handle(event: e.Reviewed): ...",
    ],
)
def test_an_event_is_used_however_it_is_imported(checkout: Checkout, code: str) -> None:
    """A publisher or consumer may access the event through its module; if it is neither, it is found as well."""
    checkout.service("shelf_labels", "database = true\n", f"{CALLING}\n{code}\n")
    assert checkout.problems() == []
    checkout.contract = HEAD + SERVICE + EVENT.replace('{consumers: "shelf_labels"}', "{}")
    line = line_of(f"{CALLING}\n{code}", code.splitlines()[1])
    found = [each.partition(", whose")[0] for each in checkout.problems()]
    assert found == [f"services/shelf_labels/clients.py:{line}: shelf_labels uses the event Reviewed"]


def test_an_event_that_nothing_carries(checkout: Checkout) -> None:
    """A publisher without a relay and a consumer without an inbox are found: nothing would report at run time that the
    events stay where they are.
    """
    for service in ("reviews", "shelf_labels"):
        (checkout.root / f"services/{service}/__main__.py").write_text("")
    assert checkout.problems() == [
        "services/reviews/__main__.py:1: reviews publishes events, but no file starts its Relay: "
        "add `await process.enter(Relay(database, broker))`.",
        "services/shelf_labels/__main__.py:1: shelf_labels consumes events, but no file starts its Inbox: "
        "add `await process.enter(Inbox(database, broker, service=process.name, handlers=…))`.",
    ]
    (checkout.root / "services/reviews/__main__.py").write_text("from mesh.events.relay import Relay\n")
    (checkout.root / "services/shelf_labels/__main__.py").write_text("from mesh import events\nevents.Inbox(1)\n")
    assert checkout.problems() == []


def test_a_nested_event(checkout: Checkout) -> None:
    """An event inside another message is found: the name of that message would count as a part of the package."""
    nested = "\n".join(f"  {line}" for line in EVENT.splitlines())
    checkout.contract = f"{HEAD}{SERVICE}message Outer {{\n  message Inner {{\n{nested}\n  }}\n}}\n"
    line = line_of(checkout.contract, "consumers")
    assert (
        f"{PROTO}:{line}: Reviewed is an event inside the message Inner: move it out, because the package before its "
        "name is that of its publisher."
    ) in checkout.problems()


def test_two_methods_with_one_name_in_python(checkout: Checkout) -> None:
    """Methods that differ only in case are found: the generated classes would have only the second."""
    second = SERVICE.replace("rpc Get(", "rpc GetHTTPThing(").replace("rpc Rate(", "rpc GetHttpThing(")
    checkout.contract = HEAD + second + EVENT
    line = line_of(checkout.contract, "rpc GetHttpThing(")
    assert (
        f"{PROTO}:{line}: GetHttpThing is get_http_thing in Python, and so is GetHTTPThing: rename one of them."
    ) in checkout.problems()
    other = second.replace("  rpc GetHttpThing(", "}\nservice OtherService {\n  rpc GetHttpThing(")
    checkout.contract = HEAD + other + EVENT
    assert not [each for each in checkout.problems() if "in Python" in each]


def test_a_handler_of_an_event_that_does_not_name_it(checkout: Checkout) -> None:
    """A handler of an event whose `consumers` lacks the service is found: the broker would never deliver the event."""
    checkout.contract = HEAD + SERVICE + EVENT.replace('{consumers: "shelf_labels"}', "{}")
    assert checkout.problems() == [
        "services/shelf_labels/clients.py:1: shelf_labels uses the event Reviewed, whose contract does not name it: "
        f'add consumers: "shelf_labels" in {PROTO}.'
    ]


def test_events_need_a_database(checkout: Checkout) -> None:
    """A service with events needs a database for its outbox and inbox."""
    checkout.service("reviews", "mail = true\ndatabase = false\n", HANDLING)
    why = "The service publishes or consumes events, which needs a database: add database = true."
    assert checkout.problems() == [f"services/reviews/service.toml:2: {why}"]


def test_a_service_without_a_contract(checkout: Checkout) -> None:
    """The problem names the expected path of the contract."""
    checkout.service("returns")
    why = (
        "There is no contract: no .proto file of the package meshwright.returns.v1, in proto/meshwright/returns/v1, "
        "declares a gRPC service."
    )
    assert checkout.problems() == [f"services/returns/service.toml:1: {why}"]


@pytest.mark.parametrize("package", ["acme.reviews.v1", "meshwright.others.v1", "meshwright.reviews"])
def test_a_package_names_the_service(checkout: Checkout, package: str) -> None:
    """A gRPC service in the package of no service is reported, because the edge would have no upstream for it."""
    checkout.contract = checkout.contract.replace("message M {}", "message M {}\nimport 'extra.proto';")
    (checkout.root / "proto").mkdir()
    (checkout.root / "proto/extra.proto").write_text(
        HEAD.replace("meshwright.reviews.v1", package) + SERVICE.replace("Reviews", "Extra").replace("v1/r", "v1/x")
    )
    why = (
        f"No service has ExtraService of the package {package}. "
        "Packages are meshwright.<service>.v1, and the services are: reviews, shelf_labels."
    )
    assert f"proto/extra.proto:{line_of(HEAD, 'message M') + 1}: {why}" in checkout.problems()


def test_code_that_is_not_python(checkout: Checkout) -> None:
    """A syntax error is reported with its file and line."""
    checkout.service("shelf_labels", "database = true\n", "x = 1\ndef f(:\n")
    with pytest.raises(WrongDeclarations, match=r"^services/shelf_labels/clients\.py:2: is not Python: "):
        checkout.problems()


def test_code_that_cannot_be_read(checkout: Checkout) -> None:
    """A file in another encoding is read as Python reads it; a folder with the name of a file is reported."""
    path = checkout.root / "services/shelf_labels/cafe.py"
    path.write_bytes(b"# coding: latin-1\nname = 'caf\xe9'\n")
    assert checkout.problems() == []
    path.write_bytes(b"name = 'caf\xe9'\n")
    with pytest.raises(WrongDeclarations, match=r"^services/shelf_labels/cafe\.py:1: is not Python: .*utf-8"):
        checkout.problems()
    path.unlink()
    path.mkdir()
    with pytest.raises(WrongDeclarations, match=r"^services/shelf_labels/cafe\.py:1: can't be read: Is a directory\.$"):
        checkout.problems()


def test_generation_stops_at_a_contradiction(monkeypatch: pytest.MonkeyPatch, checkout: Checkout) -> None:
    """`make generate` prints a line for each contradiction, and generates nothing."""
    monkeypatch.setattr(generate, "ROOT", checkout.root)
    checkout.contract = checkout.contract.replace('"shelf_labels"', '"shelves"')
    with pytest.raises(SystemExit) as caught:
        generate.declared_services(checkout.image())
    assert [line.partition(" names the ")[2][:18] for line in str(caught.value).splitlines()] == [
        "caller 'shelves', ",
        "consumer 'shelves'",
    ]
    checkout.service("reviews", "database = 1")
    with pytest.raises(SystemExit, match=r"^services/reviews/service\.toml:1: database must be true or false\.$"):
        generate.declared_services(checkout.image())


def test_generation_stops_at_a_wrong_rule(monkeypatch: pytest.MonkeyPatch, checkout: Checkout) -> None:
    """A rule that the edge can't serve is a contradiction, too, and generates nothing."""
    monkeypatch.setattr(generate, "ROOT", checkout.root)
    checkout.contract = checkout.contract.replace('"/v1/reviews"', '"/v1/{nope}"')
    line = line_of(checkout.contract, "google.api.http)")
    why = (
        "error: meshwright.reviews.v1.ReviewsService.Get: '/v1/{nope}', column 5: meshwright.reviews.v1.M has no field"
    )
    with pytest.raises(SystemExit, match=re.escape(f"{PROTO}:{line}: {why} nope.")):
        generate.declared_services(checkout.image())


def test_generation_prints_warnings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkout: Checkout
) -> None:
    """A rule that is doubtful is served, and named."""
    monkeypatch.setattr(generate, "ROOT", checkout.root)
    checkout.contract = checkout.contract.replace('get: "/v1/reviews"', 'delete: "/v1/reviews" body: "*"')
    capsys.readouterr()
    assert {each.name for each in generate.declared_services(checkout.image())} == {"reviews", "shelf_labels"}
    line = line_of(checkout.contract, "google.api.http)")
    method = "meshwright.reviews.v1.ReviewsService.Get"
    assert capsys.readouterr().err.splitlines()[-1:] == [
        f"{PROTO}:{line}: warning: {method}: '/v1/reviews': some clients can't send a body with DELETE."
    ]
