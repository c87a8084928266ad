"""The methods of the gRPC services, a module for each service."""
