"""The base of generated services, and the handlers of their methods."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from protobuf import DescService

from mesh.rpc.call import Call
from mesh.rpc.method import Method


@dataclass(frozen=True, slots=True)
class Handler:
    """The handler of a method: a coroutine function, or an asynchronous generator if the response streams. It takes the
    request, or the iterator of requests, and the call.
    """

    method: Method[Any, Any]
    serve: Callable[[Any, Call], Any]


class Service(abc.ABC):
    """The base class of every generated service base."""

    DESC: ClassVar[DescService]

    @abc.abstractmethod
    def handlers(self) -> tuple[Handler, ...]:
        """Returns the handlers of the service's methods."""
