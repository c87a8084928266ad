"""Where contracts come from: a descriptor image, a folder of .proto files, or the upstreams themselves."""
