"""Every method of METHODS, "address/service/method", is denied by the mesh to a workload that its contract does not name."""

import os
import sys

import grpc

TIMEOUT_S = 10
# A proxy resets the stream of a call that it denies; some clients then see INTERNAL in place of its status.
DENIED = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INTERNAL)

failed = False
for target in os.environ["METHODS"].split():
    address, _, method = target.partition("/")
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(f"/{method}")
        try:
            call(b"", timeout=TIMEOUT_S, wait_for_ready=True)
            code, details = grpc.StatusCode.OK, ""
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
    print(target, code.name, details)
    failed |= code not in DENIED
sys.exit(failed)
