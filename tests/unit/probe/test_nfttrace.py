"""What nft prints of marked packets, and what nft is told to mark."""

from labkit.probe.nfttrace import table
from labkit.probe.report import Packet
from labkit.probe.trace_lines import parse

OWN = "labkit-packet-7"
_IP = "ip saddr 10.244.2.3 ip daddr 10.0.0.12 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 1 ip length 60"
_SYN = f'iif "cbr0" ether saddr 92:f1:63:6f:bd:b0 {_IP} tcp sport 38707 tcp dport 80 tcp flags == syn tcp window 64240 '
_OUT = (
    "ip saddr 10.244.2.1 ip daddr 10.244.2.2 ip dscp cs0 ip length 60 tcp sport 37198 tcp dport 8000 tcp flags == syn"
)
LINES = f"""\
trace id 665f9c8a ip {OWN} client-in packet: {_SYN}
trace id 665f9c8a ip {OWN} client-in rule tcp flags syn meta nftrace set 1 # handle 7 (verdict continue)
trace id 665f9c8a ip {OWN} client-in policy accept 
trace id 665f9c8a ip {OWN} refusal packet: {_SYN}
trace id 665f9c8a ip {OWN} refusal policy accept 
trace id 665f9c8a ip nat PREROUTING packet: {_SYN}
trace id 665f9c8a ip nat PREROUTING rule  counter packets 0 bytes 0 jump KUBE-X # handle 16 (verdict jump KUBE-X)
trace id 665f9c8a ip nat KUBE-X rule meta l4proto tcp tcp dport 80 redirect to :43827 # handle 11 (verdict accept)
trace id 99999999 ip nat PREROUTING packet: {_SYN.replace("38707", "38708")}
trace id 77777777 ip filter FORWARD packet: {_SYN}
trace id 77777777 ip filter FORWARD rule ip daddr 10.0.0.0/16 reject # handle 4 (verdict drop)
trace id 665f9c8a ip {OWN} attempt packet: oif "cbr0" {_OUT}
trace id 665f9c8a ip {OWN} attempt rule meta nftrace set 1 # handle 10 (verdict continue)
trace id 665f9c8a ip filter OUTPUT policy accept
no line of a trace
""".splitlines()


def test_packets_are_told_apart_though_the_kernel_uses_an_id_twice() -> None:
    client, attempt = parse(LINES, OWN)
    assert (client.role, attempt.role) == ("client-in", "attempt")
    assert client.packet == Packet(source="10.244.2.3:38707", destination="10.0.0.12:80")
    assert attempt.packet == Packet(source="10.244.2.1:37198", destination="10.244.2.2:8000")
    assert [(step.what, step.chain, step.handle, step.verdict) for step in client.steps] == [
        ("packet", "PREROUTING", 0, ""),
        ("rule", "PREROUTING", 16, "jump KUBE-X"),
        ("rule", "KUBE-X", 11, "accept"),
        ("packet", "FORWARD", 0, ""),
        ("rule", "FORWARD", 4, "drop"),
    ]
    assert client.steps[0].interface == "cbr0"
    assert client.steps[2].text == "meta l4proto tcp tcp dport 80 redirect to :43827"
    assert [step.verdict for step in attempt.steps] == ["accept"]


def test_a_packet_that_was_only_near_is_not_marked() -> None:
    assert parse(LINES[:1] + LINES[3:7], OWN) == []


def test_the_table_marks_first_packets_of_this_request_and_the_proxy_s_to_endpoints() -> None:
    text = table(OWN, "tcp", "ip daddr 10.0.0.12 tcp sport 5 tcp dport 80", ["10.244.2.2:8000"], 7777)
    first = "tcp flags & (fin | syn | rst | ack) == syn"
    assert text.count(f"{first} ip daddr 10.0.0.12 tcp sport 5 tcp dport 80 meta nftrace set 1") == 2
    assert f"{first} ip daddr . tcp dport {{ 10.244.2.2 . 8000 }} meta nftrace set 1" in text
    assert "tcp flags & rst == rst ip saddr . tcp sport { 10.244.2.2 . 8000 } meta nftrace set 1" in text
    assert "ip daddr 127.0.0.1 udp sport 7777 udp dport 9 meta nftrace set 1 drop" in text
    udp = table(OWN, "udp", "ip daddr 10.0.0.10 udp sport 5 udp dport 53", [], 7777)
    assert "tcp" not in udp
    assert udp.count("meta nftrace set 1") == 3
