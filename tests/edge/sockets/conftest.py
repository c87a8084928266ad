"""The contract of streams, as for streams over HTTP."""

from tests.edge.streams.conftest import _shared_source, feeds, reader, source

__all__ = ["_shared_source", "feeds", "reader", "source"]
