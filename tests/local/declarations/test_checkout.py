"""The properties of services that follow from the contracts, and conflicts between declarations."""

from pathlib import Path

import pytest
from googleapis.google.api.annotations_pb import ext_http
from googleapis.google.api.http_pb import HttpRule
from protobuf.wkt import FileDescriptorSet

from local.declarations.checkout import read_services
from local.declarations.problem import WrongDeclarations
from local.declarations.service import Service
from mesh.contract.policy import policy_of_options
from tests.declared_service import declare

ROOT = Path(__file__).resolve().parents[3]
IMAGE = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes())
CONTRACTS = IMAGE.to_registry()


def by_name(services: tuple[Service, ...]) -> dict[str, Service]:
    """Returns the services by their names."""
    return {service.name: service for service in services}


def checkout(folder: Path, **declarations: str) -> Path:
    """Makes services with these declarations."""
    for name, text in declarations.items():
        declare(folder, name, text)
    return folder


def test_the_services_of_the_store() -> None:
    """Calls, events and tokens of their own follow from the contracts; ports stay what they were."""
    services = by_name(read_services(ROOT))
    ports = {name: (service.port, service.ops_port) for name, service in services.items()}
    assert (
        ports.items()
        >= {
            "identity": (9001, 9101),
            "catalog": (9002, 9102),
            "orders": (9003, 9103),
            "notifications": (9004, 9104),
            "information": (9005, 9105),
        }.items()
    )
    assert services["orders"].callees == ("catalog", "inventory", "payments")
    assert services["notifications"].callees == ("identity",)
    assert services["information"].callees == ()
    assert {name for name, service in services.items() if service.calls_as_itself} >= {"notifications", "orders"}
    assert not services["catalog"].calls_as_itself
    assert services["orders"].events
    assert not services["information"].events
    assert services["orders"].types == ("meshwright.orders.v1.OrdersService",)


def test_a_name_of_several_words(tmp_path: Path) -> None:
    """The name of a service has the right spelling in each place."""
    service = read_services(checkout(tmp_path, order_items=""), CONTRACTS)[0]
    assert (service.name, service.workload, service.variable) == ("order_items", "order-items", "ORDER_ITEMS")


def test_services_that_are_started_alike_are_equal() -> None:
    """Reading the same declarations again gives equal services; a route for an internal method makes a difference."""
    routed = FileDescriptorSet.from_binary(IMAGE.to_binary())
    internal = [
        method.options
        for file in routed.file
        for service in file.service
        for method in service.method
        if method.options is not None and "notifications" in policy_of_options(method.options).callers
    ]
    assert internal
    for options in internal:
        options[ext_http] = HttpRule()
    assert read_services(ROOT, CONTRACTS) == read_services(ROOT)
    assert read_services(ROOT, CONTRACTS) != read_services(ROOT, routed.to_registry())


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (
            'generated_secrets = ["A"]',
            'database = true\ngenerated_secrets = ["B", "A"]',
            "services/b/service.toml:2: A is a generated secret of the service a, too. Give each a name of its own.",
        ),
        ("port = 9020", "\nport = 9120", "services/b/service.toml:2: The port 9120 is one of the service a, too."),
        (
            "issues_tokens = true",
            "issues_tokens = true",
            "services/b/service.toml:1: The service a issues tokens, too.",
        ),
    ],
)
def test_what_two_services_want_for_themselves(tmp_path: Path, first: str, second: str, why: str) -> None:
    """Only one service may have a secret, a port, or the issuing of tokens."""
    with pytest.raises(WrongDeclarations) as caught:
        read_services(checkout(tmp_path, a=first, b=second), CONTRACTS)
    assert why in str(caught.value).splitlines()


def test_a_variable_sets_the_port_of_one_service(tmp_path: Path) -> None:
    """A service may not be named as the operations of another one, whose port the same variable sets."""
    why = r"A_OPS_PORT sets a port of the service a, too\. Give one of the two another name\."
    with pytest.raises(WrongDeclarations, match=rf"^services/a_ops/service\.toml:1: {why}$"):
        read_services(checkout(tmp_path, a="", a_ops=""), CONTRACTS)


def test_a_folder_without_a_program_is_no_service(tmp_path: Path) -> None:
    """The error names the missing file."""
    root = checkout(tmp_path, reviews="")
    (root / "services/reviews/__main__.py").unlink()
    with pytest.raises(WrongDeclarations, match=r"services/reviews/__main__\.py, which runs the service, is missing"):
        read_services(root, CONTRACTS)


def test_migrations_need_a_database(tmp_path: Path) -> None:
    """Migrations of a service without a database are an error, because nothing would apply them."""
    root = checkout(tmp_path, reviews="mail = true\ndatabase = false\n")
    (root / "services/reviews/migrations").mkdir()
    (root / "services/reviews/migrations/0001_reviews.sql").touch()
    with pytest.raises(WrongDeclarations, match=r"^services/reviews/service\.toml:2: There are migrations, but no"):
        read_services(root, CONTRACTS)
