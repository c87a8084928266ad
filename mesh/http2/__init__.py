"""HTTP/2 for gRPC on asyncio: frames, HPACK, streams, flow control and connections, which `client` and `server` share.

https://www.rfc-editor.org/rfc/rfc9113, https://www.rfc-editor.org/rfc/rfc7541 and
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md define the protocols. docs/decisions/0056-http2.md says
why it is our own.
"""
