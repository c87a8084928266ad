"""The .proto files in third_party/ that our contracts import, copied from the packages that ship them.

google/api, google/rpc and google/type are in the installed wheel googleapis-common-protos. buf/validate is only in the
source distribution of protovalidate, which pip downloads at the installed version. Therefore the files always match the
runtime library that reads them. No third-party file is committed.
"""

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

GOOGLE_FOLDERS = ("google/api", "google/rpc", "google/type")
VALIDATE = "buf/validate/validate.proto"


def main() -> None:
    """Fills the folder that the argument names. Does nothing if it already has these versions."""
    target = Path(sys.argv[1])
    versions = "\n".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("googleapis-common-protos", "protovalidate")
    )
    stamp = target / ".versions"
    if stamp.is_file() and stamp.read_text() == versions:
        return
    shutil.rmtree(target, ignore_errors=True)
    copy_google(target)
    extract_validate(target, importlib.metadata.version("protovalidate"))
    stamp.write_text(versions)


def copy_google(target: Path) -> None:
    """Copies Google's common .proto files from the installed distribution."""
    for file in importlib.metadata.files("googleapis-common-protos") or []:
        if file.suffix == ".proto" and file.parent.as_posix() in GOOGLE_FOLDERS:
            (target / file.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), target / file)


def extract_validate(target: Path, version: str) -> None:
    """Extracts validate.proto from protovalidate's source distribution, which pip downloads."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "protovalidate"]
        if subprocess.run([*pip, "--dest", folder, f"protovalidate=={version}"], check=False).returncode != 0:
            sys.exit("Could not download protovalidate; pip says above why. Is a package registry reachable?")
        archive = next(Path(folder).glob("*.tar.gz"))
        member = f"protovalidate-{version}/proto/{VALIDATE}"
        with tarfile.open(archive) as tar:
            source = tar.extractfile(member)
            if source is None:
                sys.exit(f"{archive.name} holds no {member}: see where protovalidate {version} keeps it.")
            (target / VALIDATE).parent.mkdir(parents=True, exist_ok=True)
            (target / VALIDATE).write_bytes(source.read())


if __name__ == "__main__":
    main()
