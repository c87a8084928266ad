"""The page docs/errors.md: every reason that our processes send, with its meaning and what to do about it.

The reasons are collected from the code and the contracts, the texts from docs/errors.toml and the errors.toml of each
service. It is an error if the two do not match.

    python tools/errors_page.py [the folder to write below]
"""

import ast
import itertools
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from meshwright.policy.v1.policy_pb import ext_method
from protobuf.wkt import FileDescriptorSet

import mesh.errors
from edge.http.errors import HttpError, http_status
from mesh.errors import MeshError

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("edge", "mesh", "services")
SAMPLES: Final = "edge/openapi/"  # its errors are examples for the documentation
REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{3,}")
SHARED: Final = "docs/errors.toml"
EDGE: Final = "the edge"
EVERY_PROCESS: Final = "every process"
HTTP_ERROR: Final = "HttpError"
FIELD: Final = "FieldViolation"
KINDS: Final = {name: kind for name, kind in vars(mesh.errors).items() if isinstance(kind, type)}

Kinds = Mapping[str, frozenset[str]]
"""The classes of errors (or FIELD) that a call creates, by the name of the called class or function."""

Table = Mapping[str, Mapping[str, object]]
"""The texts for each reason: for errors a list of the meaning and what to do, for fields a sentence."""

# Modules that compute reasons, by path: the kinds of errors with which they are sent, and the reasons.
COMPUTED: Final = {
    "mesh/field_mask.py": (("InvalidArgument",), ("FIELD_NOT_UPDATABLE", "FIELD_UNKNOWN")),
    "mesh/pagination.py": (("InvalidArgument",), ("PAGE_SIZE_NEGATIVE", "PAGE_TOKEN_INVALID")),
    "services/catalog/syntax_errors.py": (("InvalidArgument", FIELD), ("FILTER_INVALID", "ORDER_BY_INVALID")),
}


@dataclass(slots=True)
class ReasonUsage:
    """The senders of a reason, and the HTTP statuses and gRPC codes with which it is sent."""

    senders: set[str] = field(default_factory=set)
    statuses: set[tuple[int, str]] = field(default_factory=set)


@dataclass(slots=True)
class Reasons:
    """The reasons of errors and the reasons of single fields, by name."""

    errors: dict[str, ReasonUsage] = field(default_factory=lambda: defaultdict(ReasonUsage))
    fields: dict[str, ReasonUsage] = field(default_factory=lambda: defaultdict(ReasonUsage))
    unread: list[str] = field(default_factory=list)
    """The places of computed reasons, which can't be collected and are not in COMPUTED."""

    def add(self, reason: str, kind: str, sender: str, call: ast.Call | None = None) -> None:
        """Records that `sender` sends this reason with an error or a violation of this kind."""
        if kind == FIELD:
            self.fields[reason].senders.add(sender)
        else:
            self.errors[reason].senders.add(sender)
            self.errors[reason].statuses.add(_status(kind, call))


def main() -> None:
    """Writes the page below the folder that the argument names, by default the root of the project."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    table = entries(ROOT)
    reasons = collect(ROOT)
    if problems := list(mismatches(reasons, table)):
        sys.exit("\n".join(problems))
    (target / "docs").mkdir(parents=True, exist_ok=True)
    (target / "docs" / "errors.md").write_text(page(reasons, table))


def collect(root: Path) -> Reasons:
    """Returns all reasons in the code and in the descriptor image below a folder."""
    modules = {
        name: ast.parse(path.read_bytes())
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
        if not (name := path.relative_to(root).as_posix()).startswith(SAMPLES)
    }
    shared = _classes(modules.values())
    for tree in modules.values():
        shared |= {name: kinds for name, kinds in _helpers(tree, shared).items() if not name.startswith("_")}
    reasons = Reasons()
    for path, tree in modules.items():
        sender = _sender(path)
        for call, kind, reason in _sent(tree, shared | _helpers(tree, shared)):
            reasons.add(reason, kind, sender, call)
        if path not in COMPUTED:
            reasons.unread += [f"{path}:{line}" for line in _computed(tree, shared)]
        for kind, reason in itertools.product(*COMPUTED.get(path, ((), ()))):
            reasons.add(reason, kind, sender)
    for service, reason in _declared(root / "gen" / "contracts.binpb"):
        reasons.add(reason, "InvalidArgument", service)
    return reasons


def entries(root: Path) -> Table:
    """Returns the entries of all tables below a folder. Exits with a message if two are for the same reason."""
    table: dict[str, dict[str, object]] = {"errors": {}, "fields": {}}
    for path in [root / SHARED, *sorted(root.glob("services/*/errors.toml"))]:
        for title, found in tomllib.loads(path.read_text()).items():
            if repeated := table[title].keys() & found.keys():
                sys.exit(f"{path.relative_to(root)}: [{title}] {min(repeated)} has an entry elsewhere too. Leave one.")
            table[title] |= found
    return table


def mismatches(reasons: Reasons, table: Table) -> Iterator[str]:
    """Yields a sentence for each reason without an entry, each entry without a reason, and each computed reason."""
    for place in reasons.unread:
        yield f"{place}: the reason is computed. Write it as a constant, or declare it in tools/errors_page.py."
    for title, found in (("errors", reasons.errors), ("fields", reasons.fields)):
        for reason in sorted(found.keys() - table[title].keys()):
            yield f"{_place(found[reason])}: [{title}] has no entry for {reason}. Say what it means and what to do."
        for reason in sorted(table[title].keys() - found.keys()):
            yield f"errors.toml: [{title}] has an entry for {reason}, which nothing sends. Remove it."


def _place(usage: ReasonUsage) -> str:
    """Returns the table for a reason: the service's if only that service sends it, else the shared one."""
    (first, *others) = sorted(usage.senders)
    return SHARED if others or first in (EDGE, EVERY_PROCESS) else f"services/{first}/errors.toml"


@cache
def _nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Returns all nodes of a module, which are looked at several times."""
    return tuple(ast.walk(tree))


def _classes(trees: Iterable[ast.Module]) -> dict[str, frozenset[str]]:
    """Returns the classes of errors and violations, each with the base class that determines its status."""
    found = {name: frozenset({name}) for name in KINDS} | {HTTP_ERROR: frozenset({HTTP_ERROR})}
    found |= {FIELD: frozenset({FIELD}), "InvalidValue": frozenset({FIELD})}
    for node in (node for tree in trees for node in _nodes(tree) if isinstance(node, ast.ClassDef)):
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in found:
                found.setdefault(node.name, found[base.id])
    return found


def _helpers(tree: ast.Module, known: Kinds) -> dict[str, frozenset[str]]:
    """Returns the functions of a module that take a reason and create errors or violations with it."""
    found = {}
    for node in _nodes(tree):
        if isinstance(node, ast.FunctionDef) and _takes_reason(node):
            calls = [call for call in ast.walk(node) if isinstance(call, ast.Call) and _callee(call) in known]
            passed = [call for call in calls if any(_is_name(value, "reason") for value in _arguments(call))]
            if kinds := frozenset[str]().union(*(known[_callee(call)] for call in passed)):
                found[node.name] = kinds
    return found


def _computed(tree: ast.Module, known: Kinds) -> Iterator[int]:
    """Yields the lines of errors whose reason is not a constant, a parameter or the reason of another error."""
    constants = _constants(tree)
    functions = [node for node in _nodes(tree) if isinstance(node, ast.FunctionDef) and _takes_reason(node)]
    passed_on = {id(call) for function in functions for call in ast.walk(function)}
    for call in (node for node in _nodes(tree) if isinstance(node, ast.Call) and _callee(node) in known):
        for value in (keyword.value for keyword in call.keywords if keyword.arg == "reason"):
            is_passed_on = _is_name(value, "reason") and id(call) in passed_on
            is_of_another = isinstance(value, ast.Attribute) and value.attr == "reason"
            if not is_passed_on and not is_of_another and not list(_texts(value, constants)):
                yield call.lineno


def _takes_reason(function: ast.FunctionDef) -> bool:
    return any(each.arg == "reason" for each in [*function.args.args, *function.args.kwonlyargs])


def _sent(tree: ast.Module, known: Kinds) -> Iterator[tuple[ast.Call, str, str]]:
    """Yields each call that creates an error or a violation with a reason, its kind, and the reason."""
    constants = _constants(tree)
    for call in (node for node in _nodes(tree) if isinstance(node, ast.Call)):
        for value in _arguments(call):
            for text in _texts(value, constants):
                for kind in known.get(_callee(call), ()):
                    yield call, kind, text


def _constants(tree: ast.Module) -> Mapping[str, ast.expr]:
    """Returns the values of a module's constants, by name."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def _texts(value: ast.expr, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    """Yields the reasons that an argument can have as its value."""
    if isinstance(value, ast.BoolOp):
        for each in value.values:
            yield from _texts(each, constants)
    elif isinstance(value, ast.Name) and value.id in constants:
        yield from _texts(constants[value.id], {})
    elif isinstance(value, ast.Constant) and isinstance(value.value, str) and REASON.fullmatch(value.value):
        yield value.value


def _callee(call: ast.Call) -> str:
    """Returns the name of the called function; HttpError if a subclass calls the constructor of its base."""
    if isinstance(call.func, ast.Name):
        return call.func.id
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return HTTP_ERROR if name == "__init__" and call.args and _number(call.args[0]) else name


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _is_name(value: ast.expr, name: str) -> bool:
    return isinstance(value, ast.Name) and value.id == name


def _number(value: ast.expr) -> int:
    """Returns the value of an integer literal; 0 for other expressions."""
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, int) else 0


def _status(kind: str, call: ast.Call | None) -> tuple[int, str]:
    """Returns the HTTP status and the gRPC code of an error of this kind."""
    if kind == HTTP_ERROR:
        assert call is not None
        error: MeshError = HttpError(_number(call.args[0]), "", "")
    else:
        error = KINDS[kind]("")
    return http_status(error), error.code.name


def _sender(path: str) -> str:
    """Returns the sender of a module's errors, as the page names it."""
    package, below = path.split("/")[:2]
    return {"edge": EDGE, "mesh": EVERY_PROCESS}.get(package, below)


def _declared(image: Path) -> Iterator[tuple[str, str]]:
    """Yields the reasons that contracts declare for invalid requests, each with its service."""
    for file in FileDescriptorSet.from_binary(image.read_bytes()).file:
        for options in (method.options for service in file.service for method in service.method):
            if options is not None and ext_method in options and (reason := options[ext_method].invalid_reason):
                yield file.package.split(".")[1], reason


_HEAD: Final = """\
# Errors

<!-- `make generate` writes this page from the code, the contracts and the files errors.toml. -->

Every error that we raise on purpose has a *reason*, a constant that programs can compare: the
message may change, the reason does not. It is in the detail `google.rpc.ErrorInfo`, with the domain
`meshwright`, over REST, Connect, gRPC-Web and gRPC alike:

```json
{
  "error": {
    "code": 400,
    "message": "pageSize: must be greater than or equal to 0",
    "status": "INVALID_ARGUMENT",
    "details": [
      {"@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "INVALID_FIELD", "domain": "meshwright", "metadata": {}},
      {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
        {"field": "pageSize", "description": "must be greater than or equal to 0", "reason": "INT32_GTE"}
      ]}
    ]
  }
}
```

- An error with a `google.rpc.RetryInfo` or the header `Retry-After` is temporary: wait that long,
  and repeat the call. Repeat calls that change something with the same `request_id`.
- Errors without a reason say nothing that a program could act on beyond their code, for example
  `INTERNAL` ("Internal error."): report them with the header `X-Request-Id`.
- Services behind the edge that are not ours send reasons of their own, with another domain.

Connect and gRPC-Web have other HTTP statuses than REST: those of their specifications.

## Reasons of errors

| Reason | HTTP | gRPC | From | Meaning | What to do |
|---|---|---|---|---|---|
"""

_FIELDS: Final = """
## Reasons of fields

`fieldViolations` of `google.rpc.BadRequest` name every field that is wrong. A field that breaks a
validation rule of the contract has the rule's name in capitals as its reason, and the description
says what must hold: `STRING_MIN_LEN` for `string.min_len`, `EMAIL_ADDRESS` for the contract's own
rule `email.address`. All other reasons are:

| Reason | From | What to do |
|---|---|---|
"""


def page(reasons: Reasons, table: Table) -> str:
    """Returns the text of docs/errors.md."""
    errors = "".join(_error_row(name, reasons.errors[name], table["errors"][name]) for name in sorted(reasons.errors))
    fields = "".join(
        f"| `{name}` | {_senders(reasons.fields[name])} | {table['fields'][name]} |\n"
        for name in sorted(reasons.fields)
    )
    return f"{_HEAD}{errors}{_FIELDS}{fields}"


def _error_row(name: str, usage: ReasonUsage, entry: object) -> str:
    assert isinstance(entry, list), f"errors.toml: {name} must be a list of its meaning and what to do"
    meaning, what_to_do = entry
    statuses = sorted(usage.statuses)
    http = ", ".join(dict.fromkeys(str(status) for status, _ in statuses))
    codes = ", ".join(dict.fromkeys(code for _, code in statuses))
    return f"| `{name}` | {http} | {codes} | {_senders(usage)} | {meaning} | {what_to_do} |\n"


def _senders(usage: ReasonUsage) -> str:
    return ", ".join(sorted(usage.senders))


if __name__ == "__main__":
    main()
