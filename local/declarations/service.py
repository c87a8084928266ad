"""A service of a checkout: its declaration, and what follows from the contracts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from protobuf import DescMethod, DescService
from protobuf.wkt import FileDescriptorSet

from local.declarations import ports
from local.declarations.declaration import OPS_PORT_OFFSET, DeclarationFile
from local.declarations.problem import Problem, WrongDeclarations
from mesh.codegen.chart import workload_of
from mesh.contract.events import participants
from mesh.contract.policy import ANY_WORKLOAD, policy_of

IMAGE = "gen/contracts.binpb"
PACKAGE_PREFIX = "meshwright."


@dataclass(frozen=True, slots=True)
class Service:
    """A service. `name` is the name of its folder and in the contracts, order_items; `types` are its gRPC services."""

    name: str
    file: DeclarationFile
    port: int
    types: tuple[str, ...]
    callees: tuple[str, ...]
    publishes: tuple[str, ...]
    consumes: tuple[str, ...]
    calls_as_itself: bool

    @property
    def workload(self) -> str:
        """Its name where names of hosts go, order-items: its container, its pods, its log."""
        return self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in variables, ORDER_ITEMS."""
        return self.name.upper()

    @property
    def ops_port(self) -> int:
        """The port of its operations under `make up`."""
        return self.port + OPS_PORT_OFFSET

    @property
    def database(self) -> bool:
        """Whether it has a database."""
        return self.file.declaration.database

    @property
    def mail(self) -> bool:
        """Whether it sends mail."""
        return self.file.declaration.mail

    @property
    def issues_tokens(self) -> bool:
        """Whether it gets the secrets of those that call as themselves."""
        return self.file.declaration.issues_tokens

    @property
    def generated_secrets(self) -> tuple[str, ...]:
        """The variables whose values are made up once and kept."""
        return self.file.declaration.generated_secrets

    @property
    def environment(self) -> dict[str, str]:
        """The variables that it declares."""
        return self.file.declaration.environment()

    @property
    def events(self) -> bool:
        """Whether it publishes or consumes events, and so is a user of the broker."""
        return bool(self.publishes or self.consumes)


def read_services(root: Path, image: FileDescriptorSet | None = None) -> tuple[Service, ...]:
    """Returns the services of a checkout, those with the lowest ports first; `image` replaces gen/contracts.binpb.
    Raises WrongDeclarations.
    """
    if image is None:
        image = FileDescriptorSet.from_binary((root / IMAGE).read_bytes())
    files = read_files(root)
    methods = [method for service in _descs(image) for method in service.methods]
    events = {each.name: each for each in participants(image)}
    assigned = _ports(files)
    services = [
        Service(
            name=file.name,
            file=file,
            port=assigned[file.name],
            types=tuple(sorted(each.type_name for each in _descs(image) if workload_of(each) == file.name)),
            callees=tuple(
                sorted({workload_of(each.parent) for each in methods if file.name in policy_of(each).callers})
            ),
            publishes=events[file.name].publishes if file.name in events else (),
            consumes=events[file.name].consumes if file.name in events else (),
            calls_as_itself=file.name in _clients(methods),
        )
        for file in files
    ]
    return tuple(sorted(services, key=lambda each: each.port))


def read_files(root: Path) -> list[DeclarationFile]:
    """Returns the declarations of a checkout, by name. Raises WrongDeclarations with all that is wrong in them."""
    folders = {path.parent.name for name in ("service.toml", "__main__.py") for path in root.glob(f"services/*/{name}")}
    files: list[DeclarationFile] = []
    problems: list[Problem] = []
    for name in sorted(folders):
        try:
            file = DeclarationFile(root, name)
        except WrongDeclarations as error:
            problems += error.problems
            continue
        files.append(file)
        if not (root / "services" / name / "__main__.py").is_file():
            problems.append(file.problem(f"services/{name}/__main__.py, which runs the service, is missing."))
        if not file.declaration.database and any(root.glob(f"services/{name}/migrations/*.sql")):
            problems.append(file.problem("There are migrations, but no database: add database = true.", "database"))
    if problems := [*problems, *_clashes(files)]:
        raise WrongDeclarations(problems)
    return files


def _clashes(files: Iterable[DeclarationFile]) -> list[Problem]:
    """Returns what two declarations both want for themselves."""
    files = list(files)
    problems = []
    owners: dict[str, str] = {}
    for file in files:
        for secret in file.declaration.generated_secrets:
            if (owner := owners.setdefault(secret, file.name)) != file.name:
                why = f"{secret} is a generated secret of the service {owner}, too. Give each a name of its own."
                problems.append(file.problem(why, "generated_secrets", secret))
        if file.declaration.issues_tokens and (owner := owners.setdefault("", file.name)) != file.name:
            problems.append(file.problem(f"The service {owner} issues tokens, too.", "issues_tokens"))
    declared = {file.name: port for file in files if (port := file.declaration.port) is not None}
    problems += [
        file.problem(why, "port")
        for file in files
        if file.name in declared and (why := ports.clash(file.name, declared))
    ]
    return problems


def _ports(files: list[DeclarationFile]) -> dict[str, int]:
    try:
        return ports.assign({file.name: file.declaration.port for file in files})
    except ValueError as error:
        raise WrongDeclarations([files[-1].problem(str(error))]) from None


def _descs(image: FileDescriptorSet) -> list[DescService]:
    return [
        desc
        for desc in image.to_registry()
        if isinstance(desc, DescService) and desc.type_name.startswith(PACKAGE_PREFIX)
    ]


def _clients(methods: Iterable[DescMethod]) -> set[str]:
    """Returns the workloads that call others with a token of their own: the callers of internal methods."""
    policies = [policy_of(method) for method in methods]
    return {caller for policy in policies if policy.internal for caller in policy.callers} - {ANY_WORKLOAD}
