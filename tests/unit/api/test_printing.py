from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from labkit.api.codec import from_builtins, to_builtins
from labkit.api.computed import COMPUTED
from labkit.api.kinds import KINDS, Kind
from labkit.api.printing import table
from labkit.api.types import (
    ComponentStatus,
    Condition,
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Event,
    EventSource,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Namespace,
    NamespaceStatus,
    Node,
    NodeAddress,
    NodeSpec,
    NodeStatus,
    NodeSystemInfo,
    Object,
    ObjectMeta,
    ObjectReference,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerSpec,
    ReplicationControllerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)

NOW = datetime(2015, 6, 5, 12, 0, 0, tzinfo=UTC)
META = ObjectMeta(name="x", namespace="default", creation_timestamp="2015-06-05T11:58:30Z")


def shown(resource: str, obj: Object, *, wide: bool = False) -> dict[str, Any]:
    """Heading -> cell, as kubectl would show them."""
    made = table(KINDS[resource], [obj], now=NOW)
    headings = [one["name"].upper() for one in made["columnDefinitions"] if wide or not one["priority"]]
    cells = made["rows"][0]["cells"]
    shown_cells = [
        cell for cell, one in zip(cells, made["columnDefinitions"], strict=True) if wide or not one["priority"]
    ]
    return dict(zip(headings, shown_cells, strict=True))


def state(**kind: Any) -> ContainerState:
    return ContainerState(**kind)


def pod(*statuses: ContainerStatus, **status: str) -> Pod:
    spec = PodSpec(containers=[Container(name=one.name) for one in statuses], node_name="agent1")
    return Pod(metadata=META, spec=spec, status=PodStatus(container_statuses=list(statuses), **status))


RUNNING = ContainerStatus(name="a", ready=True, state=state(running=ContainerStateRunning()))
PULLING = ContainerStatus(name="b", state=state(waiting=ContainerStateWaiting(reason="ErrImagePull")))
DONE = ContainerStatus(name="c", state=state(terminated=ContainerStateTerminated(exit_code=0, reason="Completed")))
CRASHED = ContainerStatus(
    name="d",
    restart_count=3,
    state=state(terminated=ContainerStateTerminated(exit_code=2)),
    last_state=state(terminated=ContainerStateTerminated(finished_at="2015-06-05T11:50:00Z")),
)


def test_pods() -> None:
    assert shown("pods", pod(RUNNING, phase="Running", pod_ip="10.244.2.3"), wide=True) == {
        "NAME": "x",
        "READY": "1/1",
        "STATUS": "Running",
        "RESTARTS": "0",
        "AGE": "90s",
        "IP": "10.244.2.3",
        "NODE": "agent1",
        "NOMINATED NODE": "<none>",
        "READINESS GATES": "<none>",
    }


@pytest.mark.parametrize(
    ("one", "ready", "status", "restarts"),
    [
        (pod(phase="Pending"), "0/0", "Pending", "0"),
        (pod(RUNNING, PULLING, phase="Pending"), "1/2", "ErrImagePull", "0"),
        (pod(DONE, phase="Succeeded"), "0/1", "Completed", "0"),
        (pod(DONE, RUNNING, phase="Running"), "1/2", "Running", "0"),
        (pod(CRASHED, phase="Running"), "0/1", "ExitCode:2", "3 (10m ago)"),
        (pod(phase="Failed", reason="DeadlineExceeded"), "0/0", "DeadlineExceeded", "0"),
        (pod(), "0/0", "Unknown", "0"),
    ],
)
def test_the_state_of_a_pod_in_a_word(one: Pod, ready: str, status: str, restarts: str) -> None:
    row = shown("pods", one)
    assert (row["READY"], row["STATUS"], row["RESTARTS"]) == (ready, status, restarts)


def test_a_pod_that_is_being_deleted() -> None:
    one = pod(RUNNING, phase="Running")
    one.metadata = ObjectMeta(name="x", deletion_timestamp="2015-06-05T12:00:00Z")
    assert shown("pods", one)["STATUS"] == "Terminating"


def test_replication_controllers() -> None:
    spec = PodSpec(containers=[Container(name="master", image="redis"), Container(name="log", image="fluentd")])
    rc = ReplicationController(
        metadata=META,
        spec=ReplicationControllerSpec(
            replicas=3, selector={"tier": "be", "app": "redis"}, template=PodTemplateSpec(spec=spec)
        ),
        status=ReplicationControllerStatus(replicas=2, ready_replicas=1),
    )
    assert shown("replicationcontrollers", rc, wide=True) == {
        "NAME": "x",
        "DESIRED": 3,
        "CURRENT": 2,
        "READY": 1,
        "AGE": "90s",
        "CONTAINERS": "master,log",
        "IMAGES": "redis,fluentd",
        "SELECTOR": "app=redis,tier=be",
    }
    assert shown("replicationcontrollers", ReplicationController(metadata=META), wide=True)["IMAGES"] == ""


def service(**spec: Any) -> Service:
    return Service(metadata=META, spec=ServiceSpec(**spec))


def test_services() -> None:
    ports = [ServicePort(port=6379, protocol="TCP"), ServicePort(port=80, node_port=30080, protocol="TCP")]
    one = service(type="NodePort", cluster_ip="10.0.0.11", ports=ports, selector={"app": "redis"})
    assert shown("services", one, wide=True) == {
        "NAME": "x",
        "TYPE": "NodePort",
        "CLUSTER-IP": "10.0.0.11",
        "EXTERNAL-IP": "<none>",
        "PORT(S)": "6379/TCP,80:30080/TCP",
        "AGE": "90s",
        "SELECTOR": "app=redis",
    }
    bare = shown("services", service(type="ClusterIP", cluster_ip="None"), wide=True)
    assert (bare["CLUSTER-IP"], bare["PORT(S)"], bare["SELECTOR"]) == ("None", "<none>", "<none>")


def test_where_a_service_is_reached_from_outside() -> None:
    assert shown("services", service(deprecated_public_ips=["1.2.3.4", "1.2.3.5"]))["EXTERNAL-IP"] == "1.2.3.4,1.2.3.5"
    balanced = service(type="LoadBalancer")
    assert shown("services", balanced)["EXTERNAL-IP"] == "<pending>"
    balanced.status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=[LoadBalancerIngress(ip="9.9.9.9")]))
    assert shown("services", balanced)["EXTERNAL-IP"] == "9.9.9.9"


def test_endpoints() -> None:
    def endpoints(count: int) -> Endpoints:
        addresses = [EndpointAddress(ip=f"10.244.2.{number}") for number in range(count)]
        subset = EndpointSubset(addresses=addresses, ports=[EndpointPort(port=80, protocol="TCP")])
        return Endpoints(metadata=META, subsets=[subset])

    assert shown("endpoints", endpoints(0)) == {"NAME": "x", "ENDPOINTS": "<none>", "AGE": "90s"}
    assert shown("endpoints", endpoints(2))["ENDPOINTS"] == "10.244.2.0:80,10.244.2.1:80"
    assert shown("endpoints", endpoints(5))["ENDPOINTS"] == "10.244.2.0:80,10.244.2.1:80,10.244.2.2:80 + 2 more..."


def test_nodes() -> None:
    status = NodeStatus(
        conditions=[Condition(type="Ready", status="True")],
        addresses=[NodeAddress(type="InternalIP", address="10.245.1.12")],
        node_info=NodeSystemInfo(
            kubelet_version="v0.18.2",
            os_image="Debian 12",
            kernel_version="6.1",
            container_runtime_version="docker://20",
        ),
    )
    meta = ObjectMeta(
        name="agent1", creation_timestamp="2015-06-03T12:00:00Z", labels={"node-role.kubernetes.io/agent": ""}
    )
    assert shown("nodes", Node(metadata=meta, status=status), wide=True) == {
        "NAME": "agent1",
        "STATUS": "Ready",
        "ROLES": "agent",
        "AGE": "2d",
        "VERSION": "v0.18.2",
        "INTERNAL-IP": "10.245.1.12",
        "EXTERNAL-IP": "<none>",
        "OS-IMAGE": "Debian 12",
        "KERNEL-VERSION": "6.1",
        "CONTAINER-RUNTIME": "docker://20",
    }


@pytest.mark.parametrize(
    ("ready", "cordoned", "word"),
    [("True", True, "Ready,SchedulingDisabled"), ("False", False, "NotReady"), ("Unknown", False, "NotReady")],
)
def test_the_state_of_a_node_in_a_word(ready: str, cordoned: bool, word: str) -> None:
    status = NodeStatus(conditions=[Condition(type="Ready", status=ready)])
    assert shown("nodes", Node(metadata=META, spec=NodeSpec(unschedulable=cordoned), status=status))["STATUS"] == word
    assert shown("nodes", Node(metadata=META))["STATUS"] == "Unknown"


def test_namespaces_and_events() -> None:
    namespace = Namespace(metadata=META, status=NamespaceStatus(phase="Active"))
    assert shown("namespaces", namespace) == {"NAME": "x", "STATUS": "Active", "AGE": "90s"}
    event = Event(
        metadata=META,
        involved_object=ObjectReference(kind="Pod", name="p1", field_path="spec.containers{c}"),
        reason="pulled",
        message="Successfully pulled image\n",
        source=EventSource(component="kubelet", host="agent1"),
        first_timestamp="2015-06-05T11:00:00Z",
        last_timestamp="2015-06-05T11:59:55Z",
        count=4,
    )
    assert shown("events", event, wide=True) == {
        "LAST SEEN": "5s",
        "TYPE": "Normal",
        "REASON": "pulled",
        "OBJECT": "pod/p1",
        "SUBOBJECT": "spec.containers{c}",
        "SOURCE": "kubelet, agent1",
        "MESSAGE": "Successfully pulled image",
        "FIRST SEEN": "60m",
        "COUNT": "4",
        "NAME": "x",
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.resource)
def test_every_kind_prints_when_empty(kind: Kind) -> None:
    made = table(kind, [kind.type()], now=NOW)
    assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"])
    assert [one["format"] for one in made["columnDefinitions"] if one["name"] == "Name"] == ["name"]


def test_how_much_of_the_object_comes_along() -> None:
    kind, one = KINDS["pods"], pod(phase="Running")
    partial = table(kind, [one], "Metadata", now=NOW)["rows"][0]["object"]
    assert (partial["kind"], partial["metadata"].name) == ("PartialObjectMetadata", "x")
    assert table(kind, [one], "Object", now=NOW)["rows"][0]["object"] is one
    assert "object" not in table(kind, [one], "None", now=NOW)["rows"][0]


def test_a_table_can_be_sent() -> None:
    sent = msgspec.json.decode(msgspec.json.encode(table(KINDS["pods"], [pod(phase="Running")])))
    assert (sent["kind"], sent["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert sent["rows"][0]["object"]["metadata"]["name"] == "x"


@pytest.mark.parametrize(
    ("resource", "members", "row"),
    [
        ("secrets", {"data": {"a": ""}, "type": "Opaque"}, {"TYPE": "Opaque", "DATA": 1, "AGE": "90s"}),
        ("configmaps", {"data": {"a": ""}, "binaryData": {"b": ""}}, {"DATA": 2, "AGE": "90s"}),
        ("serviceaccounts", {"secrets": [{"name": "a"}]}, {"SECRETS": 1, "AGE": "90s"}),
        ("limitranges", {}, {"CREATED AT": "2015-06-05T11:58:30Z"}),
        (
            "podtemplates",
            {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
            {"CONTAINERS": "c", "IMAGES": "i", "POD LABELS": "a=b"},
        ),
        (
            "resourcequotas",
            {"spec": {"hard": {"pods": "3", "cpu": "1", "limits.cpu": "2"}}, "status": {"used": {"cpu": "500m"}}},
            {"REQUEST": "cpu: 500m/1, pods: 0/3", "LIMIT": "limits.cpu: 0/2", "AGE": "90s"},
        ),
        (
            "persistentvolumes",
            {
                "spec": {
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "claimRef": {"namespace": "default", "name": "data"},
                },
                "status": {"phase": "Bound"},
            },
            {
                "CAPACITY": "1Gi",
                "ACCESS MODES": "RWO,RWX",
                "RECLAIM POLICY": "Retain",
                "STATUS": "Bound",
                "CLAIM": "default/data",
                "STORAGECLASS": "",
                "REASON": "",
                "AGE": "90s",
            },
        ),
        (
            "persistentvolumeclaims",
            {
                "spec": {"volumeName": "v"},
                "status": {"phase": "Bound", "accessModes": ["ReadOnlyMany"], "capacity": {"storage": "1Gi"}},
            },
            {
                "STATUS": "Bound",
                "VOLUME": "v",
                "CAPACITY": "1Gi",
                "ACCESS MODES": "ROX",
                "STORAGECLASS": "",
                "AGE": "90s",
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_configuration_limits_and_storage(resource: str, members: dict[str, Any], row: dict[str, Any]) -> None:
    what = KINDS[resource].type
    obj = from_builtins({"metadata": to_builtins(META), **members}, what)
    assert shown(resource, obj) == {"NAME": "x", **row}


@pytest.mark.parametrize(
    ("conditions", "row"),
    [
        ([{"type": "Healthy", "status": "True", "message": "ok"}], ["Healthy", "ok", ""]),
        ([{"type": "Healthy", "status": "False", "error": "refused"}], ["Unhealthy", "", "refused"]),
        ([], ["Unknown", "", ""]),
    ],
)
def test_component_statuses(conditions: list[dict[str, str]], row: list[str]) -> None:
    (kind,) = (one for one in COMPUTED if one.resource == "componentstatuses")
    obj = from_builtins({"metadata": {"name": "etcd-0"}, "conditions": conditions}, ComponentStatus)
    assert table(kind, [obj], now=NOW)["rows"][0]["cells"] == ["etcd-0", *row]
