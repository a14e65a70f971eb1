"""What each machine should be: by its roles, with secrets readable by one user, and units that follow their inputs."""

import json
from pathlib import Path

import pytest

from labkit import cluster as clusters
from labkit.cluster import Cluster, Machine
from labkit.cluster_rules import PROXY_MODES
from labkit.components.kube_proxy.modes import MODES
from labkit.provision.desired import Desired, desired
from labkit.provision.pki import Pki
from labkit.provision.registry import credentials
from labkit.provision.render import TIMINGS, Sources
from labkit.provision.service import File
from labkit.provision.units import unit_names
from labkit.provision.wheels import Wheel

WHEEL = Wheel("labkit-1-py3-none-any.whl", b"", {})


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return clusters.fresh("lab", "10.245.1.0/24")


@pytest.fixture(scope="module")
def sources(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Sources:
    state = tmp_path_factory.mktemp("state")
    pki = Pki(state / "pki")
    pki.ensure(cluster)
    return Sources(cluster, pki, credentials(state), WHEEL)


def file(wanted: Desired, path: str) -> File:
    return next(each for each in wanted.all_files() if each.path == path)


def text(wanted: Desired, path: str) -> str:
    return file(wanted, path).content.decode()


def credentials_of(wanted: Desired, name: str) -> dict[str, str]:
    """What systemd hands to a service, where the service finds it: its path -> that of the file it is made from."""
    path = f"/etc/systemd/system/{name}.service"
    unit = text(wanted, path) if path in {each.path for each in wanted.all_files()} else ""
    lines = [line.partition("=")[2].split(":") for line in unit.splitlines() if line.startswith("LoadCredential=")]
    return {f"/run/credentials/{name}.service/{credential}": source for credential, source in lines}


def both() -> Machine:
    return Machine(name="one", roles=["master", "agent"], address="10.245.1.11", pod_subnet=1)


def test_services_follow_from_roles(sources: Sources, cluster: Cluster) -> None:
    for machine in cluster.machines:
        assert sorted(desired(sources, machine).unit_names()) == sorted(unit_names(machine))
    assert unit_names(cluster.agents[0]) == ["kube-proxy", "kubelet"]
    assert set(unit_names(both())) == set(unit_names(cluster.master)) | {"kubelet"}


def test_a_secret_is_its_services_alone(sources: Sources, cluster: Cluster) -> None:
    for machine in cluster.machines:
        for each in desired(sources, machine).all_files():
            if b"PRIVATE KEY" in each.content or each.path.endswith((".kubeconfig", "htpasswd", "registry-push.json")):
                assert each.mode == 0o600, each.path


def test_no_machine_holds_a_key_of_an_authority_or_of_another_machine(sources: Sources, cluster: Cluster) -> None:
    keys = {path.stem: path.read_bytes() for path in sources.pki.directory.glob("*.key")}
    for machine in cluster.machines:
        held = {
            name for name, key in keys.items() for each in desired(sources, machine).all_files() if each.content == key
        }
        assert not held & {"ca", "etcd-ca"}
        others = [other.name for other in cluster.machines if other is not machine]
        assert not [name for name in held if name.startswith(tuple(f"{other}-" for other in others))]
        if not machine.is_master:
            assert held == {f"{machine.name}-kubelet", f"{machine.name}-kubelet-serving", f"{machine.name}-kube-proxy"}


def test_kube_apiserver_has_the_flags_of_its_cluster(sources: Sources, cluster: Cluster) -> None:
    flags = text(desired(sources, cluster.master), "/etc/kubernetes/kube-apiserver.env")
    for flag in (
        "--advertise-address=10.245.1.11",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--etcd-servers=https://127.0.0.1:2379",
        "--client-ca-file=/run/credentials/kube-apiserver.service/ca.crt",
        "--authorization-mode=Node,ABAC",
        "--admission-control=NamespaceLifecycle,NamespaceExists,LimitRanger,ServiceAccount,NodeRestriction,"
        "DenyServiceExternalIPs,ResourceQuota",
    ):
        assert flag in flags


def test_tokens_are_signed_on_the_master_alone(sources: Sources, cluster: Cluster) -> None:
    master = desired(sources, cluster.master)
    services = {each.name: [file.path for file in each.files] for each in master.services}
    key, public = "/etc/kubernetes/pki/service-accounts.key", "/etc/kubernetes/pki/service-accounts.pub"
    assert key in services["kube-controller-manager"]
    assert {key, public} <= set(services["kube-apiserver"])
    assert (file(master, key).mode, file(master, key).owner) == (0o600, "root")
    assert b"BEGIN PUBLIC KEY" in file(master, public).content
    signs, knows = (
        text(master, f"/etc/kubernetes/{name}.env") for name in ("kube-controller-manager", "kube-apiserver")
    )
    handed = "/run/credentials/kube-controller-manager.service/service-accounts.key"
    assert f"--service-account-private-key-file={handed} " in signs
    handed = "/run/credentials/kube-apiserver.service/service-accounts"
    assert f"--service-account-key-file={handed}.pub " in knows
    assert f"--service-account-signing-key-file={handed}.key " in knows
    assert "--service-account-issuer=https://kubernetes.default.svc.cluster.local " in knows
    assert not [
        each.path for each in desired(sources, cluster.agents[0]).all_files() if "service-accounts" in each.path
    ]


def test_the_audit_log_is_where_its_unit_may_write(sources: Sources, cluster: Cluster) -> None:
    master = desired(sources, cluster.master)
    flags, unit = (text(master, path) for path in (
        "/etc/kubernetes/kube-apiserver.env", "/etc/systemd/system/kube-apiserver.service",
    ))  # fmt: skip
    assert "--audit-log-path=/var/log/kube-apiserver/audit.log " in flags
    assert "LogsDirectory=kube-apiserver\nLogsDirectoryMode=0700\n" in unit
    assert "LogsDirectory" not in text(master, "/etc/systemd/system/kube-dns.service")


def test_no_line_of_the_policy_speaks_of_kubelets(sources: Sources, cluster: Cluster) -> None:
    """The Node authorizer bounds them; a line for their group would open what it closes."""
    lines = text(desired(sources, cluster.master), "/etc/kubernetes/abac.jsonl").splitlines()
    rules = [json.loads(line) for line in lines if not line.startswith("#")]
    assert all(rule.get("user") or rule.get("group") for rule in rules)
    assert "system:nodes" not in {rule.get("group") for rule in rules}


def test_every_file_that_a_flag_names_is_there(sources: Sources, cluster: Cluster) -> None:
    for machine in cluster.machines:
        wanted = desired(sources, machine)
        paths = {each.path for each in wanted.all_files()}
        handed = {copy for each in wanted.services for copy in credentials_of(wanted, each.name)}
        for path in [each for each in paths if each.endswith((".env", ".kubeconfig", ".yml"))]:
            words = text(wanted, path).replace('"', " ").replace("=", " ").split()
            named = {
                word
                for word in words
                if word.startswith(("/etc/", "/run/"))
                and Path(word).suffix in (".crt", ".key", ".pub", ".kubeconfig", ".jsonl")
            }
            assert named <= paths | handed, path


@pytest.mark.parametrize("timing", sorted(TIMINGS))
def test_the_timing_profile_sets_heartbeat_grace_and_eviction(timing: str, sources: Sources, cluster: Cluster) -> None:
    values = TIMINGS[timing]
    cluster.timing = timing
    try:
        kubelet = text(desired(sources, cluster.agents[0]), "/etc/kubernetes/kubelet.env")
        manager = text(desired(sources, cluster.master), "/etc/kubernetes/kube-controller-manager.env")
    finally:
        cluster.timing = "classroom"
    assert f"--node-status-update-frequency={values['node_status_update_frequency']}" in kubelet
    assert f"--node-monitor-grace-period={values['node_monitor_grace_period']}" in manager
    assert f"--pod-eviction-timeout={values['pod_eviction_timeout']}" in manager


def test_only_the_historic_profile_opens_the_read_only_port(sources: Sources, cluster: Cluster) -> None:
    """And nothing else: the flags of all components are otherwise those of the classroom."""

    def environments() -> dict[str, str]:
        wanted = [desired(sources, cluster.master), desired(sources, cluster.agents[0])]
        return {f.path: f.content.decode() for each in wanted for f in each.all_files() if f.path.endswith(".env")}

    closed = environments()
    cluster.profile = "historic"
    try:
        opened = environments()
    finally:
        cluster.profile = "classroom"
    kubelet = "/etc/kubernetes/kubelet.env"
    assert "--read-only-port" not in "".join(closed.values())
    assert "--read-only-port=10255" in opened[kubelet].split('"')[1].split()
    assert {path for path in closed if opened[path] != closed[path]} == {kubelet}


@pytest.mark.parametrize(("mirror", "told"), [("", "none"), ("http://host.lab:5001", "http://host.lab:5001")])
def test_kubelets_know_the_mirror(mirror: str, told: str, sources: Sources, cluster: Cluster) -> None:
    cluster.registry.mirror = mirror
    try:
        kubelet = text(desired(sources, cluster.agents[0]), "/etc/kubernetes/kubelet.env")
    finally:
        cluster.registry.mirror = ""
    assert f"--registry-mirror={told}" in kubelet.split('"')[1].split()


def test_who_is_not_root_is_handed_copies_of_its_own_files_and_no_other(sources: Sources, cluster: Cluster) -> None:
    master = desired(sources, cluster.master)
    for each in master.services:
        handed = credentials_of(master, each.name)
        assert bool(handed) == (each.user == "kube")
        own = {file.path for file in each.files if not file.path.endswith((".env", ".service"))}
        assert not handed or set(handed.values()) == own
    kubeconfig = text(master, "/etc/kubernetes/kube-scheduler.kubeconfig")
    assert "client-key: /run/credentials/kube-scheduler.service/kube-scheduler.key" in kubeconfig
    assert "client-key: /etc/kubernetes/pki/admin.key" in text(master, "/root/.kube/config")


def test_only_kube_dns_may_open_a_low_port_and_only_node_components_are_root(
    sources: Sources, cluster: Cluster
) -> None:
    master, agent = desired(sources, cluster.master), desired(sources, cluster.agents[0])
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in text(master, "/etc/systemd/system/kube-dns.service")
    for name in ("kube-apiserver", "kube-scheduler", "kube-controller-manager"):
        unit = text(master, f"/etc/systemd/system/{name}.service")
        assert "User=kube\n" in unit
        assert "AmbientCapabilities=\n" in unit
    for name in ("kubelet", "kube-proxy"):
        assert "User=" not in text(agent, f"/etc/systemd/system/{name}.service")


@pytest.mark.parametrize("mode", MODES)
def test_the_proxy_mode_goes_into_every_machine_s_unit(mode: str, sources: Sources, cluster: Cluster) -> None:
    assert PROXY_MODES == MODES, "the host's list is kube-proxy's"
    cluster.proxy_mode = mode
    for machine in cluster.machines:
        assert f" --proxy-mode={mode} " in text(desired(sources, machine), "/etc/kubernetes/kube-proxy.env")


def test_the_kubelet_has_no_mount_namespace_of_its_own(sources: Sources, cluster: Cluster) -> None:
    """What it mounts for a pod must be seen by docker."""
    unit = text(desired(sources, cluster.agents[0]), "/etc/systemd/system/kubelet.service")
    assert not [word for word in ("ProtectHome", "ProtectSystem", "PrivateTmp") if word in unit]


def test_the_registrys_open_door_is_read_only_and_the_other_wants_a_password(
    sources: Sources, cluster: Cluster
) -> None:
    master = desired(sources, cluster.master)
    lab, push = text(master, "/etc/docker/registry/config.yml"), text(master, "/etc/docker/registry/push.yml")
    assert "addr: 10.245.1.11:5000" in lab
    assert "enabled: true" in lab.partition("readonly")[2]
    assert "htpasswd" not in lab
    assert "addr: 127.0.0.1:5001" in push
    assert "htpasswd" in push
    assert "readonly" not in push


def test_agents_trust_the_registry_under_the_name_that_they_pull_from(sources: Sources, cluster: Cluster) -> None:
    agent = desired(sources, cluster.agents[0])
    assert file(agent, "/etc/docker/certs.d/10.245.1.11:5000/ca.crt").content == sources.pki.certificate("ca")


def test_a_service_changes_with_its_own_files_only(sources: Sources, cluster: Cluster) -> None:
    def digests() -> dict[str, str]:
        return {each.name: each.digest() for each in desired(sources, cluster.master).services}

    before = digests()
    (sources.pki.directory / "kube-dns.crt").write_bytes(b"another")
    changed = {name for name, digest in digests().items() if digest != before[name]}
    sources.pki.ensure(cluster)
    assert changed == {"kube-dns"}
