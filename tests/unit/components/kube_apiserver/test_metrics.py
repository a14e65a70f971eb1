"""Numbers as Prometheus reads them, and those of a server."""

import math

from prometheus_client.parser import text_string_to_metric_families

from labkit.components.kube_apiserver.metrics import Histogram, Metrics, Numbers
from labkit.testing.eventually import eventually
from tests.unit.components.kube_apiserver.conftest import PODS, Http, pod


def test_a_counter() -> None:
    numbers = Numbers("n", "counter", "How many.", ("verb", "code"))
    numbers.add(("GET", "200"))
    numbers.add(("GET", "200"))
    numbers.add(('a"b\\c\nd', "200"))
    assert list(numbers.lines()) == [
        "# HELP n How many.",
        "# TYPE n counter",
        'n{verb="GET",code="200"} 2',
        r'n{verb="a\"b\\c\nd",code="200"} 1',
    ]


def test_a_histogram_counts_up() -> None:
    times = Histogram("t", "How long.", ("verb",), [1, 2.5])
    for value in (0.5, 1, 2, 3):
        times.observe(("GET",), value)
    assert list(times.lines())[2:] == [
        't_bucket{verb="GET",le="1"} 2',
        't_bucket{verb="GET",le="2.5"} 3',
        't_bucket{verb="GET",le="+Inf"} 4',
        't_sum{verb="GET"} 6.5',
        't_count{verb="GET"} 4',
    ]


def test_verbs_are_those_of_http_where_there_is_one() -> None:
    metrics = Metrics()
    for verb in ("create", "update", "patch", "list", "watch"):
        metrics.answered(verb, "pods", 200, 0.001)
    assert {labels[0] for labels in metrics.requests.values} == {"POST", "PUT", "PATCH", "LIST", "WATCH"}
    assert ("WATCH", "pods") not in metrics.latencies.rows  # a watch is meant to last


async def numbers(http: Http) -> dict[str, float]:
    """`name{labels}` -> number of the page."""
    async with http.session.get(f"{http.base_url}/metrics") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        lines = [line for line in (await answer.text()).splitlines() if not line.startswith("#")]
    return {name: float(number) for name, number in (line.rsplit(" ", 1) for line in lines)}


async def test_the_page(http: Http) -> None:
    await http.made(PODS, pod())
    await http("POST", PODS, pod())
    await http.got(f"{PODS}/p1")
    await http("GET", "/nowhere")
    found = await numbers(http)
    assert found['apiserver_request_count{verb="POST",resource="pods",code="201"}'] == 1
    assert found['apiserver_request_count{verb="POST",resource="pods",code="409"}'] == 1
    assert found['apiserver_request_count{verb="GET",resource="",code="404"}'] == 1
    assert found['apiserver_request_latencies_count{verb="GET",resource="pods"}'] == 1
    assert found['etcd_request_duration_seconds_count{operation="commit"}'] >= 2
    assert found["process_resident_memory_bytes"] > 1e6


async def test_open_watches(http: Http) -> None:
    gauge = 'apiserver_registered_watchers{resource="pods"}'
    async with http.session.get(f"{http.base_url}{PODS}?watch=true&timeoutSeconds=30") as watch:
        assert watch.status == 200
        await http.made(PODS, pod())
        await watch.content.readline()
        assert (await numbers(http))[gauge] == 1

    async def closed() -> bool:
        return (await numbers(http))[gauge] == 0

    await eventually(closed, expect="no watch is open")


async def scraped(http: Http) -> dict[str, dict[tuple[str, frozenset[tuple[str, str]]], float]]:
    """The page as Prometheus' own parser reads it: family -> (sample's name, labels) -> value. Checks its form."""
    async with http.session.get(f"{http.base_url}/metrics") as answer:
        text = await answer.text()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    found = {}
    for family in families:
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
        samples = [((sample.name, frozenset(sample.labels.items())), sample.value) for sample in family.samples]
        found[family.name] = dict(samples)
        assert len(found[family.name]) == len(samples), f"{family.name} has a sample twice"
        if family.type == "histogram":
            _check_histogram(family.name, found[family.name])
    return found


def _check_histogram(name: str, samples: dict[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
    rows: dict[frozenset[tuple[str, str]], dict[float, float]] = {}
    for (sample, labels), value in samples.items():
        if sample == f"{name}_bucket":
            bound = float(dict(labels)["le"])
            rows.setdefault(frozenset(pair for pair in labels if pair[0] != "le"), {})[bound] = value
    for labels, buckets in rows.items():
        counts = [buckets[bound] for bound in sorted(buckets)]
        assert counts == sorted(counts)
        assert buckets[math.inf] == samples[f"{name}_count", labels]
        assert samples[f"{name}_sum", labels] >= 0


async def test_prometheus_own_parser_reads_the_page(http: Http) -> None:
    await http.made(PODS, pod())
    await http("GET", "/nowhere")
    await http("POST", PODS, b'{"broken')
    before = await scraped(http)
    assert {"apiserver_request_count", "apiserver_request_latencies", "etcd_request_duration_seconds",
            "apiserver_registered_watchers", "process_resident_memory_bytes"} <= set(before)  # fmt: skip
    await http.got(PODS)
    after = await scraped(http)
    for family in ("apiserver_request_count", "apiserver_request_latencies", "etcd_request_duration_seconds"):
        assert before[family], family
        assert all(after[family][sample] >= value for sample, value in before[family].items())  # counters only grow
    labels = frozenset({("verb", "LIST"), ("resource", "pods"), ("code", "200")})
    listed = ("apiserver_request_count_total", labels)  # how the parser calls counters
    assert after["apiserver_request_count"][listed] == 1
