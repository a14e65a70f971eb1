"""Who goes with whom, with literals."""

from labkit.api.types import ConfigMap, ObjectMeta, OwnerReference
from labkit.components.kube_controller_manager.garbage_collector import Verdict, blocking, judge
from labkit.components.kube_controller_manager.ownership import OwnerGraph


def owner(uid: str, *, blocks: bool | None = None) -> OwnerReference:
    return OwnerReference(api_version="v1", kind="ConfigMap", name=uid, uid=uid, block_owner_deletion=blocks)


def thing(uid: str, *owners: OwnerReference, finalizers: tuple[str, ...] = (), ends: bool = False) -> ConfigMap:
    meta = ObjectMeta(name=uid, namespace="default", uid=uid, owner_references=list(owners))
    meta.finalizers = list(finalizers)
    meta.deletion_timestamp = "2015-06-01T00:00:00Z" if ends else None
    return ConfigMap(metadata=meta)


class TestJudge:
    def test_whose_owners_live_stays(self) -> None:
        assert judge([owner("a"), owner("b")], set(), set()) == Verdict(forget=[])

    def test_who_has_no_owner_stays(self) -> None:
        assert judge([], {"a"}, {"b"}) == Verdict(forget=[])

    def test_whose_last_owner_is_gone_goes(self) -> None:
        assert judge([owner("a"), owner("b")], {"a"}, {"b"}) == Verdict(delete=True)

    def test_one_of_two_owners_is_enough(self) -> None:
        assert judge([owner("a"), owner("b"), owner("c")], {"a"}, {"c"}) == Verdict(forget=["a", "c"])


def test_only_who_says_so_blocks_its_owner() -> None:
    dependents = [thing("x", owner("a", blocks=True)), thing("y", owner("a")), thing("z", owner("b", blocks=True))]
    assert blocking(thing("a"), dependents) == [dependents[0]]


class TestOwnerGraph:
    def test_owned_first_or_owner_first(self) -> None:
        for order in (0, 1), (1, 0):
            graph, things = OwnerGraph(), [thing("a"), thing("x", owner("a"))]
            for index in order:
                graph.changed(None, things[index])
            assert graph.dependents("a") == [things[1]]

    def test_whom_a_change_concerns(self) -> None:
        graph = OwnerGraph()
        top, below = thing("a"), thing("x", owner("a"), owner("nobody"))
        assert graph.changed(None, top) == set()
        assert graph.changed(None, below) == {"x", "a"}
        assert graph.changed(below, thing("x", owner("a"), owner("nobody"))) == set()  # a heartbeat, say
        ending = thing("a", finalizers=("foregroundDeletion",), ends=True)
        assert graph.changed(top, ending) == {"a"}
        assert graph.changed(ending, None) == {"x"}

    def test_an_owner_hears_that_it_is_forgotten_and_that_what_it_owned_is_gone(self) -> None:
        graph = OwnerGraph()
        graph.changed(None, thing("a"))
        for uid in ("x", "y"):
            graph.changed(None, thing(uid, owner("a")))
        assert graph.changed(thing("x", owner("a")), thing("x")) == {"x", "a"}
        assert graph.changed(thing("y", owner("a")), None) == {"a"}
        assert graph.dependents("a") == []
        assert graph.changed(thing("a"), None) == set()
        assert set(graph.objects) == {"x"}
