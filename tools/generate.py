"""Generates gen/ from proto/: messages, service bases and clients, the betterproto2 client package, and the descriptor
image; and what the Helm chart and the broker read of them.

Everything is made in a fresh folder and then put in place, so that a failure leaves the old code and nothing stale
stays. The same input gives the same bytes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto, SourceCodeInfo

from mesh.codegen.chart import UnknownWorkload, write_contracts, write_events
from mesh.contract.events import participants
from mesh.events.nats.users import configuration, users

ROOT = Path(__file__).resolve().parent.parent
GOOGLE_FILES = (
    "google/api/annotations.proto",
    "google/api/field_behavior.proto",
    "google/api/httpbody.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
    "google/type/money.proto",
)
CHART = "charts/meshwright"
OPTION_FILES = ("buf/", "google/api/", "google/protobuf/descriptor.proto", "meshwright/policy/")


def main() -> None:
    """Writes below the folder named by the only argument, the project's root by default."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    # buf and the plugins that it starts are beside our own interpreter.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run([sys.executable, ROOT / "tools" / "third_party.py", ROOT / "third_party"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "gen"
        buf("generate", "--template", "buf.gen.yaml", "--output", fresh)
        generate_googleapis(fresh, Path(folder) / "googleapis.binpb")
        generate_grpcapis(fresh, Path(folder) / "grpcapis.binpb")
        image = fresh / "contracts.binpb"
        write_image(image)
        generate_betterproto(fresh, image, Path(folder) / "plain.binpb")
        chart = chart_files(image)
        shutil.rmtree(target / "gen", ignore_errors=True)
        shutil.copytree(fresh, target / "gen")
    for name, text in chart.items():
        (target / CHART / name).parent.mkdir(parents=True, exist_ok=True)
        (target / CHART / name).write_text(text)


def buf(*arguments: str | Path) -> None:
    """Runs buf in the project's root. What it and its plugins print is shown only when it fails."""
    done = subprocess.run(["buf", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stderr}buf {arguments[0]} failed: mend what it names above.")


def generate_googleapis(out: Path, image: Path) -> None:
    """Writes the package googleapis, from an image without comments: the text of those files stays Google's."""
    paths = [argument for file in GOOGLE_FILES for argument in ("--path", f"third_party/{file}")]
    buf("build", "third_party", "--exclude-source-info", *paths, "--output", image)
    paths = [argument for file in closure(image) for argument in ("--path", file)]
    buf("generate", image, "--template", "buf.gen.googleapis.yaml", "--output", out, *paths)


def closure(image: Path) -> list[str]:
    """The image's files that are Google's but not protobuf's own, which the runtime brings."""
    return [
        file.name
        for file in FileDescriptorSet.from_binary(image.read_bytes()).file
        if not file.name.startswith("google/protobuf/")
    ]


def generate_grpcapis(out: Path, image: Path) -> None:
    """Writes the package grpcapis from the descriptors inside gRPC's own packages. grpcio-reflection has v1alpha only,
    of which v1 is the same under another name.
    """
    health, alpha = (
        FileDescriptorProto.from_binary(module.DESCRIPTOR.serialized_pb) for module in (health_pb2, reflection_pb2)
    )
    for field in (field for file in (health, alpha) for message in file.message_type for field in message.field):
        head, *rest = field.name.split("_")
        field.json_name = head + "".join(map(str.capitalize, rest))
    image.write_bytes(FileDescriptorSet(file=[health, alpha, stable(alpha)]).to_binary())
    buf("generate", image, "--template", "buf.gen.grpcapis.yaml", "--output", out)


def stable(alpha: FileDescriptorProto) -> FileDescriptorProto:
    """The file of v1 made of that of v1alpha."""
    file = FileDescriptorProto.from_binary(alpha.to_binary())
    file.name, file.package = file.name.replace("v1alpha", "v1"), file.package.replace("v1alpha", "v1")
    for message in file.message_type:
        for field in message.field:
            field.type_name = field.type_name.replace("v1alpha", "v1")
    for method in (method for service in file.service for method in service.method):
        method.input_type = method.input_type.replace("v1alpha", "v1")
        method.output_type = method.output_type.replace("v1alpha", "v1")
    file.options = None
    return file


def write_image(path: Path) -> None:
    """Writes the descriptor image with the comments of our own files; the edge, reflection and the chart read it."""
    buf("build", "proto", "--as-file-descriptor-set", "--output", path)
    image = FileDescriptorSet.from_binary(path.read_bytes())
    for file in image.file:
        if not file.name.startswith("meshwright/"):
            file.source_code_info = SourceCodeInfo()
    path.write_bytes(image.to_binary())


def generate_betterproto(out: Path, image: Path, plain: Path) -> None:
    """Writes the package betterproto from the image less its custom options and the files that declare them."""
    files = [
        file
        for file in FileDescriptorSet.from_binary(image.read_bytes()).file
        if not file.name.startswith(OPTION_FILES)
    ]
    for file in files:
        drop_options(file)
    plain.write_bytes(FileDescriptorSet(file=files).to_binary())
    buf("generate", plain, "--template", "buf.gen.betterproto.yaml", "--output", out)


def drop_options(file: FileDescriptorProto) -> None:
    """Clears the options of messages, fields and methods of a file, and its imports of files that declare options."""
    file.dependency = [name for name in file.dependency if not name.startswith(OPTION_FILES)]
    file.public_dependency, file.weak_dependency = [], []
    for message in file.message_type:
        message.options = None
        for field in message.field:
            field.options = None
    for service in file.service:
        for method in service.method:
            method.options = None


def chart_files(path: Path) -> dict[str, str]:
    """Returns what the chart reads of the image, by the file's name; Compose mounts the broker's users, too.

    Exits with a sentence when a contract names a workload that does not exist.
    """
    workloads = {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")}
    image = FileDescriptorSet.from_binary(path.read_bytes())
    try:
        return {
            "contracts.yaml": write_contracts(image, workloads),
            "events.yaml": write_events(image, workloads),
            "files/nats-users.conf": configuration(users(participants(image))),
        }
    except UnknownWorkload as error:
        sys.exit(f"proto/{error}")


if __name__ == "__main__":
    main()
