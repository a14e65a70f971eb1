"""The machines alone, before anything of ours runs on them: what they can do, cannot do, and what they survive.

A cluster of its own (`mach`), on the node image of the layer if that was built, else on the learner's.
"""

import contextlib
import ipaddress
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster
from labkit.provision import boot, vagrant
from tests.e2e.conftest import IMAGE_REPOSITORY, docker, images

pytestmark = pytest.mark.timeout(900)
NAME, RANGE = "mach", "10.245.31.0/24"
LABS = ("10.245.0.0/16", "10.244.0.0/16", "10.0.0.0/16")  # this one and its neighbours on the same host
ALL_PROTOCOLS = 3  # ETH_P_ALL: what is sent and what crosses a bridge as well


class Machines:
    """The cluster, and a shell on each machine."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.vagrant = vagrant.Vagrant(cluster)

    def sh(self, machine: str, script: str, rc: int | None = 0, timeout: float = 60) -> str:
        """What the script printed, both streams, run as root over ssh."""
        host, port = vagrant.endpoint(self.cluster, self.cluster.machine(machine))
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(host, port, boot.USER, key_filename=str(self.cluster.state / "ssh/id_ed25519"), timeout=20,
                           allow_agent=False, look_for_keys=False)  # fmt: skip
            channel = client.get_transport().open_session(timeout=20)  # type: ignore[union-attr]
            channel.settimeout(timeout)
            channel.set_combine_stderr(True)
            channel.exec_command(f"sudo sh -c {quoted(script)}")
            printed = b"".join(iter(lambda: channel.recv(65536), b"")).decode()
            ended = channel.recv_exit_status()
        assert rc is None or ended == rc, f"{machine}: {script}: exit {ended}\n{printed}"
        return printed.strip()

    def booted(self) -> None:
        for machine in self.cluster.machines:
            state = self.sh(machine.name, "timeout 60 systemctl is-system-running --wait", rc=None)
            if state != "running":
                why = "systemctl --failed; journalctl -b -p 3 -n 30; journalctl -b -u etcd -n 20 --no-pager"
                raise AssertionError(f"{machine.name}: {state}\n{self.sh(machine.name, why, rc=None)}")

    def docker_runs(self, machine: str) -> None:
        self.sh(machine, "timeout 40 sh -c 'until docker info >/dev/null 2>&1; do sleep 0.2; done'")

    def pod(self, machine: str, name: str, image: str, *words: str) -> str:
        """Start a container from the image that lies on the machine and return its address."""
        self.docker_runs(machine)
        self.sh(
            machine,
            f"docker image inspect {image} >/dev/null 2>&1 || docker load -qi /usr/share/labkit/images/{image}.tar",
        )
        self.sh(machine, f"docker run -d --name {name} {image} {' '.join(words)}")
        return self.sh(machine, f"docker inspect -f '{{{{.NetworkSettings.IPAddress}}}}' {name}")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def milliseconds(machines: Machines, machine: str, command: str) -> tuple[int, float]:
    """Exit code and duration of a command, timed on the machine."""
    script = f"s=$(date +%s%N); {command} >/dev/null 2>&1; echo $? $(( ($(date +%s%N) - s) / 1000000 ))"
    code, took = machines.sh(machine, script).split()
    return int(code), float(took)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    environment = {"LABKIT_HOME": str(tmp_path_factory.mktemp("state"))}
    if images():
        environment["LABKIT_IMAGE_REPOSITORY"] = IMAGE_REPOSITORY
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    made = Machines(clusters.init(NAME, 2, machines=RANGE))
    try:
        made.vagrant.destroy()  # what an interrupted run left
        yield made
    finally:
        made.vagrant.destroy()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def test_the_vagrantfile_is_valid_for_every_provider(machines: Machines) -> None:
    boot.prepare(machines.cluster)
    for arguments, provider in ((["validate"], "docker"), (["validate", "--ignore-provider"], "virtualbox")):
        machines.cluster.provider = provider
        try:
            printed = machines.vagrant._cli("validate", None)._run_vagrant_command(arguments)
        finally:
            machines.cluster.provider = "docker"
        assert "validated successfully" in printed


def test_up_boots_all_machines(machines: Machines) -> None:
    assert set(machines.vagrant.status().values()) == {"not_created"}
    lines: list[str] = []
    assert machines.vagrant.up(on_line=lines.append)
    assert any("Machine booted and ready" in line for line in lines)
    assert set(machines.vagrant.status().values()) == {"running"}
    machines.booted()


def test_a_second_up_touches_nothing(machines: Machines) -> None:
    before = docker("ps", "-aq", "--filter", f"label={machines.cluster.label}")
    started = time.monotonic()
    assert not machines.vagrant.up()
    assert time.monotonic() - started < 6
    assert docker("ps", "-aq", "--filter", f"label={machines.cluster.label}") == before


def test_the_machine_wrote_what_provisioning_expects(machines: Machines) -> None:
    for machine in machines.cluster.machines:
        assert machines.sh(machine.name, "cat /etc/lab/node.conf") + "\n" == boot.node_conf(machines.cluster, machine)


def test_docker_runs_on_agents_only_and_nothing_waits_for_provisioning(machines: Machines) -> None:
    machines.docker_runs("agent1")
    services = machines.sh("master", "systemctl list-units --type=service --state=running --plain --no-legend")
    for name in ("docker", "containerd", "etcd", "redis", "nginx", "registry"):
        assert name not in services, services
    files = "/sys/fs/cgroup/memory/memory.stat /sys/fs/cgroup/memory.stat"  # cgroup v1, v2
    memory = machines.sh("master", f"cat {files} 2>/dev/null | awk '/^(anon|total_rss) /{{print $2}}'")
    assert int(memory) < 60 * 2**20


def test_ports_are_on_loopback_only(machines: Machines) -> None:
    for machine in machines.cluster.machines:
        described = json.loads(docker("inspect", machines.cluster.container(machine)))[0]
        bound = [hosts for hosts in described["NetworkSettings"]["Ports"].values() if hosts]
        assert bound
        assert {one["HostIp"] for hosts in bound for one in hosts} == {"127.0.0.1"}


def test_a_machine_may_not_do_what_only_the_host_may(machines: Machines) -> None:
    held = int(machines.sh("agent1", "awk '/CapBnd/{print $2}' /proc/1/status"), 16)
    for name, bit in {"SYS_MODULE": 16, "SYS_RAWIO": 17, "SYS_BOOT": 22, "SYS_RESOURCE": 24, "SYS_TIME": 25}.items():
        assert not held >> bit & 1, f"CAP_{name}"
    assert "not permitted" in machines.sh("agent1", "date -s 2015-06-01", rc=1)
    device = Path("/").stat().st_dev
    read = f"mknod /root/disk b {os.major(device)} {os.minor(device)} && head -c 512 /root/disk"
    assert "not permitted" in machines.sh("agent1", read, rc=1)
    assert "permission denied" in machines.sh("agent1", "sysctl -w kernel.panic=17", rc=None)


def test_no_known_key_opens_a_machine(machines: Machines) -> None:
    keys = machines.sh("agent1", "cat /home/vagrant/.ssh/authorized_keys")
    assert keys == (machines.cluster.state / "ssh/id_ed25519.pub").read_text().strip()
    one, other = (
        machines.sh(name, "cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id") for name in ("agent1", "agent2")
    )
    assert one != other


def test_pods_of_two_agents_reach_each_other_by_their_own_addresses(machines: Machines) -> None:
    first, second = (machines.pod(agent, "talk", "toolbox") for agent in ("agent1", "agent2"))
    for address, agent in ((first, "agent1"), (second, "agent2")):
        assert ipaddress.ip_address(address) in ipaddress.ip_network(
            machines.cluster.pod_cidr(machines.cluster.machine(agent))
        )
    assert " 0% packet loss" in machines.sh("agent1", f"docker exec talk ping -c 2 -W 2 {second}")
    machines.sh("agent2", "docker exec -d talk sh -c 'nc -lnvp 7777 >/tmp/who 2>&1'")
    machines.sh(
        "agent1",
        f"docker exec talk sh -c 'for i in 1 2 3 4 5; do nc -zw1 {second} 7777 && exit; sleep 0.3; done; exit 1'",
    )
    assert first in machines.sh("agent2", "docker exec talk cat /tmp/who")


def test_pods_see_names_and_the_redis_image_serves_them(machines: Machines) -> None:
    redis = machines.pod("agent2", "store", "redis")
    assert machines.sh("agent1", f"docker exec talk redis-cli -h {redis} set greeting hello") == "OK"
    ask = "getent hosts redis-master && redis-cli -h redis-master get greeting"
    answer = machines.sh("agent1", f"docker run --rm --add-host=redis-master:{redis} toolbox sh -c {quoted(ask)}")
    assert answer.split() == [redis, "redis-master", "hello"]
    started = time.monotonic()
    machines.sh("agent2", "docker stop --time 20 store")
    assert time.monotonic() - started < 10  # it heeds SIGTERM
    assert machines.sh("agent2", "docker inspect -f '{{.State.ExitCode}}' store") == "0"


def test_every_image_for_pods_runs(machines: Machines) -> None:
    assert "It works" in machines.sh(
        "agent1", f"docker exec talk curl -s http://{machines.pod('agent1', 'web', 'nginx')}/"
    )
    machines.pod("agent1", "hold", "pause")
    assert machines.sh("agent1", "docker inspect -f '{{.State.Running}}' hold") == "true"
    machines.pod("agent1", "box", "busybox", "sleep", "1000")
    assert "It works" in machines.sh(
        "agent1", "docker exec box wget -qO- http://$(docker inspect -f '{{.NetworkSettings.IPAddress}}' web)/"
    )
    machines.sh("agent1", "docker rm -f web hold box")


def test_a_pod_of_another_user_can_be_entered(machines: Machines) -> None:
    machines.sh("agent1", "docker run -d --name plain --user 1000 toolbox")
    assert "uid=1000" in machines.sh("agent1", "docker exec plain sh -c 'echo uid=$(busybox id -u)'")
    machines.sh(
        "agent1", "docker run --rm --network container:plain --pid container:plain busybox true; docker rm -f plain"
    )


def test_a_service_address_that_nobody_has_is_refused_at_once(machines: Machines) -> None:
    for command in ("nc -w 3 10.0.77.77 80", "docker exec talk nc -w 3 10.0.77.77 80"):
        code, took = milliseconds(machines, "agent1", command)
        assert (code, took < 1000) == (1, True), f"{command}: exit {code} after {took} ms"
    code, took = milliseconds(machines, "master", "getent hosts redis-master.default")
    assert (code, took < 1000) == (2, True)


@contextlib.contextmanager
def escaping(*lab_ranges: str) -> Iterator[list[str]]:
    """IPv4 packets from the lab to anywhere else, as `INTERFACE SOURCE > DESTINATION`, seen on any of the host's."""
    lab = [ipaddress.ip_network(cidr) for cidr in lab_ranges or LABS]
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                packet, (interface, *_) = wire.recvfrom(65535)
                source, target = (ipaddress.ip_address(packet[at : at + 4]) for at in (26, 30))
                if (
                    packet[12:14] == b"\x08\x00"
                    and any(source in net for net in lab)
                    and not any(target in net for net in lab)
                ):
                    seen.append(f"{interface} {source} > {target}")

    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as wire:
        wire.settimeout(0.2)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield seen
        finally:
            over.set()
            watcher.join()


def test_no_packet_leaves_the_lab(machines: Machines) -> None:
    with escaping() as seen:
        for command in ("nc -w 2 192.0.2.80 80", "docker exec talk nc -w 2 192.0.2.80 80", "ping -c1 -W1 198.51.100.7",
                        "docker exec talk ping -c1 -W1 198.51.100.7", "curl -m 2 http://example.com"):  # fmt: skip
            code, took = milliseconds(machines, "agent1", command)
            assert code != 0, command
            assert took < 1500, f"{command}: {took} ms"
        # And with the machine's own rule out of the way there is still nobody who would carry a packet on.
        machines.sh("agent1", "iptables -I OUTPUT -d 192.0.2.0/24 -j ACCEPT")
        assert milliseconds(machines, "agent1", "nc -w 2 192.0.2.80 80")[0] != 0
        machines.sh("agent1", "iptables -D OUTPUT -d 192.0.2.0/24 -j ACCEPT")
        time.sleep(0.5)
    assert seen == []


def test_the_watcher_of_the_last_test_is_not_blind(machines: Machines) -> None:
    with escaping("10.245.31.12/32") as seen:  # as if the lab were agent1 alone
        machines.sh("agent1", "ping -c 1 -W 2 10.245.31.13")
        time.sleep(0.5)
    assert any(line.endswith("10.245.31.12 > 10.245.31.13") for line in seen)


def test_a_restart_of_lab_net_leaves_docker_and_its_pods_alone(machines: Machines) -> None:
    rules = machines.sh("agent1", "iptables-save | grep -v '^#' | sed 's/\\[.*//'; ip route; cat /etc/hosts")
    machines.sh(
        "agent1",
        "ip route del 10.244.3.0/24; ip route add 10.244.99.0/24 via 10.245.31.99 proto 77; systemctl restart lab-net",
    )
    assert machines.sh("agent1", "iptables-save | grep -v '^#' | sed 's/\\[.*//'; ip route; cat /etc/hosts") == rules
    assert machines.sh("agent1", "docker inspect -f '{{.State.Running}}' talk") == "true"


READER_OF_HOSTS = """
import subprocess, threading
stop, reads, empty = False, 0, 0
def look():
    global reads, empty
    while not stop:
        reads += 1
        empty += "localhost" not in open("/etc/hosts").read()
thread = threading.Thread(target=look)
thread.start()
for lines in range(10):  # docker's own text, shorter and longer than ours
    open("/etc/hosts", "r+").write("127.0.0.1\\tlocalhost\\n::1\\tip6\\n" * (1 + 2 * lines))
    subprocess.run("/usr/local/sbin/lab-net", check=True)
stop = True
thread.join()
print(reads > 100, empty)
"""


def test_localhost_has_an_address_while_the_names_are_written(machines: Machines) -> None:
    wanted = machines.sh("master", "cat /etc/hosts /etc/resolv.conf")
    assert machines.sh("master", f"python3 -c {quoted(READER_OF_HOSTS)}") == "True 0"
    assert machines.sh("master", "cat /etc/hosts /etc/resolv.conf") == wanted
    assert machines.sh("master", "ls /etc/*.lab", rc=None).startswith("ls: cannot access")


def test_routes_and_data_survive_halt_and_a_killed_machine(machines: Machines) -> None:
    etcd = "ETCDCTL_API=3 etcdctl --endpoints=http://127.0.0.1:2379"
    machines.sh("master", "systemctl enable --now etcd")
    machines.sh("master", f"{etcd} put /registry/proof 42")
    routes = {name: machines.sh(name, "ip route | grep proto.77") for name in ("master", "agent1", "agent2")}
    machines.vagrant.halt()
    assert set(machines.vagrant.status().values()) == {"stopped"}
    assert machines.vagrant.up()
    survived(machines, routes, etcd)

    addresses = docker(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "mach-master", "mach-agent1"
    )
    docker("kill", "mach-master", "mach-agent1")
    assert machines.vagrant.status() == {"master": "stopped", "agent1": "stopped", "agent2": "running"}
    assert machines.vagrant.up()
    survived(machines, routes, etcd)
    assert (
        docker(
            "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "mach-master", "mach-agent1"
        )
        == addresses
    )
    machines.docker_runs("agent1")
    assert "talk" in machines.sh("agent1", "docker ps -a --format '{{.Names}}'")


def survived(machines: Machines, routes: dict[str, str], etcd: str) -> None:
    machines.booted()
    for name, before in routes.items():
        assert machines.sh(name, "ip route | grep proto.77") == before
        assert "nameserver 10.0.0.10" in machines.sh(name, "cat /etc/resolv.conf")
        assert "lab-net" in machines.sh(name, "iptables -S LAB-NET")
    assert machines.sh("master", f"{etcd} get --print-value-only /registry/proof") == "42"


def test_what_vagrant_forgot_is_found_again(machines: Machines) -> None:
    docker("kill", "mach-agent2")
    subprocess.run(["rm", "-r", machines.cluster.state / "vagrant", machines.cluster.state / "ports.json"], check=True)
    identity = docker("inspect", "-f", "{{.Id}}", "mach-agent2")
    assert machines.vagrant.up()
    assert docker("inspect", "-f", "{{.Id}}", "mach-agent2") == identity
    machines.booted()


def test_an_agent_more_and_an_agent_less_leave_the_others_as_they_are(machines: Machines) -> None:
    before = docker("ps", "-q", "--filter", f"label={machines.cluster.label}").split()
    three = Machines(clusters.init(NAME, 3))
    assert three.vagrant.up()
    assert set(before) < set(docker("ps", "-q", "--filter", f"label={three.cluster.label}").split())
    three.booted()
    assert three.sh("agent3", "ip route | grep -c proto.77") == "3"
    two = Machines(clusters.init(NAME, 2))
    assert two.vagrant.up()
    assert set(before) == set(docker("ps", "-aq", "--filter", f"label={two.cluster.label}").split())
    assert two.cluster.next_pod_subnet == 5


def test_destroy_leaves_nothing(machines: Machines) -> None:
    containers = docker("ps", "-aq", "--filter", f"label={machines.cluster.label}").split()
    volumes = {
        mount["Name"]
        for one in json.loads(docker("inspect", *containers))
        for mount in one["Mounts"]
        if mount["Type"] == "volume"
    }
    assert volumes
    machines.vagrant.destroy()
    assert docker("ps", "-aq", "--filter", f"label={machines.cluster.label}") == ""
    assert docker("network", "ls", "-q", "--filter", f"label={machines.cluster.label}") == ""
    assert not volumes & set(docker("volume", "ls", "-q").split())
    assert not Path("/sys/class/net", machines.cluster.bridge).exists()
    assert not (machines.cluster.state / "vagrant").exists()
    assert set(machines.vagrant.status().values()) == {"not_created"}
