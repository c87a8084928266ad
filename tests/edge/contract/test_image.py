"""The reader of descriptor images."""

import gzip
from pathlib import Path

import pytest

from edge.contract.image import read_image
from mesh.errors import InvalidArgument
from tests.edge.contracts import LIBRARY, compile_image


def test_a_gzipped_image_is_read(tmp_path: Path) -> None:
    """An image in gzip is recognised by its content, not by the file's name."""
    image = compile_image(LIBRARY, tmp_path)
    (tmp_path / "image").write_bytes(gzip.compress(image.SerializeToString()))
    assert read_image(tmp_path / "image") == image


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "contains no .proto files"),
        (b"\xff\xff\xff", "is not a descriptor image"),
        (b'syntax = "proto3";', "is not a descriptor image. .*, or name a folder of .proto files"),
        (b"\x0a\x00", "contains no .proto files"),
        (gzip.compress(b"x" * 100, mtime=0)[:-4], "is a corrupt gzip file"),
        (b"\x1f\x8b" + b"x" * 20, "is a corrupt gzip file"),
    ],
)
def test_an_invalid_file_raises(tmp_path: Path, content: bytes, sentence: str) -> None:
    """The message names the file and the reason."""
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(InvalidArgument, match=f"{tmp_path / 'image'} {sentence}"):
        read_image(tmp_path / "image")
