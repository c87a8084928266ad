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
    """A method and what serves it: a coroutine function, or an asynchronous generator if it answers a stream. It takes
    the request, or the iterator of requests, and the call.
    """

    method: Method[Any, Any]
    serve: Callable[[Any, Call], Any]


class Service(abc.ABC):
    """The base of every generated service base."""

    DESC: ClassVar[DescService]

    @abc.abstractmethod
    def handlers(self) -> tuple[Handler, ...]:
        """The service's methods with what serves them."""
