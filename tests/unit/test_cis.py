"""The rows of the CIS benchmark that what `labkit up` writes can show: files, flags, certificates, the policy."""

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.api.kinds import KINDS
from labkit.api.types import Pod
from labkit.components.kube_apiserver import authz, node_authorizer, settings
from labkit.components.kube_apiserver.authz import Attributes
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_controller_manager import main as controllers
from labkit.components.kube_scheduler import __main__ as scheduler
from labkit.components.kubelet import __main__ as kubelet
from labkit.provision.desired import Desired, desired
from labkit.provision.pki import Identity, Pki, identities
from labkit.provision.registry import credentials
from labkit.provision.render import TEMPLATES, Sources
from labkit.provision.service import File
from labkit.provision.wheels import Wheel
from tests import cis

UNITS, ETC, PKI = "/etc/systemd/system", "/etc/kubernetes", "/etc/kubernetes/pki"
CLUSTER = clusters.fresh("lab", "10.245.1.0/24")


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Desired]:
    """What the master and an agent are to be."""
    state = tmp_path_factory.mktemp("cis")
    pki = Pki(state / "pki")
    pki.ensure(CLUSTER)
    sources = Sources(CLUSTER, pki, credentials(state), Wheel("labkit-1-py3-none-any.whl", b"", {}))
    return {"master": desired(sources, CLUSTER.master), "agent": desired(sources, CLUSTER.agents[0])}


def files(machine: Desired) -> dict[str, File]:
    return {file.path: file for file in machine.all_files()}


def variables(machine: Desired, path: str) -> dict[str, str]:
    """Of an environment file, read as systemd does."""
    text = files(machine)[path].content.decode().replace("\\\n", "")
    lines = [line.partition("=") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: " ".join(shlex.split(value)) for name, _, value in lines}


def flags(machines: dict[str, Desired], name: str) -> dict[str, str]:
    """The flags that a component is started with."""
    machine = machines["agent" if name in ("kubelet", "kube-proxy") else "master"]
    words = variables(machine, f"{ETC}/{name}.env")["ARGS"].split()
    return {flag: value for flag, _, value in (word.partition("=") for word in words)}


class TestTheTable:
    def test_every_row_that_applies_has_a_test_and_no_other(self) -> None:
        met = {row.number for row in cis.table().values() if row.outcome == "here"}
        assert met == set(cis.tested())

    def test_the_whole_benchmark(self) -> None:
        """How many rows each section has."""
        sizes = {"1.1": 21, "1.2": 29, "1.3": 7, "1.4": 2, "2": 7, "3.1": 3, "3.2": 2, "4.1": 10, "4.2": 13, "4.3": 1,
                 "5.1": 13, "5.2": 13, "5.3": 2, "5.4": 2, "5.5": 1, "5.7": 4}  # fmt: skip
        numbers = {f"{section}.{number}" for section, size in sizes.items() for number in range(1, size + 1)}
        assert set(cis.table()) == numbers
        assert list(cis.sections()) == list(sizes)

    def test_the_page_is_current(self) -> None:
        assert cis.PAGE.read_text() == cis.page(), "python -m tests.cis writes it anew"


def configuration(name: str) -> list[str]:
    return [f"{UNITS}/{name}.service", f"{ETC}/{name}.env"]


@pytest.mark.parametrize(
    ("machine", "paths"),
    [
        pytest.param("master", configuration("kube-apiserver"), marks=pytest.mark.cis("1.1.1", "1.1.2")),
        pytest.param("master", configuration("kube-controller-manager"), marks=pytest.mark.cis("1.1.3", "1.1.4")),
        pytest.param("master", configuration("kube-scheduler"), marks=pytest.mark.cis("1.1.5", "1.1.6")),
        pytest.param("master", ["/etc/default/etcd"], marks=pytest.mark.cis("1.1.7", "1.1.8")),
        pytest.param(
            "master", [f"{ETC}/admin.kubeconfig", "/root/.kube/config"], marks=pytest.mark.cis("1.1.13", "1.1.14")
        ),
        pytest.param("master", [f"{ETC}/kube-scheduler.kubeconfig"], marks=pytest.mark.cis("1.1.15", "1.1.16")),
        pytest.param(
            "master", [f"{ETC}/kube-controller-manager.kubeconfig"], marks=pytest.mark.cis("1.1.17", "1.1.18")
        ),
        pytest.param("agent", configuration("kubelet"), marks=pytest.mark.cis("4.1.1", "4.1.2", "4.1.9", "4.1.10")),
        pytest.param("agent", [f"{ETC}/kube-proxy.kubeconfig"], marks=pytest.mark.cis("4.1.3", "4.1.4")),
        pytest.param("agent", [f"{ETC}/kubelet.kubeconfig"], marks=pytest.mark.cis("4.1.5", "4.1.6")),
        pytest.param("agent", [f"{PKI}/ca.crt"], marks=pytest.mark.cis("4.1.7", "4.1.8")),
    ],
)
def test_files(machines: dict[str, Desired], machine: str, paths: list[str]) -> None:
    found = files(machines[machine])
    assert {(found[path].mode, found[path].owner) for path in paths} == {(0o600, "root")}


@pytest.mark.cis("1.1.19", "1.1.20", "1.1.21")
@pytest.mark.parametrize("machine", ["master", "agent"])
def test_the_pki(machines: dict[str, Desired], machine: str) -> None:
    found = [file for file in files(machines[machine]).values() if file.path.startswith(PKI)]
    assert {Path(file.path).suffix for file in found} >= {".crt", ".key"}
    assert {(file.mode, file.owner) for file in found} == {(0o600, "root")}


def contains(*names: str) -> Callable[[str], bool]:
    return lambda value: set(names) <= set(value.split(","))


def lacks(name: str) -> Callable[[str], bool]:
    return lambda value: bool(value) and name not in value.split(",")


def at_least(number: int) -> Callable[[str], bool]:
    return lambda value: int(value) >= number


API, MANAGER = "kube-apiserver", "kube-controller-manager"


@pytest.mark.parametrize(
    ("component", "flag", "good"),
    [
        pytest.param(API, "--admission-control", contains("DenyServiceExternalIPs"), marks=pytest.mark.cis("1.2.3")),
        pytest.param(API, "--authorization-mode", lacks("AlwaysAllow"), marks=pytest.mark.cis("1.2.6")),
        pytest.param(API, "--authorization-mode", contains("Node"), marks=pytest.mark.cis("1.2.7")),
        pytest.param(API, "--admission-control", lacks("AlwaysAdmit"), marks=pytest.mark.cis("1.2.10")),
        pytest.param(API, "--admission-control", contains("ServiceAccount"), marks=pytest.mark.cis("1.2.12")),
        pytest.param(API, "--admission-control", contains("NamespaceLifecycle"), marks=pytest.mark.cis("1.2.13")),
        pytest.param(API, "--admission-control", contains("NodeRestriction"), marks=pytest.mark.cis("1.2.14")),
        pytest.param(API, "--audit-log-maxage", at_least(30), marks=pytest.mark.cis("1.2.17")),
        pytest.param(API, "--audit-log-maxbackup", at_least(10), marks=pytest.mark.cis("1.2.18")),
        pytest.param(API, "--audit-log-maxsize", at_least(100), marks=pytest.mark.cis("1.2.19")),
        pytest.param(MANAGER, "--terminated-pod-gc-threshold", at_least(1), marks=pytest.mark.cis("1.3.1")),
        pytest.param("kubelet", "--pod-max-pids", at_least(1), marks=pytest.mark.cis("4.2.13")),
    ],
)
def test_flags(machines: dict[str, Desired], component: str, flag: str, good: Callable[[str], bool]) -> None:
    assert good(flags(machines, component)[flag])


@pytest.mark.parametrize(
    ("component", "named"),
    [
        pytest.param(API, ["--kubelet-client-certificate", "--kubelet-client-key"], marks=pytest.mark.cis("1.2.4")),
        pytest.param(API, ["--kubelet-certificate-authority"], marks=pytest.mark.cis("1.2.5")),
        pytest.param(API, ["--service-account-key-file"], marks=pytest.mark.cis("1.2.22")),
        pytest.param(API, ["--etcd-certfile", "--etcd-keyfile"], marks=pytest.mark.cis("1.2.23")),
        pytest.param(API, ["--tls-cert-file", "--tls-private-key-file"], marks=pytest.mark.cis("1.2.24")),
        pytest.param(API, ["--client-ca-file"], marks=pytest.mark.cis("1.2.25")),
        pytest.param(API, ["--etcd-cafile"], marks=pytest.mark.cis("1.2.26")),
        pytest.param(MANAGER, ["--service-account-private-key-file"], marks=pytest.mark.cis("1.3.4")),
        pytest.param(MANAGER, ["--root-ca-file"], marks=pytest.mark.cis("1.3.5")),
        pytest.param("kubelet", ["--client-ca-file"], marks=pytest.mark.cis("4.2.3")),
        pytest.param("kubelet", ["--tls-cert-file", "--tls-private-key-file"], marks=pytest.mark.cis("4.2.9")),
    ],
)
def test_flags_that_name_a_file(machines: dict[str, Desired], component: str, named: list[str]) -> None:
    """That each of these files is there, and that a service is handed it, is tested in provision/test_desired.py."""
    given = flags(machines, component)
    for flag in named:
        assert given[flag].startswith((f"/run/credentials/{component}.service/", f"{PKI}/"))
        assert Path(given[flag]).suffix in (".crt", ".key", ".pub")


@pytest.mark.cis("1.2.2")
def test_no_file_of_tokens(machines: dict[str, Desired]) -> None:
    assert "--token-auth-file" not in flags(machines, API)


@pytest.mark.cis("1.2.16")
def test_the_audit_log(machines: dict[str, Desired]) -> None:
    assert flags(machines, API)["--audit-log-path"] == "/var/log/kube-apiserver/audit.log"
    unit = files(machines["master"])[f"{UNITS}/kube-apiserver.service"].content.decode()
    assert "LogsDirectory=kube-apiserver\nLogsDirectoryMode=0700\n" in unit


@pytest.mark.parametrize(
    ("name", "parser"),
    [
        (API, settings.parser()),
        (MANAGER, controllers.arguments()),
        ("kube-scheduler", scheduler.arguments()),
        pytest.param("kubelet", kubelet.arguments(), marks=pytest.mark.cis("4.2.4")),
    ],
)
def test_every_flag_is_one_that_the_component_knows(
    machines: dict[str, Desired], name: str, parser: argparse.ArgumentParser
) -> None:
    """And what would open what is closed is nothing that could be asked for."""
    known = {flag for action in parser._actions for flag in action.option_strings}
    assert set(flags(machines, name)) <= known
    assert "--read-only-port" not in flags(machines, name)
    assert parser.get_default("read_only_port") in (None, 0)
    assert not known & {"--profiling", "--anonymous-auth", "--insecure-port"}
    if name in (MANAGER, "kube-scheduler"):
        assert not known & {"--bind-address", "--address"}  # /healthz, on loopback


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("ETCD_CERT_FILE", "/etc/etcd/pki/server.crt", marks=pytest.mark.cis("2.1")),
        pytest.param("ETCD_KEY_FILE", "/etc/etcd/pki/server.key", marks=pytest.mark.cis("2.1")),
        pytest.param("ETCD_LISTEN_CLIENT_URLS", "https://127.0.0.1:2379", marks=pytest.mark.cis("2.1")),
        pytest.param("ETCD_CLIENT_CERT_AUTH", "true", marks=pytest.mark.cis("2.2")),
        pytest.param("ETCD_AUTO_TLS", None, marks=pytest.mark.cis("2.3")),
        pytest.param("ETCD_PEER_CERT_FILE", "/etc/etcd/pki/server.crt", marks=pytest.mark.cis("2.4")),
        pytest.param("ETCD_PEER_KEY_FILE", "/etc/etcd/pki/server.key", marks=pytest.mark.cis("2.4")),
        pytest.param("ETCD_PEER_CLIENT_CERT_AUTH", "true", marks=pytest.mark.cis("2.5")),
        pytest.param("ETCD_PEER_AUTO_TLS", None, marks=pytest.mark.cis("2.6")),
        pytest.param("ETCD_TRUSTED_CA_FILE", "/etc/etcd/pki/ca.crt", marks=pytest.mark.cis("2.7")),
    ],
)
def test_etcd(machines: dict[str, Desired], name: str, value: str | None) -> None:
    assert variables(machines["master"], "/etc/default/etcd").get(name) == value


@pytest.mark.cis("2.7")
def test_etcd_has_a_ca_of_its_own(machines: dict[str, Desired]) -> None:
    found = files(machines["master"])
    assert found["/etc/etcd/pki/ca.crt"].content == found[f"{PKI}/etcd/ca.crt"].content
    assert found["/etc/etcd/pki/ca.crt"].content != found[f"{PKI}/ca.crt"].content


@pytest.mark.cis("3.1.2")
@pytest.mark.parametrize("machine", ["master", "agent"])
def test_nobody_is_known_by_a_token(machines: dict[str, Desired], machine: str) -> None:
    found = [file for file in files(machines[machine]).values() if file.path.endswith((".kubeconfig", ".kube/config"))]
    assert found
    assert not [file.path for file in found if b"token" in file.content]
    assert all(b"client-certificate:" in file.content for file in found)


# -- the policy --------------------------------------------------------------------------------------------------------

RULES = authz.read_policy(TEMPLATES / "abac.jsonl")
USERS = [each for each in identities(CLUSTER) if each.ca == "ca" and each.client]
MANAGER_USER = "system:kube-controller-manager"
KUBELETS = [f"system:node:{machine.name}" for machine in CLUSTER.agents]


def may(user: Identity | User, verb: str, resource: str, pods: tuple[Pod, ...] = ()) -> bool:
    """As --authorization-mode=Node,ABAC decides; `pods`: all that are bound to the asking node."""
    asker = user if isinstance(user, User) else User(user.common_name, user.groups)
    wish = Attributes(asker, verb, "default", resource, "", "some-name")
    return authz.allowed(RULES, wish) or node_authorizer.allows(wish, lambda node, namespace, name: pods)


def who_may(verb: str, resource: str) -> set[str]:
    return {user.common_name for user in USERS if may(user, verb, resource)}


@pytest.mark.cis("5.1.1", "5.1.7")
def test_one_certificate_may_everything() -> None:
    assert [user.name for user in USERS if authz.MASTERS in user.groups] == ["admin"]
    assert not [rule for rule in RULES if not rule.user and not rule.group]


@pytest.mark.cis("5.1.2")
@pytest.mark.parametrize("what", ["get secrets", "get nodes/proxy", "update nodes", "create serviceaccounts/token"])
def test_a_component_of_somebodys_own_may_not(what: str) -> None:
    verb, resource = what.split()
    mine = User("labkit:own:mine", ("labkit:own",))
    assert not may(mine, verb, resource)
    assert may(mine, "create", "pods/binding")
    assert may(mine, "list", "nodes")


@pytest.mark.parametrize(
    ("verbs", "resource", "users"),
    [
        pytest.param(["get", "list", "watch"], "secrets", {"admin", MANAGER_USER}, marks=pytest.mark.cis("5.1.2")),
        pytest.param(["create"], "pods", {"admin", MANAGER_USER, *KUBELETS}, marks=pytest.mark.cis("5.1.4")),
        pytest.param(["create"], "persistentvolumes", {"admin"}, marks=pytest.mark.cis("5.1.9")),
        pytest.param(["create", "get", "update"], "nodes/proxy", {"admin"}, marks=pytest.mark.cis("5.1.10")),
        pytest.param(["create"], "serviceaccounts/token", {"admin"}, marks=pytest.mark.cis("5.1.13")),
    ],
)
def test_few_may(verbs: list[str], resource: str, users: set[str]) -> None:
    assert set().union(*(who_may(verb, resource) for verb in verbs)) == users


@pytest.mark.cis("5.1.3")
def test_no_wildcard() -> None:
    lines = [json.loads(line) for line in (TEMPLATES / "abac.jsonl").read_text().splitlines() if line[:1] == "{"]
    assert [line for line in lines if not line.get("resource")] == []


@pytest.mark.parametrize("resource", KINDS)
def test_every_kind_can_be_cleared_away(resource: str) -> None:
    """By the namespace controller and the garbage collector."""
    assert all(MANAGER_USER in who_may(verb, resource) for verb in ("list", "watch", "delete", "deletecollection"))


def test_the_token_of_a_service_account_may_do_nothing() -> None:
    """Why the rows that are not met about them (5.1.5, 5.1.6) cost little."""
    account = User("system:serviceaccount:default:default", ("system:serviceaccounts",))
    for resource in ("pods", "secrets", "services", "nodes", "events", "configmaps", "namespaces"):
        assert not [verb for verb in ("get", "list", "watch", "create", "delete") if may(account, verb, resource)]
