"""Every service of ADDRESSES answers its health check, and says that it is serving."""

import os
import sys

import grpc

TIMEOUT_S = 10
CHECK = "/grpc.health.v1.Health/Check"
# The bytes of a HealthCheckResponse whose status is SERVING, and of an empty HealthCheckRequest: no generated code is needed.
SERVING = b"\x08\x01"
REQUEST = b""

failed = False
for address in os.environ["ADDRESSES"].split():
    with grpc.insecure_channel(address) as channel:
        try:
            serving = channel.unary_unary(CHECK)(REQUEST, timeout=TIMEOUT_S, wait_for_ready=True) == SERVING
            answer = "SERVING" if serving else "NOT_SERVING"
        except grpc.RpcError as error:
            serving, answer = False, f"{error.code().name}: {error.details()}"
    print(address, answer)
    failed |= not serving
sys.exit(failed)
