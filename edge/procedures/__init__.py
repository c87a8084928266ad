"""RPCs called as such, by POST to "/package.Service/Method", in the protocols of browsers and other HTTP/1.1 clients:
Connect (https://connectrpc.com/docs/protocol) and gRPC-Web
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md).

connect_unary and exchange are the two ways of a call: one message for one as HTTP has it, and messages in envelopes.
connect_stream and grpc_web are the dialects of the second.
"""
