"""Every service of ADDRESSES answers its health check, and says that it is serving."""

import os
import sys

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

TIMEOUT_S = 10

failed = False
for address in os.environ["ADDRESSES"].split():
    with grpc.insecure_channel(address) as channel:
        try:
            status = HealthStub(channel).Check(HealthCheckRequest(), timeout=TIMEOUT_S, wait_for_ready=True).status
            answer = HealthCheckResponse.ServingStatus.Name(status)
        except grpc.RpcError as error:
            answer = f"{error.code().name}: {error.details()}"
    print(address, answer)
    failed |= answer != "SERVING"
sys.exit(failed)
