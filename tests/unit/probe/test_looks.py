"""What ss, conntrack and /proc say, and what is made of it."""

from labkit.probe import conntrack, sockets
from labkit.probe.look import attempts
from labkit.probe.report import Attempt, Flow, Packet, Socket
from labkit.probe.trace_lines import Traced

TCP = (
    "tcp 6 119 TIME_WAIT src=10.244.2.2 dst=10.0.0.11 sport=40001 dport=6379"
    " src=10.244.2.1 dst=10.244.2.2 sport=34273 dport=40001 [ASSURED] mark=0 use=1"
)
UDP = (
    "udp 17 29 src=10.244.2.2 dst=10.0.0.10 sport=4 dport=53 [UNREPLIED]"
    " src=10.244.2.1 dst=10.244.2.2 sport=5 dport=4 mark=0 use=1"
)


def test_conntrack_tells_both_directions() -> None:
    tcp, udp = conntrack.parse(f"{TCP}\n{UDP}\nicmp 1 29 src=1.2.3.4 dst=1.2.3.5 type=8 code=0 id=1\n")
    assert tcp.original == Packet(source="10.244.2.2:40001", destination="10.0.0.11:6379")
    assert tcp.reply == Packet(source="10.244.2.1:34273", destination="10.244.2.2:40001")
    assert (tcp.state, udp.state) == ("TIME_WAIT", "")


def test_a_socket_has_a_row_for_each_holder() -> None:
    line = 'LISTEN 0 4096 0.0.0.0:34273 0.0.0.0:* users:(("python",pid=812,fd=12),("systemd",pid=1,fd=40))'
    assert sockets.parse(line) == [
        Socket(state="LISTEN", local="0.0.0.0:34273", peer="0.0.0.0:*", pid=812, fd=12),
        Socket(state="LISTEN", local="0.0.0.0:34273", peer="0.0.0.0:*", pid=1, fd=40),
    ]
    assert sockets.parse("TIME-WAIT 0 0 127.0.0.1%lo:80 [::ffff:10.1.2.3]:5") == [
        Socket(state="TIME-WAIT", local="127.0.0.1:80", peer="10.1.2.3:5")
    ]
    assert sockets.parse("") == []


def test_the_proxy_s_new_socket_beside_the_accepted_one_is_ours() -> None:
    def to(local: str, peer: str, fd: int, pid: int = 812) -> Socket:
        return Socket(state="ESTAB", local=local, peer=peer, pid=pid, fd=fd)

    client = "10.244.2.7:40001"
    accepted, ours = to("10.244.2.1:34273", client, 30), to("10.244.2.1:5", "10.244.3.5:6379", 31)
    old, other = to("10.244.2.1:6", "10.244.3.5:6379", 29), to("10.244.2.1:7", "10.244.3.5:6379", 52)
    stranger = to("10.244.2.1:8", "10.244.3.5:6379", 30, pid=9)
    now = [accepted, old, other, ours, stranger]
    assert sockets.accepted(now, 812, client) == accepted
    assert sockets.outgoing(now, [old], 812, ["10.244.3.5:6379"], accepted) == ours
    assert sockets.outgoing(now, now, 812, ["10.244.3.5:6379"], accepted) is None


def test_the_mode_is_the_last_one_on_the_command_line() -> None:
    assert sockets.mode_of(["python", "-m", "x"]) == "userspace"
    assert sockets.mode_of(["--proxy-mode=iptables", "--proxy-mode", "nftables"]) == "nftables"


def test_attempts_are_the_proxy_s_packets_after_the_client_s() -> None:
    def traced(role: str, source: str, destination: str) -> Traced:
        return Traced(role, Packet(source=source, destination=destination))

    packets = [
        traced("attempt", "10.244.2.1:1", "10.244.3.5:80"),  # somebody else's: before
        traced("client-in", "10.244.2.7:9", "10.0.0.12:80"),
        traced("attempt", "10.244.2.1:2", "10.244.3.5:80"),
        traced("refusal", "10.244.3.5:80", "10.244.2.1:2"),
        traced("attempt", "10.244.2.1:3", "10.244.3.6:80"),
    ]
    assert attempts(packets, None) == [
        Attempt(source="10.244.2.1:2", destination="10.244.3.5:80", answer="refused"),
        Attempt(source="10.244.2.1:3", destination="10.244.3.6:80"),
    ]
    direct = Flow(original=packets[1].packet, reply=Packet(source="10.244.3.6:80", destination="10.244.2.7:9"))
    assert attempts(packets, direct) == []
