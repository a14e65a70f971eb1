import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api import codec
from labkit.api.errors import BadRequest
from labkit.api.types import DeleteOptions, Node, Pod, ReplicationController, Scale, Service


def pod(**spec: Any) -> bytes:
    return json.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": spec}).encode()


def test_json_names_are_those_of_kubernetes() -> None:
    body = pod(
        nodeName="n1",
        hostPID=True,
        hostIPC=True,
        containers=[{"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostIP": "1.2.3.4"}]}],
    )
    read = codec.decode(body, Pod)
    assert (read.spec.node_name, read.spec.host_pid, read.spec.host_ipc) == ("n1", True, True)
    assert read.spec.containers[0].ports[0].host_ip == "1.2.3.4"
    written = json.loads(codec.encode(read))
    assert written["spec"]["hostPID"] is True
    assert written["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostIP": "1.2.3.4"}]


def test_service_names() -> None:
    body = b'{"kind":"Service","apiVersion":"v1","spec":{"clusterIP":"None","deprecatedPublicIPs":["1.2.3.4"]}}'
    read = codec.decode(body, Service)
    assert (read.spec.cluster_ip, read.spec.deprecated_public_ips) == ("None", ["1.2.3.4"])
    assert b'"clusterIP":"None"' in codec.encode(read)


def test_nulls_of_go_clients_mean_absent() -> None:
    body = (
        b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","creationTimestamp":null,"labels":null},'
        b'"spec":{"containers":[{"name":"c","image":"i","env":null,"resources":null}],"volumes":null},"status":null}'
    )
    read = codec.decode(body, Pod)
    assert read.metadata.labels == {}
    assert read.spec.containers[0].env == []


def test_kubectl_run_body() -> None:
    body = (
        b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"r","creationTimestamp":null,"labels":{"run":"r"}},'
        b'"spec":{"containers":[{"name":"r","image":"nginx","resources":{}}],"restartPolicy":"Always",'
        b'"dnsPolicy":"ClusterFirst"},"status":{}}'
    )
    assert codec.decode(body, Pod).metadata.labels == {"run": "r"}
    assert codec.field_faults(body, Pod) == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            pod(containers=[{"ports": [{"containerPort": "http"}]}]),
            "cannot unmarshal string into field spec.containers[0].ports[0].containerPort of type int",
        ),
        (pod(nodeSelector={"a": 1}), "cannot unmarshal number into field spec.nodeSelector[...] of type string"),
        (pod(containers={}), "cannot unmarshal object into field spec.containers of type array"),
        (pod(activeDeadlineSeconds=10**30), "cannot unmarshal number into field spec.activeDeadlineSeconds: expected"),
        (b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"\xff"}}', "couldn't get version/kind"),
        (b'{"kind":"Pod","apiVersion":"v1"} {}', "invalid character after top-level value"),
        (b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}", "exceeded max depth"),
        (b"[1]", "json: cannot unmarshal array into a value of type object"),
        (b"null", "couldn't get version/kind"),
    ],
)
def test_names_what_is_wrong(body: bytes, error: str) -> None:
    with pytest.raises(BadRequest) as raised:
        codec.decode(body, Pod)
    assert error in raised.value.message


def test_quantities_are_written_in_one_way() -> None:
    body = pod(containers=[{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}])
    assert codec.decode(body, Pod).spec.containers[0].resources.limits == {"cpu": "500m", "memory": "1Gi"}
    node = codec.decode(b'{"kind":"Node","apiVersion":"v1","status":{"capacity":{"cpu":2,"pods":"40"}}}', Node)
    assert node.status.capacity == {"cpu": "2", "pods": "40"}
    template = {"template": {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "lots"}}}]}}}
    with pytest.raises(BadRequest, match="quantities must match"):
        codec.from_builtins({"kind": "ReplicationController", "spec": template}, ReplicationController)


def test_other_versions_have_their_own_name() -> None:
    scale = b'{"kind":"Scale","apiVersion":"autoscaling/v1","spec":{"replicas":3}}'
    assert codec.decode(scale, Scale).spec.replicas == 3
    with pytest.raises(BadRequest, match='no kind "Scale" is registered for version "v1"'):
        codec.decode(scale.replace(b"autoscaling/", b""), Scale)


def test_delete_options_come_under_several_versions() -> None:
    for version in (b"v1", b"meta.k8s.io/v1", b"policy/v1"):
        body = b'{"kind":"DeleteOptions","apiVersion":"%s","propagationPolicy":"Background"}' % version
        assert codec.decode(body, DeleteOptions).propagation_policy == "Background"
    assert codec.decode(b'{"gracePeriodSeconds":0}', DeleteOptions).grace_period_seconds == 0


def test_unknown_and_doubled_fields_are_found_where_they_are() -> None:
    body = (
        b'{"kind":"Pod","apiVersion":"v1","nonsense":1,"metadata":{"managedFields":[],"lables":{}},"spec":{"nodeName":'
        b'"a","nodeName":"b","containers":[{"name":"c","imgae":"i","resources":{"limits":{"cpu":1,"cpu":2}}}]}}'
    )
    assert codec.field_faults(body, Pod) == [
        'unknown field "nonsense"',
        'unknown field "metadata.lables"',
        'duplicate field "spec.nodeName"',
        'unknown field "spec.containers[0].imgae"',
        'duplicate field "spec.containers[0].resources.limits.cpu"',
    ]


def test_strict_error_reads_as_today() -> None:
    error = codec.strict_error(Pod, ['unknown field "spec.x"', 'duplicate field "spec.y"'])
    assert error.message == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
        'unknown field "spec.x", duplicate field "spec.y"'
    )


def test_without_kind_and_version_the_path_decides() -> None:
    read = codec.decode(b'{"metadata":{"name":"p"}}', Pod)
    assert (read.kind, read.api_version) == ("Pod", "v1")
    assert codec.decode(b'{"kind":"Pod","metadata":{"name":"p"}}', Pod).api_version == ""


def test_labels_are_free() -> None:
    body = b'{"kind":"Pod","apiVersion":"v1","metadata":{"labels":{"anything":"goes"}}}'
    assert codec.field_faults(body, Pod) == []


def test_builtins_and_back() -> None:
    read = codec.decode(pod(containers=[{"name": "c", "image": "i"}]), Pod)
    assert codec.from_builtins(codec.to_builtins(read), Pod) == read


def test_pretty_is_the_same_document() -> None:
    body = pod(nodeName="n")
    assert json.loads(codec.pretty(body)) == json.loads(body)
    assert b'\n  "kind": "Pod"' in codec.pretty(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "name", "containers", "ports", "labels", "limits", "resources", "x"]),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_document_is_a_pod_or_a_bad_request(document: Any) -> None:
    body = json.dumps(document).encode()
    try:
        read = codec.decode(body, Pod)
    except BadRequest as exc:
        assert exc.message  # noqa: PT017  (both outcomes are fine)
    else:
        assert codec.decode(codec.encode(read), Pod).spec == read.spec
        codec.field_faults(body, Pod)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_pod_or_a_bad_request(body: bytes) -> None:
    try:
        codec.decode(body, Pod)
    except BadRequest as exc:
        assert exc.message  # noqa: PT017  (both outcomes are fine)
