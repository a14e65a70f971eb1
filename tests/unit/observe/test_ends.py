"""The words of the command line."""

import pytest

from labkit.observe.ends import From, To, Unclear, parse

REDIS = (From("pod", "client"), To("redis-master", port="6379"))


@pytest.mark.parametrize(
    "words",
    [
        ["pod/client", "redis-master:6379"],
        ["pod/client", "->", "redis-master:6379"],
        ["pod/client -> redis-master:6379"],
        ["pod/client->redis-master:6379"],
        ["pod/client → default/redis-master:6379"],
        ["po/default/client", "svc/redis-master:6379"],
    ],
)
def test_one_request_however_it_is_typed(words: list[str]) -> None:
    assert parse(words) == REDIS


def test_the_other_ends() -> None:
    assert parse(["host", "web"]) == (From("host"), To("web"))
    assert parse(["node/agent1", "kube-system/kube-dns:dns"]) == (
        From("node", "agent1"),
        To("kube-dns", "kube-system", "dns"),
    )
    assert parse(["pod/ns/x", "10.245.1.12:30080"]) == (From("pod", "x", "ns"), To(ip="10.245.1.12", port="30080"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "FROM and TO"),
        (["pod/client"], "FROM and TO"),
        (["pod/a", "web", "80"], "FROM and TO"),
        (["client", "web"], "pod/NAME"),
        (["pod/", "web"], "pod/NAME"),
        (["pod/a/b/c", "web"], "pod/NAME"),
        (["host/x", "web"], "or host"),
        (["host", "10.0.0.11"], "port behind the address"),
        (["host", "10.0.0.11:0"], "port behind the address"),
        (["host", "web:80:90"], "SERVICE:PORT"),
        (["host", "Web"], "SERVICE:PORT"),
    ],
)
def test_what_is_no_request_is_told_what_was_expected(words: list[str], expected: str) -> None:
    with pytest.raises(Unclear, match=expected):
        parse(words)
