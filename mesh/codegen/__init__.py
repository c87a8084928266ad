"""protoc-gen-mesh: the protoc plugin that writes typed service bases and clients."""
