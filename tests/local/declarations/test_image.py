"""The descriptor image of a checkout."""

from pathlib import Path

import pytest
from protobuf.wkt import FileDescriptorSet

from local.declarations.image import IMAGE, read_contracts
from local.errors import SetupError

ROOT = Path(__file__).resolve().parents[3]


def test_the_image_of_the_store() -> None:
    """The committed image can be read."""
    assert read_contracts(ROOT).message("meshwright.orders.v1.Order")


def test_an_image_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    """The error of a missing, cut off, incomplete or other file says how to make it again."""
    path = tmp_path / IMAGE
    path.parent.mkdir()
    again = r"\. To make it again: make generate$"
    with pytest.raises(SetupError, match=rf"^{IMAGE}:1: is missing{again}"):
        read_contracts(tmp_path)
    whole = (ROOT / IMAGE).read_bytes()
    incomplete = FileDescriptorSet(file=FileDescriptorSet.from_binary(whole).file[1:]).to_binary()
    for content in (whole[:1000], incomplete, b"<<<<<<< HEAD\n"):
        path.write_bytes(content)
        with pytest.raises(SetupError, match=rf"^{IMAGE}:1: is no descriptor image: .*{again}"):
            read_contracts(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(SetupError, match=rf"^{IMAGE}:1: can't be read: Is a directory{again}"):
        read_contracts(tmp_path)
