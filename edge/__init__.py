"""The edge: REST/JSON in front of any gRPC backend whose contract carries google.api.http rules.

The modules are the stages that a request passes: contract, path_template and router (made at the start), then request,
access, binding, upstream and reply; errors is the way out of each of them. procedures serves the same methods to
clients of Connect and gRPC-Web.
"""
