"""The sources of contracts: a descriptor image, a folder of .proto files, or the reflection of the upstreams."""
