"""Invalid values are rejected with a sentence about their place and the correction."""

import re

import pytest

from local.declarations.checkout import read_services
from tests.chart.render import ROOT, helm, objects, template

DATABASE = "shop-postgres"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"

REFUSED = {
    "an unknown value": ("edge.replica=3", r"at '/edge': additional properties 'replica' not allowed"),
    "an unknown section": ("edgee.replicas=3", r"additional properties 'edgee' not allowed"),
    "a number that is a word": ("workloads.replicas=many", r"at '/workloads/replicas': got string, want integer"),
    "a negative number": ("edge.replicas=-1", r"at '/edge/replicas': minimum: got -1, want 0"),
    "a truth that is a word": ("linkerd.enabled=ja", r"at '/linkerd/enabled': got string, want boolean"),
    "a URL that is none": ("publicUrl=shop.example.com", r"at '/publicUrl': 'shop.example.com' does not match"),
    "a URL with a path": ("publicUrl=https://shop.example.com/api", r"at '/publicUrl'"),
    "a database that is no PostgreSQL": ("services.orders.databaseUrl=mysql://db/orders", r"/orders/databaseUrl'"),
    "a broker of another kind": ("services.orders.brokerUrl=kafka://x:y@kafka", r"at '/services/orders/brokerUrl'"),
    "a broker without a user": ("services.orders.brokerUrl=nats://nats:4222", r"at '/services/orders/brokerUrl'"),
    "a size that is none": ("postgres.storage=8GB", r"at '/postgres/storage': '8GB' does not match"),
    "a memory that is none": ("workloads.resources.requests.memory=lots", r"/workloads/resources/requests/memory'"),
    "a variable in lower case": ("services.orders.env.log_level=debug", r"invalid propertyName 'log_level'"),
    "a gateway without parents": ("gateway.enabled=true", r"at '/gateway/parentRefs': minItems: got 0, want 1"),
    "an operator without a namespace": ("linkerd.operators[0].name=ann", r"missing property 'namespace'"),
    "a kind of Service that is none": ("edge.service.type=Public", r"at '/edge/service/type': value must be one of"),
    "a service without a contract": (
        "services.oders.replicas=2",
        r"services\.oders: there is no contract for this workload\. There are contracts for .*catalog.*`make generate`",
    ),
    "no database": (
        "postgres.enabled=false",
        r"services\.\w+ needs DATABASE_URL\. Set services\.\w+\.existingSecret to a Secret that contains it",
    ),
    "no broker": ("nats.enabled=false", r"services\.\w+ needs BROKER_URL\."),
    "no mail server": ("mail.enabled=false", r"services\.notifications needs SMTP_URL\."),
    "an ingress of unknown address": (
        "ingress.enabled=true",
        r"ingress is enabled, but edge\.trustedProxies is empty: .* all clients would count as one\.",
    ),
    "a gateway of unknown address": (
        "gateway.enabled=true,gateway.parentRefs[0].name=public",
        r"gateway is enabled, but edge\.trustedProxies is empty",
    ),
    "a proxy that is no address": ("edge.trustedProxies={ingress-nginx}", r"/edge/trustedProxies/0': 'ingress-nginx'"),
    "everybody as a proxy": ("edge.trustedProxies={*}", r"at '/edge/trustedProxies/0'"),
    "clients that the mesh hides": (
        "edge.service.type=LoadBalancer",
        r"edge\.service\.type is LoadBalancer, but under Linkerd the edge sees the address of its own proxy for every",
    ),
    "no network": ("networkPolicies.outside.mail.cidrs={everywhere}", r"at '/networkPolicies/outside/mail/cidrs/0'"),
    "a network that is too long": (
        "networkPolicies.outside.database.cidrs={10.0.0.0/33}",
        r"at '/networkPolicies/outside/database/cidrs/0': '10\.0\.0\.0/33' does not match",
    ),
    "a network of version 6 that is too long": (
        "networkPolicies.outside.internet.except={2001:db8::/129}",
        r"at '/networkPolicies/outside/internet/except/0'",
    ),
    "an address that is none": ("edge.trustedProxies={10.0.0.256}", r"at '/edge/trustedProxies/0'"),
    "fewer pods at most than at least": (
        "workloads.autoscaling.minReplicas=5,workloads.autoscaling.maxReplicas=2",
        r"workloads\.autoscaling: minReplicas is 5, but maxReplicas is 2\. Set maxReplicas to at least minReplicas\.",
    ),
    "fewer pods of a service than by default": (
        "services.orders.autoscaling.maxReplicas=1",
        r"services\.orders\.autoscaling: minReplicas is 2, but maxReplicas is 1\.",
    ),
    "fewer pods of the edge than by default": (
        "edge.autoscaling.minReplicas=11",
        r"edge\.autoscaling: minReplicas is 11, but maxReplicas is 10\.",
    ),
    "a URL of another broker": (
        "nats.enabled=false,rabbitmq.enabled=true,services.orders.brokerUrl=nats://orders:x@nats",
        r"services\.orders\.brokerUrl is a URL of nats, but rabbitmq is enabled, and events have one broker\.",
    ),
    "URLs of two brokers": (
        "nats.enabled=false,services.orders.brokerUrl=tls://orders:x@nats,services.catalog.brokerUrl=amqps://c:x@rabbit",
        r"services\.orders\.brokerUrl is a URL of nats, but services\.catalog\.brokerUrl is a URL of rabbitmq, and",
    ),
    "a port of one's own": (
        "services.orders.env.GRPC_PORT=7",
        r"services\.orders\.env\.GRPC_PORT: the chart sets the ports, because its probes and Services name them\.",
    ),
    "a port of the edge": ("edge.env.PORT=7", r"edge\.env\.PORT: the chart sets the ports"),
    "a secret that all can read": (
        "services.orders.env.DATABASE_URL=postgresql://o:x@db/orders",
        r"services\.orders\.env\.DATABASE_URL: this variable is secret\. Set the service's existingSecret to a Secret",
    ),
    "a generated secret that all can read": (
        "services.identity.env.STAFF_PASSWORD=password",
        r"services\.identity\.env\.STAFF_PASSWORD: this variable is secret\.",
    ),
    "a secret for all": ("workloads.env.BROKER_URL=nats://o:x@nats", r"workloads\.env\.BROKER_URL: this variable is"),
    "no Prometheus operator": (
        "monitoring.alerts=true",
        r"monitoring\.alerts is enabled, but this cluster does not know monitoring\.coreos\.com/v1/PrometheusRule\. "
        r"Install the Prometheus operator, or set monitoring\.alerts=false",
    ),
}


@pytest.mark.parametrize(("value", "expected"), REFUSED.values(), ids=list(REFUSED))
def test_a_wrong_value_is_refused_where_it_stands(value: str, expected: str) -> None:
    """An invalid value is reported with its path and the reason, a missing one with how to set it."""
    done = template("--set", value)
    assert done.returncode != 0
    assert re.search(expected, done.stderr), done.stderr


def test_a_cluster_without_linkerd_is_refused() -> None:
    """The sentence names the kind that is missing, both ways out, and all that `helm template` has to be told."""
    done = helm("template", "shop", ".", "--kube-version", "1.34.0")
    assert done.returncode != 0
    assert "This cluster does not know policy.linkerd.io/v1beta3/Server." in done.stderr
    assert "linkerd install --crds | kubectl apply -f -" in done.stderr
    assert "--set linkerd.enabled=false" in done.stderr
    known = re.findall(r"--api-versions (\S+?)[) ]", done.stderr + " ")
    told = [part for api in known for part in ("--api-versions", api)]
    assert helm("template", "shop", ".", "--kube-version", "1.34.0", *told).returncode == 0


def test_a_cluster_without_linkerd_takes_a_release_without_it() -> None:
    """Without Linkerd, no object needs a kind that a plain cluster lacks."""
    done = helm("template", "shop", ".", "--kube-version", "1.34.0", "--set", "linkerd.enabled=false")
    assert done.returncode == 0, done.stderr


def test_what_a_service_needs_may_come_from_elsewhere() -> None:
    """A Secret of one's own, or a URL, takes the place of each trial server."""
    others = [each.name for each in read_services(ROOT) if each.declaration.database and each.name != "orders"]
    secrets = [f"--set=services.{name}.existingSecret=mine" for name in others]
    url = (
        "--set=services.orders.databaseUrl=postgresql://o:x@db/orders,services.orders.brokerUrl=nats://orders:x@broker"
    )
    done = template("--set=postgres.enabled=false,nats.enabled=false,mail.enabled=false", url, *secrets)
    assert done.returncode == 0, done.stderr
    assert "shop-postgres" not in done.stdout
    assert "shop-nats" not in done.stdout


@pytest.mark.parametrize(
    "values",
    [
        ("--set=linkerd.enabled=false",),
        ("--set=edge.trustedProxies={10.0.0.0/8}",),
        (r"--set-string=edge.podAnnotations.config\.linkerd\.io/skip-inbound-ports=8080",),
    ],
)
def test_an_edge_that_knows_its_clients_may_be_open_to_the_public(values: tuple[str, ...]) -> None:
    """Without a mesh, behind a proxy that is named, or with its port outside of the mesh."""
    done = template("--set=edge.service.type=LoadBalancer", *values)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("values", "policy"),
    [
        ("type=ClusterIP", None),
        ("type=LoadBalancer", "Local"),
        ("type=NodePort", "Local"),
        ("type=LoadBalancer,edge.service.externalTrafficPolicy=Cluster", "Cluster"),
        ("type=LoadBalancer,edge.trustedProxies={10.0.0.0/8}", "Cluster"),
    ],
)
def test_nodes_do_not_hide_the_addresses_of_clients(values: str, policy: str | None) -> None:
    """A node that forwards a connection to another one replaces its address, unless traffic stays local. All clients of
    a node would share the limits on requests and sign-ins.
    """
    done = template(f"--set=linkerd.enabled=false,edge.service.{values}")
    assert done.returncode == 0, done.stderr
    (edge,) = (
        each["spec"]
        for each in objects(done.stdout)
        if (each["kind"], each["metadata"]["name"]) == ("Service", "shop-edge")
    )
    assert edge.get("externalTrafficPolicy") == policy


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ("linkerd.enabled=false", 0),
        ("services.orders.replicas=5", 2 * 3 * 8),
        ("services.orders.autoscaling.enabled=true", 2 * 8 * 8),
        ("services.orders.env.DATABASE_POOL_SIZE=15", 2 * 2 * 10),
        ("services.information.replicas=5", 0),
        ("services.orders.enabled=false", -2 * 2 * 8),
    ],
)
def test_the_trial_database_has_room_for_every_pod(values: str, more: int) -> None:
    """In a rolling update each pod of a service and its successor hold their connections, and there is memory for all
    connections. A service without a database needs none.
    """
    done = template("--set-string" if "env." in values else "--set", values)
    assert done.returncode == 0, done.stderr
    (server,) = (
        each for each in objects(done.stdout) if (each["kind"], each["metadata"]["name"]) == ("StatefulSet", DATABASE)
    )
    (container,) = server["spec"]["template"]["spec"]["containers"]
    (most,) = (int(each["value"]) for each in container["env"] if each["name"] == "MAX_CONNECTIONS")
    pods = 2 * sum(each.declaration.database for each in read_services(ROOT))
    assert most == 2 * 8 * pods + 20 + more
    assert container["resources"]["limits"]["memory"] == f"{384 + 7 * most}Mi"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("--set=image.tag=1", "image: meshwright:1\n"),
        ("--set=image.tag=0", "image: meshwright:0\n"),
        ("--set=image.tag=1.10", "image: meshwright:1.10\n"),
        (f"--set=image.tag=1@{DIGEST}", f"image: meshwright:1@{DIGEST}\n"),
        (f"--set=services.orders.image.tag=@{DIGEST}", f"image: meshwright@{DIGEST}\n"),
        ("--set-json=image.tag=20251129", "image: meshwright:20251129\n"),
        ("--set=services.orders.image.tag=7", "image: meshwright:7\n"),
        ("--set-json=workloads.env.BODY_BYTES_MAX=10485760", 'value: "10485760"\n'),
        ("--set-json=workloads.env.LONG_POLL_S=0.5", 'value: "0.5"\n'),
        ("--set=workloads.env.REFLECTION=false", 'value: "false"\n'),
    ],
)
def test_a_number_is_written_in_full(value: str, written: str) -> None:
    """Tags and variables may be numbers. A file's, as in JSON, are floats for Helm."""
    done = template(value)
    assert done.returncode == 0, done.stderr
    assert written in done.stdout


def test_an_image_of_ones_own_is_pulled_with_its_own_secrets() -> None:
    """A workload whose image is in another registry has the secrets of that one. All others have those of all."""
    own = "--set=services.orders.image.pullSecrets={ours},edge.image.pullSecrets={edges}"
    done = template("--set=image.pullSecrets={all}", own)
    assert done.returncode == 0, done.stderr
    pulled = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["imagePullSecrets"]
        for each in objects(done.stdout)
        if each["kind"] in ("Deployment", "StatefulSet")
    }
    assert pulled.pop("shop-orders") == [{"name": "ours"}]
    assert pulled.pop("shop-edge") == [{"name": "edges"}]
    assert set(map(str, pulled.values())) == {"[{'name': 'all'}]"}


@pytest.mark.parametrize("tag", ["1.5", "9007199254740993", "-1", "true"])
def test_a_tag_that_yaml_has_changed_is_refused(tag: str) -> None:
    """A fraction, a number that floats cannot hold, or a truth: in quotes it would have been text."""
    done = template(f"--set-json=image.tag={tag}")
    assert done.returncode != 0
    assert "at '/image/tag'" in done.stderr, done.stderr


def test_an_own_memory_limit_of_the_trial_database_stays() -> None:
    """The derived limit is only for those that set none."""
    done = template("--set=postgres.resources.limits.memory=3Gi")
    assert done.returncode == 0, done.stderr
    assert "memory: 3Gi" in done.stdout


OF_46, OF_50 = "a-release-of-a-platform-team-of-46-characters1", "a-release-of-a-platform-team-with-fifty-characters"
NO_TRIAL = ("--set=postgres.enabled=false,nats.enabled=false,ownSecrets=true",)


@pytest.mark.parametrize(
    ("release", "values", "expected"),
    [
        (OF_50, NO_TRIAL, r"-notifications, .*: at most 63 letters"),
        (OF_46, (), r"-postgres, .*: at most 52 letters"),
        (OF_46, NO_TRIAL, None),
        ("shop.v2", (), r"shop\.v2-analytics, which Kubernetes rejects"),
        ("2shop", (), "a letter first"),
        ("2shop", ("--set=prefix=shop",), None),
    ],
)
def test_a_release_whose_names_a_cluster_rejects(release: str, values: tuple[str, ...], expected: str | None) -> None:
    """The installation stops before it creates half of its objects, with the way out."""
    done = template(*values, release=release)
    if expected is None:
        assert done.returncode == 0, done.stderr
    else:
        assert re.search(expected, done.stderr), done.stderr
        assert "--set prefix=" in done.stderr


@pytest.mark.parametrize("place", ["workloads", "edge", "services.orders"])
@pytest.mark.parametrize("section", ["env", "podAnnotations"])
def test_a_section_of_a_workload_may_be_empty(place: str, section: str) -> None:
    """A section whose lines are all comments is null in YAML."""
    done = template(f"--set-json={place}.{section}=null")
    assert done.returncode == 0, done.stderr


def test_the_section_of_authorities_may_be_empty() -> None:
    """It is as if it was not there, as after an upgrade with the values of an earlier chart."""
    done = template("--set-json=authorities=null")
    assert done.returncode == 0, done.stderr


NEEDED = (
    "publicUrl image workloads edge postgres nats rabbitmq mail linkerd networkPolicies ingress gateway monitoring",
    "image.repository workloads.replicas workloads.autoscaling edge.enabled edge.service edge.requestsPerSecondMax "
    "postgres.enabled postgres.image nats.user nats.storage rabbitmq.enabled mail.enabled linkerd.enabled "
    "linkerd.namespace networkPolicies.enabled networkPolicies.outside ingress.enabled gateway.enabled",
    "workloads.autoscaling.enabled workloads.autoscaling.maxReplicas edge.service.type "
    "networkPolicies.outside.database networkPolicies.outside.broker",
    "networkPolicies.outside.mail.cidrs networkPolicies.outside.internet.ports",
)


@pytest.mark.parametrize("needed", NEEDED)
def test_a_value_that_the_chart_needs_may_not_be_empty(needed: str) -> None:
    """Helm leaves out the default of what is null, as is a section whose lines are all comments. It must neither turn
    off a protection silently, nor end with the trace of a template.
    """
    paths = needed.split()
    done = template(*(f"--set-json={path}=null" for path in paths))
    assert done.returncode != 0
    missing = dict(re.findall(r"- at '(.*)': missing propert(?:y|ies) (.*)", done.stderr))
    for place, _, key in (path.rpartition(".") for path in paths):
        assert f"'{key}'" in missing["/" + place.replace(".", "/") if place else ""], done.stderr


def test_whatever_is_empty_by_default_may_be_left_empty() -> None:
    """A section of changes whose lines are all comments changes nothing."""
    sections = (
        "services",
        "linkerd.operators",
        "edge.trustedProxies",
        "image.pullSecrets",
        "gateway.hostnames",
        "prefix",
    )
    done = template(*(f"--set-json={section}=null" for section in sections))
    assert done.returncode == 0, done.stderr
    assert list(objects(done.stdout)) == list(objects(template().stdout))


def test_a_server_of_ones_own_has_no_port_of_the_mesh() -> None:
    """Otherwise calls to other pods would bypass Linkerd, too."""
    url = "--set=services.orders.databaseUrl=postgresql://orders:secret@db.example.com:9000/orders"
    done = template(url)
    assert "names the port 9000" in done.stderr
    assert template(url, "--set=linkerd.skipOutside=false").returncode == 0
