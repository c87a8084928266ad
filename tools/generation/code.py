"""Static analysis of a service's code: the methods of other services that it calls, and the events that it uses."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from protobuf import DescMethod, DescService
from protobuf.wkt import FileDescriptorSet

from local.declarations.problem import Problem, WrongDeclarations
from local.declarations.service import Service
from mesh.codegen.generator import python_name

CLIENT_SUFFIX = "Client"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file of the checkout."""

    path: str
    line: int


class ServiceCode:
    """The code of one service."""

    def __init__(self, root: Path, name: str) -> None:
        """Raises WrongDeclarations if a file can't be read or is not Python."""
        paths = sorted((root / "services" / name).rglob("*.py"))
        self._trees = {(relative := path.relative_to(root).as_posix()): _parse(path, relative) for path in paths}
        self._names = {path: list(_names(tree)) for path, tree in self._trees.items()}

    def calls(self, methods: Mapping[tuple[str, str], DescMethod]) -> Iterator[tuple[DescMethod, Place]]:
        """Yields the calls of generated clients. `methods` are those of all contracts, by the full name of the client's
        class and the name of its Python method.

        If a file imports a client, each attribute with the name of one of the client's methods counts as a call,
        except attributes of `self`, which are the file's own.
        """
        for path, tree in self._trees.items():
            clients = {name for name, _ in _generated(self._names[path]) if name.endswith(CLIENT_SUFFIX)}
            for node in ast.walk(tree):
                if not isinstance(node, ast.Attribute) or _is_self(node.value):
                    continue
                for client in clients:
                    if (method := methods.get((client, node.attr))) is not None:
                        yield method, Place(path, node.lineno)

    def messages(self) -> Iterator[tuple[str, Place]]:
        """Yields the generated messages that the code uses, by their full names."""
        for path, names in self._names.items():
            for name, line in _generated(names):
                yield name, Place(path, line)

    def uses(self, package: str, name: str) -> bool:
        """Returns whether the code uses a name of this package or of one of its modules."""
        used = (full for names in self._names.values() for full, _ in names)
        return any(full.startswith(f"{package}.") and full.endswith(f".{name}") for full in used)


def read_code(root: Path, services: Iterable[Service]) -> dict[str, ServiceCode]:
    """Returns the code of the services by their names. Raises WrongDeclarations if a file can't be read or is not
    Python.
    """
    return {service.name: ServiceCode(root, service.name) for service in services}


def client_methods(image: FileDescriptorSet) -> dict[tuple[str, str], DescMethod]:
    """Returns the methods of all contracts by the full name of the client's class and the method's name in Python."""
    services = [desc for desc in image.to_registry() if isinstance(desc, DescService)]
    return {
        (f"{service.type_name}{CLIENT_SUFFIX}", python_name(method)): method
        for service in services
        for method in service.methods
    }


def _parse(path: Path, relative: str) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), path)  # bytes, because a file may name its encoding: PEP 263
    except SyntaxError as error:
        problem = Problem(relative, error.lineno or 1, f"is not Python: {error.msg}.")
    except ValueError as error:  # null bytes, before Python 3.11.4
        problem = Problem(relative, 1, f"is not Python: {error}.")
    except OSError as error:
        problem = Problem(relative, 1, f"can't be read: {error.strerror}.")
    raise WrongDeclarations([problem])


def _generated(names: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Yields those of a file's names that are of generated modules: the full name in the contract, and the line."""
    for full, line in names:
        module, _, name = full.rpartition(".")
        if package := _package(module):
            yield f"{package}.{name}", line


def _names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yields the full names that a file imports, or accesses through an imported module or package, as in
    catalog_grpc.CatalogServiceClient, with the line.
    """
    imports = list(_imports(tree))
    imported = {local: full for local, full, _ in imports}
    yield from ((full, line) for _, full, line in imports)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield _dotted(node, imported), node.lineno


def _imports(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Yields what a file imports: the name in the file, the full name, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((each.asname or each.name, f"{node.module}.{each.name}", each.lineno) for each in node.names)
        elif isinstance(node, ast.Import):
            for each in node.names:
                top = each.name.partition(".")[0]
                yield (each.asname, each.name, each.lineno) if each.asname else (top, top, each.lineno)


def _dotted(node: ast.expr, imported: Mapping[str, str]) -> str:
    """Returns the full name of an imported name or of an attribute of one; empty for other expressions."""
    if isinstance(node, ast.Name):
        return imported.get(node.id, "")
    if isinstance(node, ast.Attribute) and (parent := _dotted(node.value, imported)):
        return f"{parent}.{node.attr}"
    return ""


def _package(module: str) -> str:
    """Returns the package of the contract from which a module is generated; empty for other modules."""
    package, _, name = module.rpartition(".")
    return package if module.startswith("meshwright.") and name.endswith(("_grpc", "_pb")) else ""


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
