"""`on=...` and what is typed there."""

import json

import pytest

from labkit.guide.places import NowhereError, Place, Spot, find_spot, parse_place, pod_query, typed_at


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("master", Place("machine", machine="master")),
        ("pod/client", Place("pod", pod="client")),
        ("pod/name=redis-master", Place("pod", pod="name=redis-master")),
        ("node-of:pod/client", Place("node-of", pod="client")),
        ("away-from:pod/name=redis-master", Place("away-from", pod="name=redis-master")),
        ("node-of:client", None),
        ("near:pod/client", None),
        ("name=redis", None),
        ("", None),
        ("a b", None),
    ],
)
def test_parse_place(text: str, place: Place | None) -> None:
    assert parse_place(text) == place
    assert place is None or str(place) == text


def pod(name: str, node: str = "", phase: str = "Running", deleted: str = "") -> dict[str, object]:
    return {
        "metadata": {"name": name, "namespace": "default", **({"deletionTimestamp": deleted} if deleted else {})},
        "spec": {"nodeName": node, "containers": [{"name": "main"}, {"name": "side"}]},
        "status": {"phase": phase},
    }


def found(place: Place, *pods: dict[str, object]) -> Spot:
    return find_spot(place, json.dumps({"items": pods}), ["agent1", "agent2"])


def test_queries() -> None:
    assert pod_query(Place("pod", pod="x")) == "kubectl get pods --field-selector metadata.name=x -o json"
    assert pod_query(Place("node-of", pod="name=x")) == "kubectl get pods -l name=x -o json"


def test_a_pod_is_in_its_first_container() -> None:
    assert found(Place("pod", pod="x"), pod("x", "agent2")) == Spot("agent2", "default/x", "main")


def test_a_running_pod_comes_before_others_and_one_being_deleted_last() -> None:
    pods = [pod("old", "agent1", deleted="2026"), pod("new", "agent1", "Pending"), pod("good", "agent2")]
    assert found(Place("node-of", pod="name=x"), *pods) == Spot("agent2")


def test_away_from_is_the_first_agent_that_does_not_run_it() -> None:
    assert found(Place("away-from", pod="x"), pod("x", "agent1")) == Spot("agent2")
    assert found(Place("away-from", pod="x"), pod("x", "agent2")) == Spot("agent1")


def test_nowhere() -> None:
    with pytest.raises(NowhereError, match="there is none"):
        found(Place("pod", pod="x"))
    with pytest.raises(NowhereError, match="not scheduled"):
        found(Place("pod", pod="x"), pod("x"))
    with pytest.raises(NowhereError, match="no agent besides agent1"):
        find_spot(Place("away-from", pod="x"), json.dumps({"items": [pod("x", "agent1")]}), ["agent1"])


def test_what_is_typed_for_a_pod_is_docker_exec_by_the_kubelets_label_and_name() -> None:
    assert typed_at(Spot("agent1"), "ls") == "ls"
    assert typed_at(Spot("agent1", "default/x", "main"), "echo '$A'") == (
        'docker exec -i "$(docker ps -qf label=io.kubernetes.pod.name=default/x -f name=k8s_main[.])"'
        " sh -c 'echo '\"'\"'$A'\"'\"''"
    )


def test_quotes_are_as_simple_as_is_safe() -> None:
    assert typed_at(Spot("agent1", "default/x", "main"), "grep 'a b'").endswith(""" sh -c "grep 'a b'\"""")
    assert typed_at(Spot("agent1", "default/x", "main"), "grep a").endswith(" sh -c 'grep a'")
