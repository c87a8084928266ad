"""The types of remote procedure calls that generated code, server and client share. Knows no gRPC library."""

from mesh.rpc.call import CLIENT_ADDRESS, USER_AGENT, WORKLOAD, Call, current_call
from mesh.rpc.method import Kind, Method, Req, Res
from mesh.rpc.service import Handler, Service

__all__ = [
    "CLIENT_ADDRESS",
    "USER_AGENT",
    "WORKLOAD",
    "Call",
    "Handler",
    "Kind",
    "Method",
    "Req",
    "Res",
    "Service",
    "current_call",
]
