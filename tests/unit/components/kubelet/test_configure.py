"""From specs to what docker is asked for."""

import re
from typing import Any

import msgspec
import pytest

from labkit.api.types import Container as Spec
from labkit.api.types import Pod
from labkit.components.kubelet import runtime
from labkit.components.kubelet.configure import Birth, configure_container, configure_pause, hostname_of
from labkit.components.kubelet.docker_words import create_arguments, host_arguments
from labkit.components.kubelet.images import must_pull, pull_policy
from labkit.components.kubelet.plan import spec_hash
from labkit.components.kubelet.resolver import parse_resolv_conf, resolver_of
from labkit.components.kubelet.runtime import ContainerConfig, Mount, PortMapping, Resolver, Resources
from tests.unit.components.kubelet.pods import pod

RESOLVER = Resolver(("10.0.0.10",), ("default.svc.cluster.local",), ("ndots:5",))
POLICIES = ("Always", "IfNotPresent", "Never")
BIRTH = Birth(3, 40.0, "agent1")


def configured(of: Pod, env: list[tuple[str, str]] | None = None, **mounts: str) -> ContainerConfig:
    return configure_container(of, of.spec.containers[0], "pause-id", env or [], mounts, BIRTH)


def one(**fields: Any) -> Pod:
    return pod({"name": "c", "image": "redis"} | fields)


class TestPause:
    def test_carries_what_the_pod_has_as_a_machine(self) -> None:
        ports = [
            {"containerPort": 80, "hostPort": 8080, "protocol": "UDP", "hostIP": "127.0.0.1"},
            {"containerPort": 81},
        ]
        config = configure_pause(one(ports=ports), "pause", RESOLVER, BIRTH)
        assert (config.image, config.network, config.ipc, config.hostname) == ("pause", "", "", "web")
        assert config.resolver == RESOLVER
        assert config.ports == (PortMapping(80, 8080, "udp", "127.0.0.1"),)

    def test_on_the_host_s_network_it_has_nothing_of_its_own(self) -> None:
        of = pod(hostNetwork=True, hostIPC=True, hostPID=True)
        config = configure_pause(of, "pause", RESOLVER, BIRTH)
        assert (config.network, config.ipc, config.pid) == ("host", "host", "host")
        assert (config.hostname, config.resolver, config.ports) == ("", None, ())

    def test_processes_are_shared_on_request(self) -> None:
        asked = configured(pod(shareProcessNamespace=True))
        assert (asked.pid, host_arguments(asked)["pid_mode"]) == ("pause-id", "container:pause-id")
        assert host_arguments(configured(pod()))["pid_mode"] is None
        assert configured(pod(hostPID=True)).pid == "host"

    def test_docker_s_words(self) -> None:
        words = host_arguments(
            configure_pause(one(ports=[{"containerPort": 80, "hostPort": 8080}]), "p", RESOLVER, BIRTH)
        )
        assert (words["network_mode"], words["ipc_mode"]) == ("default", "shareable")
        assert (words["dns"], words["dns_opt"]) == (["10.0.0.10"], ["ndots:5"])
        assert words["port_bindings"] == {"80/tcp": [("", 8080)]}
        nothing_of_the_host = host_arguments(configure_pause(one(), "p", Resolver(("10.0.0.10",)), BIRTH))
        assert nothing_of_the_host["dns_search"] == ["."]


class TestContainer:
    def test_name_and_labels(self) -> None:
        of = one()
        config = configured(of)
        digest = spec_hash(of.spec.containers[0])
        assert re.fullmatch(rf"k8s_c\.{digest}_web_default_uid-web_[0-9a-f]{{8}}", config.name)
        assert config.labels == {
            runtime.POD: "default/web", runtime.POD_UID: "uid-web", runtime.CONTAINER: "c", runtime.HASH: digest,
            runtime.ATTEMPT: "3", runtime.BACKOFF: "40", runtime.GRACE: "30", runtime.NODE: "agent1",
            runtime.MESSAGE_FILE: "",
        }  # fmt: skip

    def test_joins_the_pause_container(self) -> None:
        config = configured(one())
        assert (config.network, config.ipc) == ("pause-id", "pause-id")
        words = host_arguments(config)
        assert (words["network_mode"], words["ipc_mode"]) == ("container:pause-id", "container:pause-id")
        assert "dns" not in words

    def test_commands_are_expanded_with_the_environment(self) -> None:
        of = one(command=["redis-server", "--port", "$(PORT)"], args=["$$(PORT)", "$(NONE)"], workingDir="/data")
        config = configured(of, [("PORT", "6379")])
        assert config.command == ("redis-server", "--port", "6379")
        assert config.args == ("$(PORT)", "$(NONE)")
        assert (config.env, config.working_dir) == ((("PORT", "6379"),), "/data")

    def test_limits(self) -> None:
        of = one(resources={"limits": {"memory": "64Mi", "cpu": "500m"}, "requests": {"cpu": "0.25"}})
        config = configured(of)
        assert config.resources == Resources(memory=64 << 20, cpu_limit=500, cpu_request=250)
        words = host_arguments(config)
        assert (words["mem_limit"], words["memswap_limit"]) == (64 << 20, 64 << 20)
        assert (words["cpu_shares"], words["cpu_period"], words["cpu_quota"]) == (256, 100_000, 50_000)
        assert "mem_limit" not in host_arguments(configured(one()))

    def test_mounts(self) -> None:
        of = one(volumeMounts=[{"name": "v", "mountPath": "/v"}, {"name": "h", "mountPath": "/h", "readOnly": True}])
        config = configured(of, v="/pods/v", h="/etc", **{"": "/pods/words"})
        assert config.mounts == (
            Mount("/pods/v", "/v"), Mount("/etc", "/h", read_only=True), Mount("/pods/words", "/dev/termination-log")
        )  # fmt: skip
        assert config.labels[runtime.MESSAGE_FILE] == "/pods/words"
        assert host_arguments(config)["binds"] == ["/pods/v:/v", "/etc:/h:ro", "/pods/words:/dev/termination-log"]

    def test_security(self) -> None:
        security = {"privileged": True, "runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]}}
        config = configured(one(securityContext=security))
        assert (config.privileged, config.user) == (True, "0")
        assert (config.capabilities_added, config.capabilities_dropped) == (("NET_ADMIN",), ("MKNOD",))

    def test_a_hash_changes_with_anything_in_the_spec(self) -> None:
        seen = {spec_hash(msgspec.convert({"name": "c"} | more, Spec)) for more in ({}, {"image": "a"}, {"tty": True})}
        assert len(seen) == 3


def test_hostname_is_at_most_63_characters() -> None:
    assert hostname_of(pod(name="a" * 70)) == "a" * 63
    assert hostname_of(pod(name="a" * 62 + "-b")) == "a" * 62


class TestResolver:
    def test_cluster_first(self) -> None:
        machine = Resolver(("192.0.2.1",), ("example.org",))
        assert resolver_of(pod(), "10.0.0.10", "cluster.local", machine) == Resolver(
            ("10.0.0.10",), ("default.svc.cluster.local", "svc.cluster.local", "cluster.local"), ("ndots:5",)
        )
        assert resolver_of(pod(dnsPolicy="Default"), "10.0.0.10", "cluster.local", machine) is machine
        assert resolver_of(pod(), "", "cluster.local", machine) is machine

    def test_the_machine_s_file(self) -> None:
        text = "# comment\ndomain old.org\nsearch a.org b.org\nnameserver 10.0.0.10  # x\nnameserver fe80::1\n"
        text += "options ndots:2 rotate\n"
        assert parse_resolv_conf(text) == Resolver(("10.0.0.10", "fe80::1"), ("a.org", "b.org"), ("ndots:2", "rotate"))

    def test_without_a_nameserver_names_fail_at_once(self) -> None:
        """Docker would put public servers, which a lab network cannot reach: every name would cost 20 s."""
        assert parse_resolv_conf("") == Resolver(("127.0.0.1",))


@pytest.mark.parametrize(
    ("policy", "image", "holds"),
    [
        ("", "redis", "IfNotPresent"), ("", "redis:latest", "Always"), ("", "redis:7", "IfNotPresent"),
        ("Never", "redis:latest", "Never"), ("Always", "redis:7", "Always"),
    ],
)  # fmt: skip
def test_pull_policy(policy: str, image: str, holds: str) -> None:
    assert pull_policy(policy, image) == holds


def test_when_to_pull() -> None:
    asked = {(policy, present): must_pull(policy, present) for policy in POLICIES for present in (True, False)}
    assert [question for question, answer in asked.items() if answer] == [
        ("Always", True), ("Always", False), ("IfNotPresent", False)
    ]  # fmt: skip


def test_what_the_kubelet_writes_is_only_read() -> None:
    volumes = [{"name": "s", "secret": {"secretName": "x"}}, {"name": "e", "emptyDir": {}}]
    mounts = [{"name": "s", "mountPath": "/s"}, {"name": "e", "mountPath": "/e"}]
    of = pod({"name": "c", "image": "i", "volumeMounts": mounts}, volumes=volumes)
    assert configured(of, s="/var/s", e="/var/e").mounts == (Mount("/var/s", "/s", True), Mount("/var/e", "/e", False))


class _Api:
    def create_host_config(self, **words: Any) -> dict[str, Any]:
        return words


def test_docker_gets_none_for_what_the_image_says() -> None:
    words = create_arguments(_Api(), configured(one()))  # type: ignore[arg-type]
    assert (words["entrypoint"], words["command"], words["working_dir"], words["user"]) == (None, None, None, None)
    words = create_arguments(_Api(), configured(one(command=["a"], args=["b"])))  # type: ignore[arg-type]
    assert (words["entrypoint"], words["command"]) == (["a"], ["b"])
