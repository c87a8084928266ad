"""The compiler of a folder of .proto files, with protoc from grpcio-tools.

Imports are resolved relative to the folder. It need not contain Google's common files, protovalidate's or our own.
"""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from meshwright.policy.v1 import policy_pb
from protobuf.wkt import FileDescriptorSet as Image
from protovalidate._gen.buf.validate import validate_pb

from edge.contract.image import parse_image
from mesh.errors import InvalidArgument

# Files whose packages ship only the generated code.
_KNOWN: Final = {file.name: file.proto for file in (validate_pb.desc(), policy_pb.desc())}


def compile_folder(folder: Path) -> FileDescriptorSet:
    """Compiles every .proto file of a folder, with comments. Raises InvalidArgument with the errors of protoc, one on
    each line: file:line:column: text.
    """
    names = proto_files(folder)
    if not names:
        raise InvalidArgument(f"There is no .proto file in {folder}.")
    with tempfile.TemporaryDirectory() as scratch:
        known, image, arguments = (Path(scratch, name) for name in ("known.binpb", "image.binpb", "arguments"))
        known.write_bytes(Image(file=list(_KNOWN.values())).to_binary())
        includes = ["-I.", f"-I{_google_files()}", f"--descriptor_set_in={known}"]
        options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
        lines = [*includes, *options, *names]
        arguments.write_text("\n".join(lines))
        command = [sys.executable, "-P", "-m", "grpc_tools.protoc", f"@{arguments}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            raise InvalidArgument(_explain(folder, done.stderr))
        return parse_image(image.read_bytes(), str(folder))


def proto_files(folder: Path) -> list[str]:
    """Returns the sorted paths of the .proto files in a folder. Omits hidden folders, because in a folder mounted by
    Kubernetes they contain every file a second time, and copies of files that are known anyway.
    """
    google = _google_files()
    paths = (path.relative_to(folder) for path in folder.rglob("*.proto"))
    return sorted(
        path.as_posix()
        for path in paths
        if not any(part.startswith(".") for part in path.parts) and not _is_copy(path.parts, google)
    )


def _is_copy(parts: tuple[str, ...], google: Path) -> bool:
    """Returns whether a file, such as one in "third_party/google/api", is a copy of a known file or protobuf's own."""
    inner = ["/".join(parts[start:]) for start in range(len(parts))]
    return any(
        path.startswith("google/protobuf/") or (path != inner[0] and (path in _KNOWN or (google / path).is_file()))
        for path in inner
    )


def _google_files() -> Path:
    """Returns the folder of the .proto files in googleapis-common-protos: google/api, google/rpc and others."""
    found = find_spec("google.api")
    assert found is not None, "the package is required"
    return Path((found.submodule_search_locations or [])[0]).parents[1]


def _explain(folder: Path, errors: str) -> str:
    lines = [line for line in errors.splitlines() if ": warning: " not in line]
    hint = ""
    if any("was not found" in line or "File not found" in line for line in lines):
        hint = "\nImports are resolved relative to the folder: set it to the folder that they are relative to."
    return "\n".join([f"Can't compile the contracts in {folder}:", *lines]) + hint
