"""The declaration of a service, services/<name>/service.toml: facts that are in neither its contract nor its code.

    database = true                         # it has a PostgreSQL database, migrated before it starts
    mail = true                             # it sends mail: SMTP_URL
    sms = true                              # it sends SMS: SMS_FOLDER under `make up`, for the sandbox
    internet = true                         # it calls URLs outside of the mesh: its pods may connect to them
    issues_tokens = true                    # it gets the client secrets of all workloads: SERVICE_CLIENTS
    generated_secrets = ["SIGNING_SECRET"]  # variables whose values are generated once and kept
    memory = "96Mi"                         # a pod's memory request, if the default is too small
    port = 9001                             # of gRPC under `make up`, if it has to be fixed

    [env]                                   # variables that are set in every environment
    MAIL_FROM = "Shop <shop@example.com>"

An empty file declares a service that needs none of these.
"""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from local.declarations.problem import Problem, WrongDeclarations
from local.declarations.service_name import name_problem

FILE: Final = "service.toml"
OPS_PORT_OFFSET: Final = 100
PORT_MIN, PORT_MAX = 1024, 65535 - OPS_PORT_OFFSET

Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]

_MADE: Final = frozenset(
    {
        *("CLIENT_ID", "CLIENT_SECRET", "DATABASE_URL", "ENDED_TOKENS_URL", "GRPC_PORT", "JWKS_URL"),
        *(
            "LISTEN_HOST",
            "BROKER_URL",
            "OPS_PORT",
            "SERVICE_CLIENTS",
            "SERVICE_MESH",
            "SMS_FOLDER",
            "SMTP_URL",
            "TOKEN_AUDIENCE",
        ),
        *("MAIL_PAGE_TOKEN", "POSTGRES_PASSWORD", "TOKEN_ISSUER", "TOKEN_URL"),
    }
)
_MADE_SUFFIXES: Final = ("_ADDRESS", "_DATABASE_PASSWORD", "_BROKER_PASSWORD", "_CLIENT_SECRET")


class Declaration(BaseModel):
    """The content of services/<name>/service.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: bool = Field(False, strict=True)
    mail: bool = Field(False, strict=True)
    sms: bool = Field(False, strict=True)
    internet: bool = Field(False, strict=True)
    issues_tokens: bool = Field(False, strict=True)
    generated_secrets: tuple[Variable, ...] = ()
    memory: Annotated[str, Field(pattern=r"^([1-9][0-9]*(Ki|Mi|Gi))?$")] = ""
    port: Annotated[int, Field(strict=True, ge=PORT_MIN, le=PORT_MAX)] | None = None
    env: dict[Variable, bool | int | float | str] = Field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Returns the variables of [env] as strings for the environment of a process."""
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.env.items()}


class DeclarationFile:
    """A service.toml with its text, in which problems have lines. `name` is the name of the service and its folder."""

    def __init__(self, root: Path, name: str) -> None:
        """Raises WrongDeclarations with all problems of the file."""
        self.name = name
        self.path = f"services/{name}/{FILE}"
        if why := name_problem(name):
            raise WrongDeclarations([self.problem(f"{name!r} can't be the name of a service. {why}")])
        try:
            self._text = (root / self.path).read_text(encoding="utf-8")  # as TOML requires
        except FileNotFoundError:
            why = "is missing. An empty file declares a service without a database, mail, secrets and variables."
            raise WrongDeclarations([self.problem(why)]) from None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise WrongDeclarations([Problem(self.path, line, "is not UTF-8. Save it with this encoding.")]) from None
        except OSError as error:
            raise WrongDeclarations([self.problem(f"can't be read: {error.strerror}.")]) from None
        self.declaration = self._read()

    def problem(self, why: str, *keys: str) -> Problem:
        """Returns a problem at the line of these keys, outermost first; without keys, at the first line."""
        return Problem(self.path, self._line(keys), why)

    def _read(self) -> Declaration:
        try:
            declaration = Declaration.model_validate(tomllib.loads(self._text))
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column \d+\)", str(error))
            line = int(place[1]) if place else self._text.count("\n") + 1
            raise WrongDeclarations([Problem(self.path, line, f"is not TOML: {error}")]) from None
        except ValidationError as error:
            raise WrongDeclarations(map(self._wrong, error.errors(include_url=False))) from None
        if problems := self._contradictions(declaration):
            raise WrongDeclarations(problems)
        return declaration

    def _wrong(self, error: ErrorDetails) -> Problem:
        keys = [str(part) for part in error["loc"] if isinstance(part, str)]
        return self.problem(f"{_label(keys)} {_requirement(error, keys)}", *keys[:2])

    def _contradictions(self, declaration: Declaration) -> list[Problem]:
        secrets = declaration.generated_secrets
        set_here = [("env", name) for name in declaration.env] + [("generated_secrets", name) for name in secrets]
        found = [
            self.problem(f"{name} is set for the service by what is derived; it can't be declared.", key, name)
            for key, name in set_here
            if name in _MADE or name.endswith(_MADE_SUFFIXES)
        ]
        found += [
            self.problem(f"{name} is both a generated secret and a variable of [env].", "env", name)
            for name in declaration.env
            if name in secrets
        ]
        found += [
            self.problem(f"{name} is named twice.", "generated_secrets")
            for name in set(secrets)
            if secrets.count(name) > 1
        ]
        return found

    def _line(self, keys: tuple[str, ...]) -> int:
        """Returns the line of the last key that is found. Each key is searched after the one before it."""
        at = 1
        lines = self._text.splitlines() if keys else []
        for key in keys:
            word = re.compile(rf"(?<![A-Za-z0-9_-]){re.escape(key)}(?![A-Za-z0-9_-])")
            at = next(
                (n for n, line in enumerate(lines, start=1) if n >= at and word.search(line.partition("#")[0])), at
            )
        return at


def _label(keys: list[str]) -> str:
    """Returns the name of the key in errors."""
    if len(keys) > 1 and keys[0] == "env":
        return keys[1]
    return keys[0] if keys else "The declaration"


def _requirement(error: ErrorDetails, keys: list[str]) -> str:
    """Returns the requirement that a key violates, as the rest of a sentence that begins with the key."""
    kind, key = error["type"], keys[0] if keys else ""
    if kind == "extra_forbidden":
        known = list(Declaration.model_fields)
        near = difflib.get_close_matches(key, known, 1)
        return f"is not known. Did you mean {near[0]}?" if near else f"is not known. Known are {', '.join(known)}."
    expected: dict[str, Any] = {
        "port": f"must be a whole number from {PORT_MIN} to {PORT_MAX}.",
        "memory": 'must be a quantity such as "96Mi".',
        "generated_secrets": 'must be a list of variables in capitals, such as ["SIGNING_SECRET"].',
        "env": "must be a variable in capitals with a string, a number, true or false."
        if len(keys) > 1
        else "must be a table of variables: [env]",
    }
    return str(expected.get(key, "must be true or false."))
