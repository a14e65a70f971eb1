import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api.errors import BadRequest
from labkit.api.fields import EVERYTHING, field_labels, parse_field_selector
from labkit.api.kinds import KINDS
from labkit.api.types import Event, EventSource, Node, NodeSpec, ObjectMeta, ObjectReference, Pod, PodSpec, PodStatus

PODS = KINDS["pods"]
POD = Pod(
    metadata=ObjectMeta(name="p1", namespace="default"),
    spec=PodSpec(node_name="n1"),
    status=PodStatus(phase="Running"),
)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("metadata.name=p1", True),
        ("metadata.name!=p1", False),
        ("spec.nodeName=", False),
        ("spec.nodeName!=", True),
        ("spec.host=n1", True),  # the draft's name of the field
        ("status.phase!=Failed,status.phase!=Succeeded,spec.nodeName==n1", True),
        ("metadata.name=p1,status.phase=Pending", False),
        ("metadata.namespace=default", True),  # selects nothing in 1.0, and kubectl asks for it
    ],
)
def test_matches(selector: str, matches: bool) -> None:
    assert parse_field_selector(PODS, selector).matches(field_labels(POD)) is matches


@pytest.mark.parametrize(
    ("resource", "selector", "error"),
    [
        ("pods", "spec.nosuch=1", "field label not supported: spec.nosuch"),
        ("pods", "metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        (
            "pods",
            "metadata.name in (p1)",
            "invalid selector: 'metadata.name in (p1)'; can't understand 'metadata.name in (p1)'",
        ),
        ("services", "spec.type=x", "No field label conversion function found for version v1 and kind Service"),
        ("events", "source.component=kubelet", "field label not supported: source.component"),
        ("events", "involvedObject.nope=1", "field label not supported: involvedObject.nope"),
    ],
)
def test_refuses_in_the_words_of_the_original(resource: str, selector: str, error: str) -> None:
    with pytest.raises(BadRequest) as raised:
        parse_field_selector(KINDS[resource], selector)
    assert raised.value.message == error


def test_what_describe_asks_of_events() -> None:
    event = Event(
        metadata=ObjectMeta(name="e", namespace="default"),
        involved_object=ObjectReference(kind="Pod", name="p1", namespace="default", uid="u1", field_path="spec{c}"),
        reason="started",
        source=EventSource(component="kubelet"),
    )
    fields = field_labels(event)
    for asked in (
        "involvedObject.uid=u1,involvedObject.name=p1,involvedObject.namespace=default",
        "involvedObject.fieldPath=spec{c}",
        "reason=started,source=kubelet",
    ):
        assert parse_field_selector(KINDS["events"], asked).matches(fields)


def test_a_cordoned_node() -> None:
    node = Node(metadata=ObjectMeta(name="n1"), spec=NodeSpec(unschedulable=True))
    assert parse_field_selector(KINDS["nodes"], "spec.unschedulable=true").matches(field_labels(node))
    assert parse_field_selector(KINDS["nodes"], "spec.unschedulable=false").matches(field_labels(Node()))


def test_everything_is_what_is_asked_without_a_selector() -> None:
    assert parse_field_selector(PODS, "") == EVERYTHING
    assert EVERYTHING.everything


def test_every_kind_can_be_asked_for_one_object() -> None:
    for kind in KINDS.values():
        selector = parse_field_selector(kind, "metadata.name=x,metadata.namespace=")
        obj = kind.type()
        assert not selector.matches(field_labels(obj))
        obj.metadata.name = "x"
        assert selector.matches(field_labels(obj))


@given(st.text(min_size=0, max_size=12))
def test_a_value_survives_its_text(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    selector = parse_field_selector(PODS, f"metadata.name={escaped}")
    assert selector.matches({"metadata.name": value})
    assert parse_field_selector(PODS, str(selector)) == selector
