"""A service of a checkout that consists of its declaration."""

from pathlib import Path


def declare(root: Path, name: str, declaration: str) -> Path:
    """Makes a service with this declaration below a folder, or changes it; returns its folder."""
    folder = root / "services" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__main__.py").touch()
    (folder / "service.toml").write_text(declaration)
    return folder
