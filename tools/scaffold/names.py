"""The names of a new service and of its resource, in every spelling that contracts, code and texts use."""

import builtins
import keyword
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Final, Self

from local.declarations.service_name import name_problem

SAMPLE_SERVICE: Final = "sample_shelf"
SAMPLE_RESOURCE: Final = "sample_note"

RESOURCE_LENGTH_MAX: Final = 30  # keeps generated lines within 120 characters

# The reserved words of SQL that are plurals: https://www.postgresql.org/docs/18/sql-keywords-appendix.html
_SQL: Final = frozenset({"as", "is", "overlaps", "references"})

_VOWELS: Final = "aeiou"


class WrongName(ValueError):
    """An invalid name of a service or a resource. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a service and its resource, in the singular: order_items, order_item."""

    service: str
    resource: str

    @classmethod
    def read(cls, service: str, resource: str, *, used: Set[str]) -> Self:
        """Returns the names for the arguments of `make service`. By default, the resource is the singular of the
        service. `used` are the names that the code of a new service uses for something else. Raises WrongName.
        """
        names = cls(_read(service), _read(resource) if resource else singular(_read(service)))
        if keyword.iskeyword(names.service):
            raise WrongName(f"{names.service!r} is a word of Python, and can't be the name of a package.")
        if len(names.resource) > RESOURCE_LENGTH_MAX:
            raise WrongName(
                f"The name of the resource, {names.resource}, has more than {RESOURCE_LENGTH_MAX} characters. "
                f"{_other_resource(names.service)}"
            )
        taken = {*keyword.kwlist, *dir(builtins), *_SQL, *used}
        clashing = taken & {names.resource, names.resources, pascal(names.resource)}
        if clashing:
            raise WrongName(
                f"The resource of {names.service} would have the name {min(clashing)!r}, which its code needs for "
                f"something else. {_other_resource(names.service)}"
            )
        return names

    @property
    def resources(self) -> str:
        """Returns the plural of the resource, such as order_items."""
        return plural(self.resource)

    def substitutions(self) -> dict[str, str]:
        """Returns the replacement for each spelling of the template's names."""
        sample = Names(SAMPLE_SERVICE, SAMPLE_RESOURCE)
        pairs = dict(zip(sample._spellings(), self._spellings(), strict=True))
        if self.resource[0] in _VOWELS:
            noun = words(self.resource)
            pairs |= {f"{a} {words(SAMPLE_RESOURCE)}": f"{a}n {noun}" for a in ("a", "A")}
        return pairs

    def _spellings(self) -> Iterator[str]:
        yield from (self.service, pascal(self.service))
        for noun in (self.resources, self.resource):
            yield from (noun, pascal(noun), camel(noun), noun.upper(), words(noun), words(noun).capitalize())


def pascal(name: str) -> str:
    """Returns a name in PascalCase: order_item -> OrderItem."""
    return "".join(word.capitalize() for word in name.split("_"))


def camel(name: str) -> str:
    """Returns a name in camelCase: order_item -> orderItem."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def words(name: str) -> str:
    """Returns a name as separate words: order_item -> order item."""
    return name.replace("_", " ")


def singular(noun: str) -> str:
    """Returns the singular of a regular English plural; other nouns unchanged."""
    if noun.endswith(("ss", "us", "is")) or not noun.endswith("s"):
        return noun
    if re.search(r"[^aeiou_]ies\Z", noun):
        return noun.removesuffix("ies") + "y"
    return noun.removesuffix("es" if noun.endswith(("sses", "shes", "ches", "xes", "zes")) else "s")


def plural(noun: str) -> str:
    """Returns the regular English plural of a noun."""
    if re.search(r"[^aeiou_]y\Z", noun):
        return noun.removesuffix("y") + "ies"
    return noun + ("es" if noun.endswith(("s", "sh", "ch", "x", "z")) else "s")


def _other_resource(service: str) -> str:
    return f"Choose another one: make service NAME={service} RESOURCE=<a noun in the singular>."


def _read(text: str) -> str:
    """Returns a name in the form of a package name: order-items becomes order_items. Raises WrongName."""
    name = text.replace("-", "_")
    if why := name_problem(name):
        near = re.sub(r"\W+|_+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).strip("_").lower()
        hint = f" Did you mean {near}?" if near != name and not name_problem(near) else ""
        raise WrongName(f"{text!r} can't be the name of a service or its resource. {why}{hint}")
    return name
