"""Every rendered object is valid for a cluster and has the effect that it is meant to have."""

import copy
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from local.declarations.checkout import read_services
from mesh.http2.server.server import CLEAN_UP_S
from mesh.server.server import CONNECTION_AGE_S
from tests.chart.mesh_kinds import KINDS, is_ours_to_check
from tests.chart.render import CHART, KUBERNETES, MONITORING, PROFILES, ROOT, Object, objects, rendered, template

EVERYTHING = (
    "--set=monitoring.podMonitor=true,monitoring.alerts=true,monitoring.dashboard=true,ingress.enabled=true",
    "--set=gateway.enabled=true,gateway.parentRefs[0].name=public,workloads.autoscaling.enabled=true",
    "--set=services.orders.image.tag=next,services.orders.existingSecret=orders,image.pullSecrets[0]=registry",
    "--set=postgres.storageClass=fast,ingress.tlsSecret=tls,edge.trustedProxies[0]=127.0.0.1",
    "--set=authorities.configMap=authorities",
    *(part for api in MONITORING for part in ("--api-versions", api)),
)
SKIPPED = r"config\.linkerd\.io/skip-outbound-ports"
CALL_ONLY = ("shop-provisioner",)
"""Workloads that call others, and that nobody calls."""


def everything() -> tuple[Object, ...]:
    """A render with every option on."""
    done = template(*EVERYTHING)
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


RENDERS = {**{profile: rendered(profile) for profile in PROFILES}, "everything": everything()}
each_render = pytest.mark.parametrize("render", RENDERS.values(), ids=list(RENDERS))


@each_render
def test_a_probe_starts_no_other_process(render: tuple[Object, ...]) -> None:
    """A process that a shell starts outlives a probe that takes too long, as a child of the container's first process.
    PostgreSQL takes the end of a child that it did not start for a crash, and ends every connection.
    """
    commands = [
        probe["exec"]["command"]
        for each in render
        if each["kind"] == "StatefulSet"
        for container in each["spec"]["template"]["spec"]["containers"]
        for name, probe in container.items()
        if name.endswith("Probe") and "exec" in probe
    ]
    assert {command[0] for command in commands} <= {"grep", "rabbitmq-diagnostics"}


@pytest.fixture(scope="module")
def schemas() -> Iterator[ModuleType]:
    """The schemas of Kubernetes, many megabytes that are read once instead of for each object."""
    import kubernetes_validate  # takes seconds, which each worker would spend to collect the tests

    with pytest.MonkeyPatch.context() as patch:
        for name in ("all_versions", "schema_contents"):
            patch.setattr(kubernetes_validate.utils, name, cache(getattr(kubernetes_validate.utils, name)))
        yield kubernetes_validate


@pytest.mark.parametrize("version", [KUBERNETES[0], KUBERNETES[-1]])
@each_render
def test_kubernetes_accepts_its_objects(schemas: ModuleType, render: tuple[Object, ...], version: str) -> None:
    """No unknown field and no wrong type, in the oldest and the newest version supported."""
    check_objects(schemas, render, version)


@pytest.mark.parametrize("version", KUBERNETES[1:-1])
def test_the_versions_between_do_as_well(schemas: ModuleType, version: str) -> None:
    """Everything that can be rendered, at once."""
    check_objects(schemas, RENDERS["everything"], version)


def check_objects(schemas: ModuleType, render: tuple[Object, ...], version: str) -> None:
    """Holds the objects that are Kubernetes' own against its schemas."""
    for each in render:
        if not is_ours_to_check(each):
            schemas.validate(each, version.rpartition(".")[0], strict=True)


CONNECTED = {each.workload for each in read_services(ROOT) if each.declaration.database}
"""The services that have a database; each of them is a user of the broker, too."""

CONNECTIONS = {
    "services.orders.brokerUrl=nats://orders:secret@nats.example.com": {"orders"},
    "services.catalog.databaseUrl=postgresql://catalog@db.example.com/catalog": {"catalog"},
    "services.identity.existingSecret=ours": {"identity"},
    "mail.url=smtp://mail.example.com": {"notifications"},
    "prefix=other": CONNECTED,
}


@pytest.mark.parametrize(("value", "restarted"), CONNECTIONS.items(), ids=CONNECTIONS)
def test_changed_connections_restart_their_pods(value: str, restarted: set[str]) -> None:
    """A changed connection restarts the pods that use it, also a generated one; random passwords do not count."""
    before, after = (connections(template(*values).stdout) for values in ((), (f"--set={value}",)))
    assert {name for name in before if before[name] != after[name]} == restarted


def test_another_user_of_the_broker_restarts_its_services(tmp_path: Path) -> None:
    """A new user of the broker restarts its services even if no value changed, as in an upgrade of the chart."""
    before = template().stdout
    shared = tmp_path / "meshwright"
    shutil.copytree(CHART, shared)
    nats = shared / "templates" / "trial" / "_nats.tpl"
    nats.write_text(nats.read_text().replace("nats://{{ .name }}:", "nats://meshwright:"))
    after = template(chart=shared).stdout
    old, new = connections(before), connections(after)
    assert {name for name in old if old[name] != new[name]} == CONNECTED


def connections(text: str) -> dict[str, str]:
    """The checksum of each Deployment's connections, by the workload's name."""
    return {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]: each["spec"]["template"]["metadata"][
            "annotations"
        ]["checksum/connections"]
        for each in objects(text)
        if each["kind"] == "Deployment"
    }


@each_render
def test_the_trial_servers_do_not_depend_on_our_image(render: tuple[Object, ...]) -> None:
    """A version whose image is missing, or any upgrade, would take them away from the version that is running."""
    for each in render:
        if each["kind"] == "StatefulSet":
            spec = each["spec"]["template"]["spec"]
            images = {container["image"] for container in [*spec["containers"], *spec.get("initContainers", ())]}
            assert not any(image.startswith("meshwright:") for image in images), each["metadata"]["name"]


@each_render
def test_no_list_is_empty(render: tuple[Object, ...]) -> None:
    """The API server keeps none, so that each upgrade would change the object anew."""
    empty = [(each["kind"], each["metadata"]["name"], path) for each in render for path in empty_lists(each)]
    assert not empty


def empty_lists(value: Any, path: str = "") -> Iterator[str]:
    """Yields the paths of the lists in an object that hold nothing."""
    if value == []:
        yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from empty_lists(child, f"{path}.{key}")


@each_render
def test_the_mesh_accepts_its_objects(render: tuple[Object, ...]) -> None:
    """Objects of Linkerd and the Gateway API are such as take effect; none is a ServiceProfile, which overrides all."""
    for each in render:
        if is_ours_to_check(each):
            KINDS[each["kind"]].model_validate(each)


BROKEN: dict[str, tuple[str, tuple[str | int, ...], Any]] = {
    "a protocol that is misspelt": ("Server", ("spec", "proxyProtocol"), "GRPC"),
    "an access policy that does not exist": ("Server", ("spec", "accessPolicy"), "allow"),
    "a Server for all pods": ("Server", ("spec", "podSelector"), {}),
    "a policy for a Service": ("AuthorizationPolicy", ("spec", "targetRef", "kind"), "Service"),
    "a policy without authentications": ("AuthorizationPolicy", ("spec", "requiredAuthenticationRefs"), []),
    "two authentications of a kind": (
        "AuthorizationPolicy",
        ("spec", "requiredAuthenticationRefs"),
        [{"group": "policy.linkerd.io", "kind": "MeshTLSAuthentication", "name": name} for name in ("a", "b")],
    ),
    "an identity of another kind": ("MeshTLSAuthentication", ("spec", "identityRefs", 0, "kind"), "Pod"),
    "an account without a name": ("MeshTLSAuthentication", ("spec", "identityRefs", 0, "name"), ""),
    "a network that is none": ("NetworkAuthentication", ("spec", "networks", 0, "cidr"), "10.0.0.0/33"),
    "a limit for a route": ("HTTPLocalRateLimitPolicy", ("spec", "targetRef", "kind"), "GRPCRoute"),
    "a route whose parent has no group": ("GRPCRoute", ("spec", "parentRefs", 0, "group"), None),
    "a method that matches nothing": ("GRPCRoute", ("spec", "rules", 0, "matches"), []),
    "a field that is misspelt": ("GRPCRoute", ("spec", "rule"), []),
    "a prefix of paths": ("HTTPRoute", ("spec", "rules", 0, "matches", 0, "path", "type"), "PathPrefix"),
}


@pytest.mark.parametrize(("kind", "path", "value"), BROKEN.values(), ids=list(BROKEN))
def test_what_has_no_effect_is_refused(kind: str, path: tuple[str | int, ...], value: Any) -> None:
    """The models refuse what the schemas of the CRDs accept."""
    each: Any = copy.deepcopy(next(each for each in rendered("default") if each["kind"] == kind))
    place = each
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        KINDS[kind].model_validate(each)


@pytest.mark.parametrize(
    "annotations",
    [
        {"retry.linkerd.io/grpc": "unavailable, resource-exhausted", "retry.linkerd.io/limit": "1"},
        {"retry.linkerd.io/grpc": "unavailable", "retry.linkerd.io/limit": "0"},
        {"retry.linkerd.io/limit": "1"},
        {"timeout.linkerd.io/request": "2 s"},
        {"timeout.linkerd.io/request": "0.5s"},
        {"timeout.linkerd.io/response": "2s"},
    ],
    ids=["a space", "no retry", "no codes", "a space in a duration", "a fraction", "an unknown one"],
)
def test_annotations_without_effect_are_refused(annotations: dict[str, str]) -> None:
    """Retries and timeouts that Linkerd would ignore, or refuse, are found here."""
    each = copy.deepcopy(
        next(each for each in rendered("default") if each["metadata"]["name"] == "shop-orders-once-5s")
    )
    each["metadata"]["annotations"] = annotations
    with pytest.raises(ValidationError):
        KINDS["GRPCRoute"].model_validate(each)


@each_render
def test_every_reference_leads_somewhere(render: tuple[Object, ...]) -> None:
    """Parents, targets, authentications, accounts, Secrets and ConfigMaps that objects name are there."""
    names = {(each["kind"], each["metadata"]["name"]) for each in render}
    outside = {("Secret", name) for name in (*CONNECTED, "shop-tls")}
    outside |= {
        ("ServiceAccount", "prometheus"),
        ("Gateway", "public"),
        ("StorageClass", "fast"),
        ("Secret", "tls"),
        ("Secret", "registry"),
        ("ConfigMap", "authorities"),
    }
    # Callers that another release brings; a policy may name an account before it is there.
    outside |= {("ServiceAccount", "shop-edge")} if ("Deployment", "shop-edge") not in names else set()
    assert set(references(list(render))) - names - outside == set()


# The kind of object that the references in a field name, unless they have a kind themselves.
REFERENCES = {
    "parentRefs": "Gateway",
    "targetRef": "",
    "requiredAuthenticationRefs": "",
    "identityRefs": "",
    "scaleTargetRef": "",
    "backendRefs": "Service",
    "service": "Service",
    "secretRef": "Secret",
    "secret": "Secret",
    "imagePullSecrets": "Secret",
    "configMap": "ConfigMap",
}


def references(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """The objects that one names, by kind and name."""
    if isinstance(value, list):
        for item in value:
            yield from references(item, field)
    elif isinstance(value, dict):
        if field in REFERENCES and "name" in value:
            yield value.get("kind", REFERENCES[field]), value["name"]
        for name, inner in value.items():
            yield from references(inner, name)
    elif field == "serviceAccountName":
        yield "ServiceAccount", value


def pods(render: tuple[Object, ...]) -> list[tuple[str, Any]]:
    """The name and the pod spec of everything that runs."""
    templates = [each for each in render if "template" in each.get("spec", {})]
    found = [(each["metadata"]["name"], each["spec"]["template"]["spec"]) for each in templates]
    return found + [(each["metadata"]["name"], each["spec"]) for each in render if each["kind"] == "Pod"]


@each_render
def test_pods_are_restricted(render: tuple[Object, ...]) -> None:
    """Pod Security "restricted", and more: no writable root file system, no token of the Kubernetes API."""
    for name, spec in pods(render):
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"emptyDir", "projected", "configMap", "secret"}, name
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert not any("hostPort" in port for port in container.get("ports", ())), name


def test_our_programs_have_the_authorities() -> None:
    """Every container with our image, that of migrations too, has the certificates of authorities; others do not."""
    found = {
        (container["name"], container["image"].startswith("meshwright:"))
        for _, spec in pods(RENDERS["everything"])
        for container in [*spec["containers"], *spec.get("initContainers", ())]
        if {"name": "authorities", "mountPath": "/authorities", "readOnly": True} in container["volumeMounts"]
        and {"name": "authorities", "configMap": {"name": "authorities"}} in spec["volumes"]
    }
    ours = {
        container["name"]
        for _, spec in pods(RENDERS["everything"])
        for container in [*spec["containers"], *spec.get("initContainers", ())]
        if container["image"].startswith("meshwright:")
    }
    assert found == {(name, True) for name in ours}
    assert ours >= {"migrations", "orders", "edge", "check"}


@each_render
def test_containers_declare_their_resources(render: tuple[Object, ...]) -> None:
    """Every container asks for CPU and memory and has a limit of memory; every one that serves has its probes. Nothing
    restarts PostgreSQL because its node is busy.
    """
    for name, spec in pods(render):
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
        if spec.get("restartPolicy") != "Never" and name not in CALL_ONLY:
            probes = {each for each in spec["containers"][0] if each.endswith("Probe")}
            liveness = set() if name.endswith("-postgres") else {"livenessProbe"}
            assert probes == {"startupProbe", "readinessProbe"} | liveness, name


@each_render
def test_calls_can_drain(render: tuple[Object, ...]) -> None:
    """A pod stays until connections that led to it are renewed, gets more time than it takes to leave and to drain, and
    the proxy ends before Kubernetes kills it.
    """
    for each in render:
        if each["kind"] != "Deployment" or each["metadata"]["name"] in CALL_ONLY:
            continue
        pod = each["spec"]["template"]["spec"]
        container = pod["containers"][0]
        environment = {variable["name"]: variable.get("value", "") for variable in container["env"]}
        leaves_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace_s = pod["terminationGracePeriodSeconds"]
        assert leaves_s > 1.1 * CONNECTION_AGE_S, "a tenth is what our server varies it by"
        settles_s = [int(environment.get(name, 0)) for name in ("DRAIN_S_MAX", "DRAIN_QUIET_S")]
        stops_s = int(environment["SHUTDOWN_GRACE_S"]) + CLEAN_UP_S
        assert leaves_s + sum(settles_s) + stops_s < grace_s - 5, "less the proxy's"
        annotations = each["spec"]["template"]["metadata"]["annotations"]
        if "linkerd.io/inject" in annotations:
            assert int(annotations["config.linkerd.io/shutdown-grace-period"].removesuffix("s")) < grace_s


@pytest.mark.parametrize("value", ["120", "119.5"])
def test_a_longer_drain_is_not_cut_off(value: str) -> None:
    """Kubernetes and the proxy wait for the times of the variables in the values."""
    done = template(f"--set=workloads.env.SHUTDOWN_GRACE_S={value},edge.env.DRAIN_S_MAX=30")
    assert done.returncode == 0, done.stderr
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in objects(done.stdout)
        if each["kind"] == "Deployment"
    }
    for name, grace_s in {"shop-orders": 160, "shop-edge": 180}.items():
        assert pods[name]["spec"]["terminationGracePeriodSeconds"] == grace_s
        assert pods[name]["metadata"]["annotations"]["config.linkerd.io/shutdown-grace-period"] == f"{grace_s - 5}s"


@each_render
def test_there_is_one_circuit_breaker(render: tuple[Object, ...]) -> None:
    """SERVICE_MESH is set exactly if Linkerd is on, so that only one of the two retries and breaks circuits."""
    services = {each["metadata"]["name"]: each for each in render if each["kind"] == "Service"}
    for each in render:
        if each["kind"] != "Deployment" or each["metadata"]["name"] in {"shop-mail", *CALL_ONLY}:
            continue
        name, template = each["metadata"]["name"], each["spec"]["template"]
        listed = template["spec"]["containers"][0]["env"]
        environment = {variable["name"]: variable.get("value", "") for variable in listed}
        is_meshed = "linkerd.io/inject" in template["metadata"]["annotations"]
        assert environment.get("SERVICE_MESH") == ("true" if is_meshed else None), name
        breaks = "balancer.linkerd.io/failure-accrual" in services[name]["metadata"].get("annotations", {})
        assert breaks == (is_meshed and name != "shop-edge"), name


@each_render
def test_ports_declare_their_protocol(render: tuple[Object, ...]) -> None:
    """Every port has a known appProtocol: an unknown one is opaque, and detecting a protocol can take ten seconds."""
    spoken = {"grpc": "kubernetes.io/h2c", "http": "http"}
    opaque = dict.fromkeys(("postgres", "nats", "amqp", "smtp"), "linkerd.io/opaque")
    for each in render:
        if each["kind"] == "Service":
            assert each["spec"].get("clusterIP") != "None", "calls to a headless Service get no route"
            for port in each["spec"]["ports"]:
                assert port["appProtocol"] == (spoken | opaque)[port["name"]]


@each_render
def test_connections_are_allowed_where_calls_are(render: tuple[Object, ...]) -> None:
    """Every serving pod has a NetworkPolicy that names its port, and under Linkerd the proxy's; any other pod one that
    lets nobody in.
    """
    policies = {each["metadata"]["name"]: each["spec"] for each in render if each["kind"] == "NetworkPolicy"}
    for each in render:
        if each["kind"] in {"Deployment", "StatefulSet"}:
            policy = policies[each["metadata"]["name"]]
            assert policy["podSelector"] == each["spec"]["selector"]
            allowed = {port["port"] for rule in policy.get("ingress", []) for port in rule["ports"]}
            if each["metadata"]["name"] in CALL_ONLY:
                assert not allowed
                continue
            served = each["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"]
            injected = "linkerd.io/inject" in each["spec"]["template"]["metadata"]["annotations"]
            assert allowed >= ({served, 4143, 4191} if injected else {served})


@each_render
def test_pods_connect_to_what_they_call_and_to_nothing_else(render: tuple[Object, ...]) -> None:
    """Whoever is let in by one policy is let out by its own, and the other way round."""
    policies = {each["metadata"]["name"]: each["spec"] for each in render if each["kind"] == "NetworkPolicy"}
    names = {spec["podSelector"]["matchLabels"]["app.kubernetes.io/name"]: spec for spec in policies.values()}
    into = {
        (source, name)
        for name, spec in names.items()
        for rule in spec.get("ingress", [])[:1]
        for source in named(rule.get("from", []))
        if source in names
    }
    out = {
        (name, target)
        for name, spec in names.items()
        for rule in spec["egress"]
        for target in named(rule.get("to", []))
    }
    assert {spec["policyTypes"] == ["Ingress", "Egress"] for spec in names.values()} == {True}
    assert {pair for pair in out if pair[1] != "edge" and pair[1] in names} == into
    assert {name for name, target in out if target == "edge"} == {
        name for name in names if name not in {"edge", "postgres", "nats", "rabbitmq", "mail", "provisioner"}
    }


def named(peers: list[Object]) -> set[str]:
    """The workloads that a rule of a NetworkPolicy selects."""
    expressions = [each for peer in peers for each in peer.get("podSelector", {}).get("matchExpressions", [])]
    return {value for each in expressions for value in each["values"]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), None),
        (("edge.trustedProxies={10.1.0.0/16,10.2.0.1}",), "$(POD_IPS),127.0.0.1,::1,10.1.0.0/16,10.2.0.1"),
        (("edge.trustedProxies={10.1.0.0/16}", "linkerd.enabled=false"), "10.1.0.0/16"),
    ],
)
def test_the_edge_believes_its_own_proxy_where_there_is_one(values: tuple[str, ...], expected: str | None) -> None:
    """Beside those that the values name; without them nobody's X-Forwarded-For counts."""
    done = template(*(f"--set={value}" for value in values))
    assert done.returncode == 0, done.stderr
    (edge,) = (
        each
        for each in objects(done.stdout)
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "shop-edge"
    )
    listed = edge["spec"]["template"]["spec"]["containers"][0]["env"]
    variables = {each["name"]: each.get("value") for each in listed}
    assert variables.get("TRUSTED_PROXIES") == expected
    if "$(POD_IPS)" in (expected or ""):
        addresses = {"fieldRef": {"fieldPath": "status.podIPs"}}
        assert listed[0] == {"name": "POD_IPS", "valueFrom": addresses}, "before its use, or it is not expanded"


@pytest.mark.parametrize(
    ("values", "workload", "port"),
    [
        (("services.orders.databaseUrl=postgresql://o:x@pool.example.com:6432/orders",), "orders", 6432),
        ((r"services.orders.databaseUrl=postgresql://o:x@a:6432\,b:6433/orders",), "orders", 6432),
        ((r"services.orders.databaseUrl=postgresql://o:x@a:6432\,b:6433/orders",), "orders", 6433),
        (("services.orders.brokerUrl=tls://orders:p:x@nats.example.com:4223",), "orders", 4223),
        (("mail.enabled=false", "mail.url=smtp://mail.example.com:2525"), "notifications", 2525),
        (("monitoring.tracesEndpoint=http://collector.traces:4318",), "edge", 4318),
        (("workloads.env.JWKS_URL=https://issuer.example.com/keys",), "edge", 443),
        (("workloads.env.JWKS_URL=https://issuer.example.com/keys",), "orders", 443),
        (("workloads.env.JWKS_URL=http://keycloak.sso:8080/keys",), "information", 8080),
        (("monitoring.tracesEndpoint=http://collector.traces:4318",), "mail", 4318),
    ],
)
def test_the_port_of_a_url_can_be_reached(values: tuple[str, ...], workload: str, port: int) -> None:
    """Beside the usual ones, without being named twice."""
    done = template(*(f"--set={value}" for value in values))
    assert done.returncode == 0, done.stderr
    policies = {each["metadata"]["name"]: each for each in objects(done.stdout) if each["kind"] == "NetworkPolicy"}
    opened = [rule["ports"] for rule in policies[f"shop-{workload}"]["spec"]["egress"] if "ports" in rule]
    assert {"port": port} in [each for ports in opened for each in ports]


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        ((), None),
        (("nats.enabled=false", "ownSecrets=true"), {4222, 5671, 5672}),
        (("nats.enabled=false", "ownSecrets=true", "linkerd.enabled=false"), None),
        (("nats.enabled=false", "ownSecrets=true", "linkerd.skipOutside=false"), None),
        (("services.orders.brokerUrl=nats://orders:x@nats.example.com:4223",), {4222, 4223, 5671, 5672}),
        ((r"services.orders.databaseUrl=postgresql://o:x@a:6432\,b/orders",), {6432}),
        (("services.orders.existingSecret=orders",), None),  # the trial servers may still be in use
        (("nats.enabled=false", "ownSecrets=true", f"services.orders.podAnnotations.{SKIPPED}=1"), {1}),
    ],
)
def test_servers_of_ones_own_are_not_read_by_the_mesh(values: tuple[str, ...], ports: set[int] | None) -> None:
    """Linkerd would wait 10 s for the first bytes of a client of NATS, which gives up after 2 s and never connects."""
    done = template(*(f"--set-string={value}" if SKIPPED in value else f"--set={value}" for value in values))
    assert done.returncode == 0, done.stderr
    (orders,) = (
        each["spec"]["template"]["metadata"]["annotations"]
        for each in objects(done.stdout)
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", "shop-orders")
    )
    skipped = orders.get("config.linkerd.io/skip-outbound-ports")
    assert skipped is None if ports is None else {int(port) for port in skipped.split(",")} == ports


@each_render
def test_every_pod_has_a_policy(render: tuple[Object, ...]) -> None:
    """A NetworkPolicy selects every pod, also those of `helm test`: a pod without one may connect anywhere."""
    policies = [each["spec"] for each in render if each["kind"] == "NetworkPolicy"]
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in render if "template" in each.get("spec", {})]
    labels += [each["metadata"]["labels"] for each in render if each["kind"] == "Pod"]
    for each in labels:
        [policy] = [spec for spec in policies if spec["podSelector"]["matchLabels"].items() <= each.items()]
        assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_only_what_calls_urls_of_users_reaches_the_internet() -> None:
    """Only pods that call URLs of users reach public addresses, at the port of https; private networks are excluded."""
    done = template()
    assert done.returncode == 0, done.stderr
    rules = {
        each["metadata"]["name"]: rule
        for each in objects(done.stdout)
        if each["kind"] == "NetworkPolicy"
        for rule in each["spec"]["egress"]
        if any("ipBlock" in to for to in rule.get("to", []))
    }
    assert list(rules) == ["shop-notifications"]
    four, six = (to["ipBlock"] for to in rules["shop-notifications"]["to"])
    assert (four["cidr"], six) == ("0.0.0.0/0", {"cidr": "2000::/3"})
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(four["except"])
    assert rules["shop-notifications"]["ports"] == [{"port": 443}]


def test_servers_of_ones_own_can_be_reached() -> None:
    """The servers in the values can be reached at their addresses and ports, by the pods that use them."""
    values = (
        "mail.enabled=false",
        "mail.url=smtp://mail.example.com",
        "networkPolicies.outside.mail.cidrs={192.0.2.0/24}",
    )
    done = template(*(f"--set={value}" for value in values))
    assert done.returncode == 0, done.stderr
    policies = {
        each["metadata"]["name"]: each["spec"]["egress"]
        for each in objects(done.stdout)
        if each["kind"] == "NetworkPolicy"
    }
    rule = {"ports": [{"port": 25}, {"port": 465}, {"port": 587}], "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}
    assert [name for name, egress in policies.items() if rule in egress] == ["shop-notifications"]
