"""gRPC server reflection, so that grpcurl needs no .proto files."""

from collections.abc import Iterable, Sequence

import grpc.aio
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from protobuf import DescFile, DescService


def enable_reflection(services: Sequence[DescService], server: grpc.aio.Server) -> None:
    """Serves the descriptors of these services, of health and of reflection itself, from a pool of their own: two
    contracts that use other versions of one file must not meet in the default pool.
    """
    pool = descriptor_pool.DescriptorPool()
    for serialized in (health_pb2.DESCRIPTOR.serialized_pb, reflection_pb2.DESCRIPTOR.serialized_pb):
        pool.AddSerializedFile(serialized)
    for file in _with_dependencies(service.file for service in services):
        pool.AddSerializedFile(file.proto.to_binary())
    names = [service.type_name for service in services]
    reflection.enable_server_reflection([*names, "grpc.health.v1.Health", reflection.SERVICE_NAME], server, pool=pool)


def _with_dependencies(files: Iterable[DescFile]) -> Iterable[DescFile]:
    """Every file once, after the files that it imports."""
    done: dict[str, DescFile] = {}

    def visit(file: DescFile) -> None:
        if file.name not in done:
            for dependency in file.dependencies:
                visit(dependency)
            done[file.name] = file

    for file in files:
        visit(file)
    return done.values()
