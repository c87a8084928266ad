"""Descriptor images in files."""

import gzip
from pathlib import Path

import pytest

from edge.contract.image import read_image
from mesh.errors import InvalidArgument
from tests.edge.contracts import LIBRARY, compile_image


def test_a_compressed_image_is_taken(tmp_path: Path) -> None:
    """gzip, whatever the file's name."""
    image = compile_image(LIBRARY, tmp_path)
    (tmp_path / "image").write_bytes(gzip.compress(image.SerializeToString()))
    assert read_image(tmp_path / "image") == image


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no contracts"),
        (b"\xff\xff\xff", "is not a descriptor image"),
        (b"\x0a\x00", "holds no contracts"),
        (gzip.compress(b"x" * 100, mtime=0)[:-4], "is compressed, and damaged"),
        (b"\x1f\x8b" + b"x" * 20, "is compressed, and damaged"),
    ],
)
def test_a_file_that_is_none_is_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """It names the file, and says what is wrong with it."""
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(InvalidArgument, match=f"{tmp_path / 'image'} {sentence}"):
        read_image(tmp_path / "image")
