"""From what was seen to a picture: recorded reports against pictures in text, and each fault by what is missing."""

import io
import xml.etree.ElementTree as ET
from typing import Any

import msgspec
import pytest
from rich.console import Console

from labkit.observe import picture, svg
from labkit.observe.ends import parse
from labkit.observe.evidence import Evidence
from labkit.observe.journey import Journey, as_json
from labkit.observe.objects import Objects
from labkit.observe.outcome import readable
from labkit.observe.question import ask
from labkit.observe.telling import tell
from labkit.probe.report import Attempt, Ending, Flow, Look, Packet, Report, Route, Socket
from tests.unit.observe import HERE, endpoints, lab, objects, recorded

REDIS = ("pod/client", "redis-master:6379")


def journey(report: Report, *words: str, found: Objects | None = None, **evidence: Any) -> Journey:
    known = found or objects()
    return tell(Evidence(ask(*parse([*(words or REDIS)]), known, lab()), report, known, **evidence), lab())


def seen(**changes: Any) -> Report:
    """The recorded report with some of it otherwise."""
    return msgspec.structs.replace(recorded("userspace"), **changes)


def faults(report: Report, *words: str, **more: Any) -> str:
    told = journey(report, *words, **more)
    assert told.well is (not told.faults)
    return "\n".join(fault.text for fault in told.faults)


def far(state: str = "ESTABLISHED") -> Report:
    leg = Packet(source="10.245.1.12:40046", destination="10.244.3.5:6379")
    return Report(flow=Flow(original=leg, reply=leg, state=state))


@pytest.mark.parametrize("name", ["userspace"])
def test_the_picture(name: str) -> None:
    told = journey(recorded(name), far=far())
    drawn = "\n".join(line.plain.rstrip() for line in picture.lines(told, 100)) + "\n"
    assert drawn == (HERE / "pictures" / f"{name}.txt").read_text()


def test_colours_only_where_there_are_any() -> None:
    for terminal in (True, False):
        out = io.StringIO()
        colour: Any = "truecolor" if terminal else None
        picture.draw(journey(seen()), Console(file=out, force_terminal=terminal, color_system=colour, width=100))
        assert ("\x1b[" in out.getvalue()) is terminal


def test_the_drawing_is_svg_that_needs_nothing_from_elsewhere() -> None:
    text = svg.draw(journey(seen(), found=objects()))
    root = ET.fromstring(text)
    words = " ".join(each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text"))
    for expected in (
        "pod default/client",
        "container_portal()",
        "10.244.2.1:45189",
        "pod default/redis-master",
        "agent2",
    ):
        assert expected in words
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    for shape in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(shape.attrib.get("x", 0)) + float(shape.attrib["width"]) <= width
        assert float(shape.attrib.get("y", 0)) + float(shape.attrib["height"]) <= height


def test_json_has_the_same() -> None:
    told = journey(seen())
    assert msgspec.json.decode(as_json(told), type=Journey) == told


def test_an_answer_that_is_no_text_is_counted() -> None:
    assert readable(b"+PONG\r\n") == r'"+PONG\r\n"'
    assert readable(b"\x00\x01abc") == "with 5 bytes"
    assert readable(b"\xff" * 70) == "with 70 bytes"
    assert readable(b"a" * 70).endswith('..."')


def test_all_is_well() -> None:
    assert faults(seen()) == ""


def test_no_endpoints_names_the_pods_that_are_not_ready() -> None:
    nothing: dict[str, Any] = {"outgoing": None, "attempts": [], "routes": []}
    closed: Ending = "closed"
    assert faults(seen(ending=closed, answer=b"", **nothing), "pod/client", "web") == (
        "service default/web has no endpoints: of the pods with name=nobody none is ready: waiting (Pending,"
        " not scheduled, not ready)"
    )
    assert "has no selector and nobody has made endpoints" in faults(
        seen(ending=closed, **nothing), "pod/client", "two:a"
    )
    found = objects()
    found.pods = found.pods[:2]
    assert "no pod in default has the labels name=nobody" in faults(seen(**nothing), "pod/client", "web", found=found)


def test_endpoints_that_cannot_be_used_are_named() -> None:
    found = objects()
    found.endpoints = [endpoints("web", 80, "127.0.0.1", "10.0.0.11")]
    closed: dict[str, Any] = {"ending": "closed", "outgoing": None, "attempts": [], "routes": []}
    assert faults(seen(**closed), "pod/client", "web", found=found) == (
        "endpoint 127.0.0.1:80 is not used, as it is each machine's own loopback\n"
        "endpoint 10.0.0.11:80 is not used, as it is in the service range: connections would go in circles"
    )


def test_the_proxy_is_down() -> None:
    gone: dict[str, Any] = {"proxy": None, "outgoing": None, "accepted": None, "attempts": [], "ending": "refused"}
    assert "kube-proxy is not running on agent1; the rules that it left still stand" in faults(
        seen(**gone, listening=[])
    )
    held = [Socket(state="LISTEN", local="0.0.0.0:45189", peer="0.0.0.0:*", pid=1, fd=63)]
    assert "systemd holds its port open" in faults(seen(**gone, listening=held))


def test_a_rule_or_a_jump_was_flushed() -> None:
    flow = recorded("userspace").flow
    assert flow is not None
    straight = Flow(
        original=flow.original, reply=Packet(source=flow.original.destination, destination=flow.original.source)
    )
    gone: dict[str, Any] = {
        "looks": [], "flow": straight, "outgoing": None, "accepted": None, "attempts": [], "listening": [],
        "ending": "refused",
    }  # fmt: skip
    assert "no rule on agent1 names default/redis-master:" in faults(seen(**gone, service_rules=0))
    assert "rules on agent1 name default/redis-master: (2), but the packet met none" in faults(seen(**gone))
    assert "nobody puts it back" in faults(seen(**gone | {"proxy": None}, service_rules=0))


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (Route(to="10.244.3.5", via="10.245.1.253", dev="eth0"), "packets go to 10.245.1.253; expected by 10.245.1.13"),
        (Route(to="10.244.3.5", trouble="Network is unreachable"), "Network is unreachable; expected by 10.245.1.13"),
        (Route(to="10.244.3.5", dev="docker0"), "packets stay on docker0"),
    ],
)
def test_a_route_is_missing(route: Route, expected: str) -> None:
    lost: dict[str, Any] = {"routes": [route], "outgoing": None, "ending": "connected", "answer": b""}
    told = faults(seen(**lost))
    assert told.startswith("agent1 has no route to 10.244.3.0/24, the pods of agent2")
    assert expected in told
    assert "did not answer" not in told, "one cause, one fault"


def test_an_endpoint_refuses() -> None:
    tried = [Attempt(source="10.245.1.12:1", destination="10.244.3.5:6379", answer="refused")]
    told = journey(seen(outgoing=None, attempts=tried, ending="closed", answer=b""))
    assert [fault.text for fault in told.faults] == [
        "endpoint 10.244.3.5:6379 refused: nothing listens on port 6379 there"
        " (pod default/redis-master, Running on agent2)"
    ]
    assert told.back == []
    assert told.stations[-1].machine == "agent2"


def test_an_endpoint_that_ends_the_connection_may_want_a_request_first() -> None:
    assert "took the connection and ended it without a byte" in faults(seen(ending="closed", answer=b""))


def test_what_the_machine_could_not_do_is_told() -> None:
    assert faults(Report(trouble="docker runs no container of pod default/client")).startswith("agent1: docker runs no")


def test_rules_of_others_are_counted_and_those_that_refuse_are_shown() -> None:
    there = recorded("userspace").looks[0]
    others = msgspec.structs.replace(there.hits[0], rule="-A PREROUTING -j DOCKER", maker=None, verdict="jump DOCKER")
    drop = msgspec.structs.replace(others, table="filter", chain="X", rule="-A X -j REJECT", verdict="drop")
    looks = [
        msgspec.structs.replace(there, hits=[*there.hits, others]),
        Look(table="filter", chain="FORWARD", packet=there.packet, hits=[drop]),
    ]
    stations = [station for station in journey(seen(looks=looks)).stations if station.kind == "rules"]
    assert stations[0].notes == ["came in by docker0", "and 1 more that let it pass"]
    assert (stations[1].title, stations[1].changed, stations[1].leaves) == (
        "iptables filter FORWARD",
        "refused here",
        None,
    )
