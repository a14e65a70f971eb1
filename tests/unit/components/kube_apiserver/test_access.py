"""Certificates to users, policies to decisions."""

from pathlib import Path

import pytest

from labkit.components.kube_apiserver import authz
from labkit.components.kube_apiserver.authn import user_of
from labkit.components.kube_apiserver.authz import Attributes, PolicyError, Rule, allowed
from labkit.components.kube_apiserver.messages import User

KUBELET = User("system:node:agent1", ("system:nodes",))
SCHEDULER = User("system:kube-scheduler")


def test_certificate_to_user() -> None:
    subject = ((("organizationName", "system:nodes"),), (("organizationName", "b"),), (("commonName", "kubelet"),))
    assert user_of({"subject": subject}) == User("kubelet", ("system:nodes", "b"))


def test_no_certificate_is_nobody() -> None:
    assert user_of(None) == User()
    assert user_of({}) == User()


def wish(user: User, verb: str, resource: str, namespace: str = "default") -> Attributes:
    return Attributes(user, verb, namespace, resource, "")


RULES = [
    Rule(group="system:nodes", resource="pods", readonly=True),
    Rule(group="system:nodes", resource="pods/status"),
    Rule(group="system:nodes", resource="pods", verbs=["delete"]),
    Rule(user="tutor", resource="pods"),
    Rule(user="tutor", resource="pods/exec"),
    Rule(user="reader", readonly=True),
    Rule(user="system:kube-scheduler", resource="bindings", namespace="default"),
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (wish(KUBELET, "get", "pods"), True),
        (wish(KUBELET, "watch", "pods"), True),
        (wish(KUBELET, "get", "pods/log"), True),
        (wish(KUBELET, "create", "pods"), False),
        (wish(KUBELET, "update", "pods"), False),
        (wish(KUBELET, "update", "pods/status"), True),
        (wish(KUBELET, "create", "pods/binding"), False),
        (wish(KUBELET, "delete", "pods"), True),
        (wish(KUBELET, "deletecollection", "pods"), False),
        (wish(KUBELET, "get", "podsecrets"), False),
        (wish(KUBELET, "list", "secrets"), False),
        (wish(User("tutor"), "create", "pods/exec"), True),
        (wish(User("tutor"), "create", "pods/portforward"), False),
        (wish(User("tutor"), "create", "pods/binding"), True),
        (wish(User("reader"), "get", "pods/log"), True),
        (wish(User("reader"), "create", "pods/exec"), False),
        (wish(KUBELET, "create", "pods/exec"), False),
        (wish(KUBELET, "create", "nodes/proxy"), False),
        (wish(SCHEDULER, "create", "bindings"), True),
        (wish(SCHEDULER, "create", "bindings", "other"), False),
        (wish(SCHEDULER, "get", "pods"), False),
        (wish(User("x", (authz.MASTERS,)), "delete", "nodes"), True),
        (wish(User("x"), "get", ""), True),
        (wish(User("x"), "create", ""), False),
    ],
)
def test_decisions(asked: Attributes, expected: bool) -> None:
    assert allowed(RULES, asked) is expected


def test_without_rules_nothing_but_discovery() -> None:
    assert not allowed([], wish(SCHEDULER, "get", "pods"))


def test_policy_file(tmp_path: Path) -> None:
    file = tmp_path / "abac.jsonl"
    file.write_text('# who\n\n{"user":"a","resource":"pods","readonly":true}\n  {"group":"g"}\n')
    assert authz.read_policy(file) == [Rule(user="a", resource="pods", readonly=True), Rule(group="g")]


@pytest.mark.parametrize("line", ['{"usr":"a"}', "nonsense", '{"readonly":"yes"}', "[]"])
def test_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "abac.jsonl"
    file.write_text(f'{{"user":"a"}}\n{line}\n')
    with pytest.raises(PolicyError, match=r"abac\.jsonl:2: expected one JSON object"):
        authz.read_policy(file)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot read"):
        authz.read_policy(tmp_path / "none")
