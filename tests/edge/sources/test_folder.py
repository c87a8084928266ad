"""The compiler of folders of .proto files."""

from pathlib import Path

import pytest

from edge.contract.contract import read
from edge.sources.folder import compile_folder
from mesh.errors import InvalidArgument
from tests.edge.contracts import LIBRARY


def write(folder: Path, **files: str) -> Path:
    """Writes a.proto for a="…"; two underscores stand for a slash."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.proto"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_folder_needs_only_its_own_files(tmp_path: Path) -> None:
    """The files of Google, protovalidate and ours are known; options and comments are in the image."""
    contract = read(compile_folder(write(tmp_path, library=LIBRARY)))
    assert "/v1/{parent=shelves/*}/books" in [route.template.text for route in contract.routes]
    assert contract.routes[0].method.policy.public
    assert "library.v1.Library.CreateBook" in contract.validated
    assert contract.registry.source("library.proto").source_code_info.location


def test_imports_are_relative_to_the_folder(tmp_path: Path) -> None:
    """Files in sub-folders import each other by their paths from the folder."""
    inner = 'syntax = "proto3"; package a.b; message M {}'
    outer = 'syntax = "proto3"; package a; import "a/b/inner.proto"; service S { rpc R(b.M) returns (b.M); }'
    image = compile_folder(write(tmp_path, a__b__inner=inner, a__outer=outer))
    assert [file.name for file in image.file] == ["a/b/inner.proto", "a/outer.proto"]


def test_copies_are_compiled_once(tmp_path: Path) -> None:
    """Copies in the hidden folder of a Kubernetes mount and copies of Google's files are ignored."""
    text = 'syntax = "proto3"; import "google/api/annotations.proto"; message M {}'
    write(tmp_path, a=text, third_party__google__api__annotations="broken", google__protobuf__any="broken")
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "a.proto").write_text(text)
    assert [file.name for file in compile_folder(tmp_path).file][-1] == "a.proto"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('syntax = "proto3";\nmessage M { Nope n = 1; }', r'a\.proto:2:13: "Nope" is not defined\.'),
        ('syntax = "proto3";\nimport "b.proto";', r'a\.proto:2:1: Import "b\.proto" was not found'),
        ('syntax = "proto3";\nimport "b.proto";', r"set it to the folder that they are relative to"),
        ('syntax = "proto3";\nmessage M {', r"a\.proto:2:12: Reached end of input in message definition"),
    ],
)
def test_a_compile_error_has_its_file_line_and_column(tmp_path: Path, text: str, sentence: str) -> None:
    """The message contains protoc's errors without its warnings."""
    unused = 'syntax = "proto3"; import "google/protobuf/any.proto";'
    with pytest.raises(InvalidArgument, match=sentence) as caught:
        compile_folder(write(tmp_path, a=text, unused=unused))
    assert "warning" not in str(caught.value)


def test_a_folder_without_contracts_raises(tmp_path: Path) -> None:
    """A folder with files but without .proto files raises InvalidArgument."""
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(InvalidArgument, match=r"There is no \.proto file in"):
        compile_folder(tmp_path)
