"""Runs the plugin: reads a CodeGeneratorRequest from standard input, writes the response to standard output."""

from protobuf.plugin import run

from mesh.codegen.generator import NAME, VERSION, generate

run(NAME, VERSION, generate)
