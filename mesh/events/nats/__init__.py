"""The adapter of NATS JetStream: connection, stream, users, provisioning. Nothing else in the mesh knows NATS."""
