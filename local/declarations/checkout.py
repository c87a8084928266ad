"""The services of a checkout: their declarations, joined with the contracts."""

from collections.abc import Iterable
from pathlib import Path

from protobuf import DescService, Registry

from local.declarations import ports
from local.declarations.declaration import DeclarationFile
from local.declarations.image import read_contracts
from local.declarations.problem import Problem, WrongDeclarations
from local.declarations.service import Service
from local.declarations.service_name import variables_of_ports
from mesh.codegen.chart import workload_of
from mesh.contract.events import participants
from mesh.contract.policy import ANY_WORKLOAD, Policy, policy_of

PACKAGE_PREFIX = "meshwright."


def read_services(root: Path, contracts: Registry | None = None) -> tuple[Service, ...]:
    """Returns the services of a checkout, in the order of their ports. `contracts` replace those in the checkout.
    Raises WrongDeclarations.
    """
    if contracts is None:
        contracts = read_contracts(root)
    files = read_files(root)
    grpc_services = _descs(contracts)
    policies = [(workload_of(each), policy_of(method)) for each in grpc_services for method in each.methods]
    clients = _clients(policy for _, policy in policies)
    events = {each.name: each for each in participants(contracts)}
    assigned = _ports(files)
    services = [
        Service(
            name=file.name,
            file=file,
            declaration=file.declaration,
            port=assigned[file.name],
            types=tuple(sorted(each.type_name for each in grpc_services if workload_of(each) == file.name)),
            callees=tuple(sorted({callee for callee, policy in policies if file.name in policy.callers})),
            publishes=events[file.name].publishes if file.name in events else (),
            consumes=events[file.name].consumes if file.name in events else (),
            calls_as_itself=file.name in clients,
        )
        for file in files
    ]
    return tuple(sorted(services, key=lambda each: each.port))


def read_files(root: Path) -> list[DeclarationFile]:
    """Returns the declarations of a checkout, in the order of names. Raises WrongDeclarations with all problems."""
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
    """Returns a problem for each port, variable, secret or role that two declarations claim."""
    files = list(files)
    problems = []
    owners: dict[str, str] = {}
    of_variables: dict[str, str] = {}
    for file in files:
        for variable in variables_of_ports(file.name):
            if (owner := of_variables.setdefault(variable, file.name)) != file.name:
                why = f"{variable} sets a port of the service {owner}, too. Give one of the two another name."
                problems.append(file.problem(why))
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


def _descs(contracts: Registry) -> list[DescService]:
    return [desc for desc in contracts if isinstance(desc, DescService) and desc.type_name.startswith(PACKAGE_PREFIX)]


def _clients(policies: Iterable[Policy]) -> set[str]:
    """Returns the workloads that call others with a token of their own: the callers of internal methods."""
    return {caller for policy in policies if policy.internal for caller in policy.callers} - {ANY_WORKLOAD}
