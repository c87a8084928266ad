"""The generation of all files that follow from contracts, declarations and code.

From proto/ it makes gen/ (messages, service bases and clients, the descriptor image) and the modules of the client
package in clients/python; from the contracts and services/*/service.toml, it makes compose.yaml and the files of the
Helm chart and the broker; from the code, the pages of docs/ that list its settings and errors.

Everything is generated in a temporary folder and then moved into place, so that a failure keeps the old files and no
stale file remains. The output is deterministic. Contradictions between declarations, contracts and code are errors. The
code is checked last, when everything is in place, because it is written against the generated files. Runs wait for each
other, because `make up` generates too.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto, SourceCodeInfo

from local.declarations.checkout import read_services
from local.declarations.problem import Problem, WrongDeclarations
from local.declarations.service import Service
from mesh.codegen.chart import write_contracts, write_events
from mesh.contract.events import participants
from mesh.events.nats.users import configuration, users
from tools.generation import tables
from tools.generation.chart import write_services
from tools.generation.code import read_code
from tools.generation.compose import write_compose, write_compose_rabbitmq
from tools.generation.contradictions import code_problems, contract_problems
from tools.generation.modules import module_problems
from tools.generation.rabbitmq import rabbitmq_definitions
from tools.generation.rules import rule_problems

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
CLIENTS = "clients/python/meshwright_client"
OPTION_FILES = ("buf/", "google/api/", "google/protobuf/descriptor.proto", "meshwright/policy/")
HTTP_BODY = "google/api/httpbody.proto"  # the only file of google/api with a message for contracts


def main() -> None:
    """Generates all files below the folder that the argument names, by default the root of the project."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    # buf and its plugins are installed beside our own interpreter.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with (ROOT / "buf.gen.yaml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        generate(target)


def generate(target: Path) -> None:
    """Generates all files below `target`. Exits with what contradicts."""
    third_party = (sys.executable, ROOT / "tools" / "third_party.py", ROOT / "third_party")
    if subprocess.run(third_party, check=False).returncode != 0:
        sys.exit(1)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "gen"
        buf("generate", "--template", "buf.gen.yaml", "--output", fresh)
        generate_googleapis(fresh, Path(folder) / "googleapis.binpb")
        generate_grpcapis(fresh, Path(folder) / "grpcapis.binpb")
        image = fresh / "contracts.binpb"
        contracts = write_image(image)
        clients = generate_clients(Path(folder) / "clients", image)
        services = declared_services(contracts)
        exit_with([*module_problems(fresh, "gen"), *module_problems(clients, CLIENTS)])
        files = derived_files(services, contracts)
        replace_gen(fresh, target / "gen")
        replace_clients(clients, target / CLIENTS)
    for name, text in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    try:
        code = read_code(ROOT, services)
    except WrongDeclarations as error:
        sys.exit(str(error))
    pages = [write_page(page, target) for page in ("settings_page.py", "errors_page.py")]
    problems = list(code_problems(code, contracts))
    failures = [page.wait() for page in pages]
    exit_with(problems)
    if any(failures):
        sys.exit(1)


def write_page(program: str, target: Path) -> "subprocess.Popen[bytes]":
    """Starts the program that writes a page of docs/ below `target`. It imports the code that was generated before."""
    return subprocess.Popen([sys.executable, ROOT / "tools" / program, target])


def buf(*arguments: str | Path) -> None:
    """Runs buf in the root of the project. Exits with its output if it fails."""
    done = subprocess.run(["buf", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stderr}buf {arguments[0]} failed: mend what it names above.")


def generate_googleapis(out: Path, image: Path) -> None:
    """Writes the package googleapis from an image without comments, so that no text of Google's is copied."""
    paths = [argument for file in GOOGLE_FILES for argument in ("--path", f"third_party/{file}")]
    buf("build", "third_party", "--exclude-source-info", *paths, "--output", image)
    paths = [argument for file in closure(image) for argument in ("--path", file)]
    buf("generate", image, "--template", "buf.gen.googleapis.yaml", "--output", out, *paths)


def closure(image: Path) -> list[str]:
    """Returns Google's files in the image, except those of protobuf itself, which the protobuf runtime contains."""
    return [
        file.name
        for file in FileDescriptorSet.from_binary(image.read_bytes()).file
        if not file.name.startswith("google/protobuf/")
    ]


def generate_grpcapis(out: Path, image: Path) -> None:
    """Writes the package grpcapis from the descriptors inside gRPC's own packages. grpcio-reflection contains only
    v1alpha; v1 differs from it by its name only.
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
    """Returns the file of v1, made from that of v1alpha."""
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


def write_image(path: Path) -> FileDescriptorSet:
    """Writes the descriptor image with the comments of our own files and returns it. The edge, reflection and the chart
    read it.
    """
    buf("build", "proto", "--as-file-descriptor-set", "--output", path)
    image = FileDescriptorSet.from_binary(path.read_bytes())
    for file in image.file:
        if not file.name.startswith("meshwright/"):
            file.source_code_info = SourceCodeInfo()
    path.write_bytes(image.to_binary())
    return image


def generate_clients(out: Path, image: Path) -> Path:
    """Writes the modules of the client package below `out` and returns their folder. They are made from the image
    without custom options and without the files that declare those.
    """
    files = [file for file in FileDescriptorSet.from_binary(image.read_bytes()).file if not declares_options(file.name)]
    for file in files:
        drop_options(file)
    out.mkdir()
    plain = out / "plain.binpb"
    plain.write_bytes(FileDescriptorSet(file=files).to_binary())
    buf("generate", plain, "--template", "buf.gen.betterproto.yaml", "--output", out)
    package = out / Path(CLIENTS).name
    (package / "__init__.py").unlink()  # the package's own one is written by hand
    return package


def replace_gen(fresh: Path, gen: Path) -> None:
    """Replaces gen/ by renaming, because a process that starts meanwhile imports from it."""
    gen.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=gen.parent, prefix=".gen-") as folder:
        new, old = Path(folder) / "new", Path(folder) / "old"
        shutil.copytree(fresh, new)
        if gen.exists():
            gen.rename(old)
        new.rename(gen)


def replace_clients(fresh: Path, package: Path) -> None:
    """Replaces the generated modules of the package and keeps its handwritten ones."""
    for made in fresh.iterdir():
        if made.is_dir():
            shutil.rmtree(package / made.name, ignore_errors=True)
    shutil.copytree(fresh, package, dirs_exist_ok=True)


def declares_options(file: str) -> bool:
    """Returns whether a file declares options. Clients need none of them."""
    return file.startswith(OPTION_FILES) and file != HTTP_BODY


def drop_options(file: FileDescriptorProto) -> None:
    """Clears the options of messages, fields and methods of a file, and its imports of files that declare options."""
    file.dependency = [name for name in file.dependency if not declares_options(name)]
    file.public_dependency, file.weak_dependency = [], []
    for message in file.message_type:
        message.options = None
        for field in message.field:
            field.options = None
    for service in file.service:
        for method in service.method:
            method.options = None


def declared_services(contracts: FileDescriptorSet) -> tuple[Service, ...]:
    """Returns the services of the checkout. Exits with a line for each contradiction, and prints warnings of the edge
    about the contracts.
    """
    try:
        services = read_services(ROOT, contracts.to_registry())
    except WrongDeclarations as error:
        sys.exit(str(error))
    exit_with(contract_problems(services, contracts))
    errors, warnings = rule_problems(contracts)
    for warning in warnings:
        print(warning, file=sys.stderr)
    exit_with(errors)
    return services


def exit_with(problems: Iterable[Problem]) -> None:
    """Exits with a line for each problem, if there are any."""
    if found := sorted(set(problems)):
        sys.exit("\n".join(map(str, found)))


def derived_files(services: Sequence[Service], contracts: FileDescriptorSet) -> dict[str, str]:
    """Returns the text of each file that is derived from the declarations and the contracts, by its path."""
    names = {service.name for service in services}
    services_with_events = participants(contracts.to_registry())
    return {
        "compose.yaml": write_compose(services),
        "compose.rabbitmq.yaml": write_compose_rabbitmq(services),
        f"{CHART}/contracts.yaml": write_contracts(contracts, names),
        f"{CHART}/events.yaml": write_events(contracts),
        f"{CHART}/services.yaml": write_services(services),
        f"{CHART}/files/nats-users.conf": configuration(users(services_with_events)),
        f"{CHART}/files/rabbitmq-definitions.json": rabbitmq_definitions(services_with_events),
        tables.FILE.as_posix(): tables.write_table((ROOT / tables.FILE).read_text(), services, contracts),
    }


if __name__ == "__main__":
    main()
