import json
from typing import Any

import pytest

from labkit.api import codec
from labkit.api.defaults import set_defaults
from labkit.api.kinds import by_kind_name


def with_defaults(kind: str, **parts: Any) -> Any:
    what = by_kind_name(kind).type
    obj = codec.decode(json.dumps({"kind": kind, "apiVersion": "v1", "metadata": {"name": "x"}} | parts).encode(), what)
    set_defaults(obj)
    return json.loads(codec.encode(obj))


def container(**members: Any) -> Any:
    return with_defaults("Pod", spec={"containers": [{"name": "c", "image": "i", **members}]})["spec"]["containers"][0]


def test_minimal_pod() -> None:
    assert with_defaults("Pod", spec={"containers": [{"name": "c", "image": "i"}]})["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("redis", "IfNotPresent"),
        ("redis:7", "IfNotPresent"),
        ("redis:latest", "Always"),
        ("registry:5000/redis", "IfNotPresent"),
        ("registry:5000/redis:latest", "Always"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert container(image=image)["imagePullPolicy"] == policy


def test_what_was_sent_stays() -> None:
    assert container(imagePullPolicy="Never")["imagePullPolicy"] == "Never"
    assert container(securityContext={})["securityContext"] == {}
    assert "securityContext" not in container()
    spec = {"terminationGracePeriodSeconds": 0, "restartPolicy": "Never", "containers": []}
    assert with_defaults("Pod", spec=spec)["spec"] == {**spec, "dnsPolicy": "ClusterFirst"}


def test_ports_probes_and_references() -> None:
    assert container(ports=[{"containerPort": 80}])["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    probe = container(livenessProbe={"httpGet": {"port": 80}})["livenessProbe"]
    assert probe == {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1}
    hook = container(lifecycle={"preStop": {"httpGet": {"port": "web", "path": "/bye"}}})["lifecycle"]["preStop"]
    assert hook == {"httpGet": {"path": "/bye", "port": "web", "scheme": "HTTP"}}
    env = container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])["env"]
    assert env[0]["valueFrom"]["fieldRef"] == {"apiVersion": "v1", "fieldPath": "metadata.name"}


def test_host_network_takes_the_port_of_the_node() -> None:
    spec = {"hostNetwork": True, "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}
    ports = with_defaults("Pod", spec=spec)["spec"]["containers"][0]["ports"]
    assert ports == [{"hostPort": 80, "containerPort": 80, "protocol": "TCP"}]


def test_a_volume_without_source_is_an_empty_directory() -> None:
    spec = with_defaults("Pod", spec={"volumes": [{"name": "v"}, {"name": "w", "hostPath": {"path": "/x"}}]})["spec"]
    assert spec["volumes"] == [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/x"}}]


@pytest.mark.parametrize("name", ["serviceAccount", "serviceAccountName"])
def test_either_name_of_the_service_account_gives_both(name: str) -> None:
    spec = with_defaults("Pod", spec={name: "robot"})["spec"]
    assert (spec["serviceAccount"], spec["serviceAccountName"]) == ("robot", "robot")


def test_replication_controller_takes_labels_from_its_template() -> None:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    rc = with_defaults("ReplicationController", spec={"template": template})
    assert rc["metadata"]["labels"] == rc["spec"]["selector"] == {"app": "a"}
    assert rc["spec"]["replicas"] == 1
    assert rc["spec"]["template"]["spec"]["restartPolicy"] == "Always"
    assert with_defaults("ReplicationController", spec={"replicas": 0})["spec"]["replicas"] == 0


def test_service() -> None:
    assert with_defaults("Service", spec={"ports": [{"port": 6379}]})["spec"] == {
        "ports": [{"protocol": "TCP", "port": 6379, "targetPort": 6379, "nodePort": 0}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
    }
    named = with_defaults("Service", spec={"ports": [{"port": 80, "targetPort": "web", "protocol": "UDP"}]})["spec"]
    assert named["ports"] == [{"protocol": "UDP", "port": 80, "targetPort": "web", "nodePort": 0}]


def test_the_draft_s_names_are_read() -> None:
    spec = with_defaults("Service", spec={"publicIPs": ["1.2.3.4"], "ports": []})["spec"]
    assert spec["deprecatedPublicIPs"] == ["1.2.3.4"]
    assert "publicIPs" not in spec
    assert with_defaults("Pod", spec={"host": "n1"})["spec"]["nodeName"] == "n1"


def test_the_rest() -> None:
    assert with_defaults("Node")["spec"]["externalID"] == "x"
    assert with_defaults("Namespace")["status"] == {"phase": "Active"}
    subset = {"addresses": [{"ip": "1.2.3.4"}], "ports": [{"port": 80}]}
    assert with_defaults("Endpoints", subsets=[subset])["subsets"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]
