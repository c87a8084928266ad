"""A contract for the tests of the runtime, which know no service of the store."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GREETER = """
syntax = "proto3";
package greeter.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";

// Greets.
service GreeterService {
  // Says hello
  // to one person.
  rpc Greet(GreetRequest) returns (GreetResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/v1/greeting"};
    option (meshwright.policy.v1.method) = {scopes: ["greet", "speak"] timeout: {seconds: 2} callers: "robot"};
  }
  rpc Shout(GreetRequest) returns (GreetResponse) {
    option (google.api.http) = {get: "/v1/shout"};
    option (meshwright.policy.v1.method) = {public: true timeout: {seconds: 3} audited: true};
  }
  rpc Whisper(GreetRequest) returns (GreetResponse) {
    option (meshwright.policy.v1.method) = {callers: "robot"};
  }
}

// Counts, sums and echoes.
service StreamService {
  // Counts up to a number.
  rpc Count(GreetRequest) returns (stream GreetResponse) {
    option (google.api.http) = {get: "/v1/count"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Sum(stream GreetRequest) returns (GreetResponse) {
    option (google.api.http) = {post: "/v1/sum" body: "*"};
    option (meshwright.policy.v1.method) = {scopes: "greet" audited: true};
  }
  rpc Echo(stream GreetRequest) returns (stream GreetResponse) {
    option (google.api.http) = {post: "/v1/echo" body: "*"};
    option (meshwright.policy.v1.method) = {public: true timeout: {seconds: 3} audited: true};
  }
  rpc Follow(FollowRequest) returns (stream FollowResponse) {
    option (google.api.http) = {get: "/v1/follow"};
    option (meshwright.policy.v1.method) = {public: true};
  }
}

message FollowRequest {
  string resume_token = 1;
}

message FollowResponse {
  int32 number = 1;
  string resume_token = 2;
}

message GreetRequest {
  string name = 1 [(buf.validate.field).string = {min_len: 1 max_len: 20}];
  int32 times = 2 [(buf.validate.field).int32 = {gte: 0 lte: 3}];
}

message GreetResponse {
  string text = 1;
}
"""


def compile_contract(text: str, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs protoc with protoc-gen-py and protoc-gen-mesh on one contract; the code is written beside it."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    plugin = folder / "protoc-gen-mesh"
    plugin.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT}:{ROOT / 'gen'} exec {sys.executable} -m mesh.codegen\n")
    plugin.chmod(0o755)
    imports = ("google/**:googleapis", "buf/validate/**:protovalidate._gen", "**:.")
    options = ",".join(["init_files=false", *(f"map_imports={entry}" for entry in imports)])
    return subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            *(f"-I{path}" for path in (folder, ROOT / "proto", ROOT / "third_party")),
            f"--plugin=protoc-gen-py={Path(sys.executable).with_name('protoc-gen-py')}",
            f"--plugin=protoc-gen-mesh={plugin}",
            *(f"--py_out={folder}", f"--py_opt={options}", f"--mesh_out={folder}"),
            name,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
