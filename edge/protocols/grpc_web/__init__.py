"""gRPC-Web: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md."""
