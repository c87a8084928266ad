"""Where contracts come from: a descriptor image, a folder of .proto files, or the upstreams themselves. Each gives the
google.protobuf.FileDescriptorSet with every import in it that `edge.contract` reads.
"""
