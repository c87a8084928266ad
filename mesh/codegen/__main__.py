"""The entry point of the plugin: a CodeGeneratorRequest from standard input, the response to standard output."""

from protobuf.plugin import run

from mesh.codegen.generator import NAME, VERSION, generate

run(NAME, VERSION, generate)
