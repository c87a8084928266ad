"""The build of the package, outside of its sources: setuptools packs whatever an earlier build has left in `build/`."""

from tempfile import TemporaryDirectory

from setuptools import setup  # type: ignore[import-untyped]

with TemporaryDirectory() as folder:
    setup(options={"build": {"build_base": folder}})
