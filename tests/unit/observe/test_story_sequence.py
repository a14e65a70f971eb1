"""A story as a sequence diagram: a picture that any viewer opens, arrows from causes."""

import xml.etree.ElementTree as ET

from labkit.observe.story import sequence
from labkit.observe.story.tell import tell
from tests.unit.observe.story_lines import RC, journals, known, line, stored

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture).iter(f"{SVG}text")]


def test_a_lane_for_each_who_takes_part_a_row_for_each_hop() -> None:
    story = tell(known(journals()))
    picture = sequence.draw(story)
    root = ET.fromstring(picture)
    assert len(list(root.iter(f"{SVG}circle"))) == story.count
    lanes = sequence.lanes_of(story.chapters[0].hops, story.chapters[0].hops)
    assert lanes[0] == ("kubectl", "")
    assert lanes[1:4] == [("kube-apiserver", "master"), ("etcd", "master"), ("kube-controller-manager", "master")]
    assert {machine for name, machine in lanes if name == "kube-proxy"} == {"master", "agent1", "agent2"}
    assert "└ plan  labkit/components/kube_controller_manager/replication.py:61" in texts(picture)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    for each in root.iter(f"{SVG}circle"):
        assert 0 < float(each.get("cx", "0")) < width
        assert 0 < float(each.get("cy", "0")) < height


def test_in_brief_nobody_but_kube_apiserver_speaks_to_etcd_or_hears_from_kubectl() -> None:
    picture = sequence.draw(tell(known(journals())), brief=True)
    assert "etcd" not in texts(picture)
    root = ET.fromstring(picture)
    lanes = sorted({float(each.get("cx", "0")) for each in root.iter(f"{SVG}circle")})
    client = lanes[0] - sequence.LANE
    arrows = [each for each in root.iter(f"{SVG}line") if each.get("marker-end")]
    from_kubectl = [float(each.get("x2", "0")) for each in arrows if float(each.get("x1", "0")) == client]
    assert from_kubectl == [lanes[0] - 5] * 2  # the POST of the service and that of the controller


def test_text_of_strangers_stays_text() -> None:
    nasty = "</text><script>alert(1)</script>\x1b\x00\ufffe"
    logs = {"one": [stored(10_000, 5, RC), line(11_000, "kubelet", "odd", object=RC, why=nasty)]}
    picture = sequence.draw(tell(known(logs)))
    assert not list(ET.fromstring(picture).iter(f"{SVG}script"))
    assert any("<script>" in text for text in texts(picture))
    assert sequence.printable("a\x1b\ud800<") == "a??&lt;"


def test_nothing_known_is_an_empty_sheet() -> None:
    ET.fromstring(sequence.draw(tell(known({"one": []}))))
