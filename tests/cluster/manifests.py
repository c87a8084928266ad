"""The objects that the tests create in the cluster besides the release."""

from typing import Any

Object = dict[str, Any]


def namespace(name: str, *, restricted: bool) -> Object:
    """A namespace, in which every pod must meet Pod Security "restricted" if so."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"} if restricted else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def client_pod(name: str, image: str, *, account: str = "default", labels: dict[str, str] | None = None) -> Object:
    """A pod that does nothing of itself, for `kubectl exec`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "client",
                    "image": image,
                    "command": ["sleep", "infinity"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def killer_pod(name: str, image: str, node: str, victim: str) -> Object:
    """A pod that kills the processes of another pod on its node, which nobody inside that pod could: there the first is
    the process 1, whom no signal reaches. `victim` is the pod's UID.
    """
    pod = client_pod(name, image)
    pod["spec"] |= {
        "nodeName": node,
        "hostPID": True,
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 0},
    }
    pod["spec"]["containers"][0] |= {
        "command": ["python", "-c", KILL, victim],
        "securityContext": {"privileged": True},
    }
    return pod


KILL = """
import os, pathlib, signal, sys

names = (sys.argv[1], sys.argv[1].replace("-", "_"))
for process in sorted(pathlib.Path("/proc").glob("[0-9]*"), key=lambda each: int(each.name)):
    try:
        groups, command = (process / "cgroup").read_text(), (process / "cmdline").read_bytes()
    except OSError:
        continue
    if any(name in groups for name in names) and not command.startswith(b"/pause"):
        os.kill(int(process.name), signal.SIGKILL)
        print("killed", process.name, command)
"""
