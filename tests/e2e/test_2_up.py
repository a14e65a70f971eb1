"""`labkit up` of one machine that is master and agent in one, from another Python than the machine's if there is one.

The host runs 3.12 or 3.13, the machine Debian 12's 3.11: what is fetched and built must fit the machine, not the host.
It runs beside the layer's own cluster: two clusters on one host.
"""

import http.client
import ipaddress
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from labkit.provision.venv import STAMPS, VENV
from tests.e2e.conftest import Lab, docker

CLUSTER = "e2epy"
REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(900)


def other_python() -> str | None:
    """A python of another version than the machines' 3.11, with venv."""
    places = [*os.environ.get("PATH", "").split(":"), *map(str, Path.home().glob(".pyenv/versions/3.1[23]*/bin"))]
    for name in ("python3.12", "python3.13"):
        for path in filter(None, (shutil.which(name, path=place) for place in places)):
            if (
                subprocess.run(
                    [path, "-c", "import ensurepip"], capture_output=True, timeout=20, check=False
                ).returncode
                == 0
            ):
                return path
    return None


def python_of_labkit(folder: Path) -> str:
    """A Python that has labkit: another version's in a new venv, or ours."""
    python = other_python()
    if python is None:
        return sys.executable
    subprocess.run([python, "-m", "venv", folder], check=True, timeout=120)
    pip = [folder / "bin/pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, "--editable", str(REPOSITORY)], check=True, timeout=300)
    return str(folder / "bin/python")


@dataclass
class Host:
    """A learner's host with the cluster of one machine.

    interrupted: what the first `labkit up` said, that somebody ended with Ctrl-C; printed: what the second said.
    """

    python: str
    env: dict[str, str]
    interrupted: str = ""
    printed: str = ""

    def labkit(self, *words: str, within: float = 120, rc: int = 0) -> str:
        done = subprocess.run(
            [self.python, "-m", "labkit.cli", *words], env=self.env, text=True, timeout=within, cwd=REPOSITORY,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == rc, f"labkit {' '.join(words)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def interrupted_after(self, step: str) -> str:
        """What `labkit up` said when it got Ctrl-C a moment after that step was done."""
        said, command = "", [self.python, "-u", "-m", "labkit.cli", "up"]
        with subprocess.Popen(
            command, env=self.env, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            for line in process.stdout or ():
                said += line
                if step in line:
                    time.sleep(0.5)
                    process.send_signal(signal.SIGINT)
                    step = "nothing more"
        assert process.returncode == 130, said
        return said

    def on(self, script: str) -> str:
        return self.labkit("ssh", "master", script).strip()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> Iterator[Host]:
    """A second cluster of the same learner's, and a wheel cache that holds nothing yet; the layer's image."""
    wheels = tmp_path_factory.mktemp("wheels") / "cache"
    env = lab.env | {"LABKIT_CLUSTER": CLUSTER, "LABKIT_WHEELS": str(wheels)}
    host = Host(python_of_labkit(tmp_path_factory.mktemp("host") / "venv"), env)
    host.labkit("init", "--agents", "0", "--machines", "10.245.41.0/24")
    path = lab.home / CLUSTER / "cluster.json"
    cluster = json.loads(path.read_text())
    cluster["machines"][0]["roles"] = ["master", "agent"]
    path.write_text(json.dumps(cluster))
    try:
        host.interrupted = host.interrupted_after("files")
        host.on(f"rm -rf {VENV} {STAMPS}/lock")  # as on a machine whose image or box came without the dependencies
        host.printed = host.labkit("up", within=700)
        yield host
    finally:
        host.labkit("destroy", "--yes")
    assert not docker("ps", "-aq", "--filter", f"label=labkit.cluster={CLUSTER}")


def test_wheels_fit_the_machines_python_whatever_the_hosts(host: Host) -> None:
    asked = [host.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    own = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    if own == "3.11":
        pytest.skip("needs python3.12 or python3.13 with venv: a host that is newer than its machines")
    assert "for Python 3.11" in host.printed
    names = [path.name for path in Path(host.env["LABKIT_WHEELS"]).rglob("*.whl")]
    assert any(re.match(r"etcd3-.*-none-any\.whl", name) for name in names)
    assert not [name for name in names if f"cp{own.replace('.', '')}-" in name]
    assert (
        host.on("/opt/labkit/venv/bin/python -c 'import sys, grpc, aiohttp, uvloop; print(sys.version_info[:2])'")
        == "(3, 11)"
    )


def test_the_one_machine_is_a_ready_node(host: Host) -> None:
    assert "nodes Ready: master" in host.printed
    assert " Ready " in host.on("kubectl get nodes --no-headers")


def test_two_clusters_side_by_side_are_apart(host: Host, lab: Lab) -> None:
    """Networks, ports, keys and certificates: nothing of one opens the other, and no packet crosses."""
    if "all is well" not in lab.labkit("status", rc=None):  # this file alone
        lab.labkit("up", within=700)
    host.labkit("status")
    here, there = lab.home / CLUSTER, lab.home / lab.env["LABKIT_CLUSTER"]
    ports = [json.loads((home / "ports.json").read_text()) for home in (here, there)]
    assert not {*ports[0]["ssh"].values(), ports[0]["apiserver"]} & {*ports[1]["ssh"].values(), ports[1]["apiserver"]}
    ranges = [json.loads((home / "cluster.json").read_text())["networks"]["machines"] for home in (here, there)]
    assert ranges[0] != ranges[1]
    for home, own, others in ((here, *ports), (there, *reversed(ports))):
        assert asked_as_admin(home, own["apiserver"]) == "200"
        assert asked_as_admin(home, others["apiserver"]) == "CERTIFICATE_VERIFY_FAILED"
        assert asked_as_admin(home, others["apiserver"], trusting=True) != "200"
        assert ssh_opens(home, own["ssh"]["master"])
        assert not ssh_opens(home, others["ssh"]["master"])
    address = ipaddress.ip_network(ranges[1])[11]
    assert host.on(f"ping -c 1 -W 1 {address} >/dev/null 2>&1 && echo reached || echo lost") == "lost"
    assert lab.on("master", "ping -c 1 -W 1 10.245.41.11 >/dev/null 2>&1 && echo reached || echo lost") == "lost"


def asked_as_admin(home: Path, port: int, trusting: bool = False) -> str:
    """The answer's status, or the reason why TLS ends before there is one, to an admin with that cluster's certificate.

    trusting: whatever the server's certificate is."""
    context = ssl.create_default_context(cafile=home / "pki" / "ca.crt")
    context.load_cert_chain(home / "pki" / "admin.crt", home / "pki" / "admin.key")
    if trusting:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    try:
        connection.request("GET", "/api/v1/nodes")
        return str(connection.getresponse().status)
    except ssl.SSLError as exc:
        return exc.reason or str(exc)
    except (OSError, http.client.HTTPException) as exc:
        return repr(exc)
    finally:
        connection.close()


def ssh_opens(home: Path, port: int) -> bool:
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        try:
            client.connect("127.0.0.1", port, "vagrant", key_filename=str(home / "ssh" / "id_ed25519"), timeout=20,
                           banner_timeout=20, auth_timeout=20, allow_agent=False, look_for_keys=False)  # fmt: skip
        except paramiko.AuthenticationException:
            return False
    return True


def test_a_second_up_finds_nothing_to_do(host: Host) -> None:
    started = host.on("systemctl show -p ExecMainStartTimestampMonotonic kube-apiserver kubelet etcd docker")
    assert "nothing to do" in host.labkit("up")
    assert host.on("systemctl show -p ExecMainStartTimestampMonotonic kube-apiserver kubelet etcd docker") == started


def test_what_was_damaged_is_repaired_and_only_that(host: Host) -> None:
    host.on("kubectl delete service kube-dns --namespace kube-system")
    host.on("echo 'ARGS=--port=1' > /etc/kubernetes/kube-scheduler.env; systemctl stop kube-dns")
    etcd = host.on("systemctl show -p MainPID etcd kube-apiserver")
    printed = host.labkit("up")
    assert "service kube-dns" in printed
    assert re.search(r"start kube-scheduler, kube-dns\n", printed)
    assert host.on("systemctl show -p MainPID etcd kube-apiserver") == etcd
    host.labkit("status")


def test_the_first_run_was_interrupted_and_the_second_went_on_from_there(host: Host) -> None:
    assert "`labkit up` goes on from here" in host.interrupted
    assert re.search(r"write [0-9]+ files\n", host.interrupted)
    assert "Ready" not in host.interrupted
    assert not re.search(r"write [0-9]+ files\n", host.printed)


def test_a_service_that_cannot_start_fails_with_its_last_lines(host: Host) -> None:
    host.on(
        "mv /opt/labkit/venv/lib/python3.11/site-packages/labkit/components/kube_scheduler/__main__.py /root/kept.py"
    )
    try:
        printed = host.labkit("push", "kube-scheduler", rc=3, within=200)
    finally:
        host.on("echo older > /opt/labkit/stamps/labkit")
        host.labkit("up", within=200)
    assert "master: start kube-scheduler failed" in printed
    assert "No module named labkit.components.kube_scheduler.__main__" in printed


def test_a_scheduler_of_ones_own_runs_beside_the_other(host: Host, tmp_path: Path) -> None:
    example = (Path(__file__).resolve().parents[2] / "examples" / "my_scheduler.py").read_text()
    file = tmp_path / "my_scheduler.py"
    file.write_text(example.replace("async def run(", "print('here I am')\n\n\nasync def run("))
    assert "my-scheduler restarted on master" in host.labkit("push", str(file))
    assert "here I am" in host.labkit("logs", "my-scheduler")
    assert "my-scheduler" in host.labkit("status")
    overrides = json.dumps({"spec": {"schedulerName": "my-scheduler"}})
    host.on(f"kubectl run mine --image=busybox --restart=Never --overrides={shlex.quote(overrides)} -- true")
    until = "timeout 60 sh -c 'until {}; do sleep 0.5; done'"
    host.on(until.format("kubectl get pod mine -o jsonpath={.status.phase} | grep -q Succeeded"))
    host.on("kubectl delete pod mine --grace-period=0")
    file.write_text("async def run(client):\n    raise RuntimeError('too early')\n")
    host.labkit("push", str(file))
    host.on(until.format('journalctl -u my-scheduler | grep -q "RuntimeError: too early"'))
    assert "my-scheduler removed from master" in host.labkit("push", "--remove", "my-scheduler")
    assert "my-scheduler" not in host.labkit("status")
    assert host.on("ls /etc/kubernetes /etc/kubernetes/own /etc/kubernetes/pki").count("my-scheduler") == 0


def test_pods_images_come_from_the_registry_under_their_own_names(host: Host) -> None:
    host.on("docker pull --quiet redis && docker pull --quiet busybox:latest")
    started = time.monotonic()
    assert "refused" not in host.on("docker pull --quiet nosuchimage 2>&1 || true")
    assert time.monotonic() - started < 10


def test_the_registry_is_read_only_for_the_lab_and_wants_a_password_for_pushes(host: Host) -> None:
    curl = "curl -s -o /dev/null -w '%{http_code} ' --cacert /etc/kubernetes/pki/ca.crt"
    open_door, push_door = "https://10.245.41.11:5000/v2", "https://127.0.0.1:5001/v2"
    uploads = [
        f"{curl} -X {method} {open_door}/library/redis/blobs/uploads/" for method in ("POST", "PUT", "PATCH", "DELETE")
    ]
    asked = [f"{curl} {open_door}/library/redis/manifests/latest", *uploads]
    asked += [f"{curl} {push_door}/", f"{curl} -u labkit:guess {push_door}/"]
    assert host.on("; ".join(asked)).split() == ["200", "405", "405", "405", "405", "401", "401"]
    assert host.on("stat -c '%a %U' /etc/labkit/registry-push.json") == "600 root"


def test_logs_are_the_services_own_lines(host: Host) -> None:
    lines = [line for line in host.labkit("logs", "kubelet", "-n", "50").splitlines() if line.startswith("{")]
    assert {json.loads(line)["component"] for line in lines} == {"kubelet"}


def test_keys_and_secrets_are_closed_on_the_machine(host: Host) -> None:
    names = " -o ".join(
        [
            "-name '*.key'",
            "-name '*.kubeconfig'",
            "-name htpasswd",
            "-name registry-push.json",
            "-path /root/.kube/config",
        ]
    )
    find = f"find /etc/kubernetes /etc/etcd /etc/docker /etc/labkit /root/.kube \\( {names} \\)"
    assert len(host.on(find).splitlines()) > 10
    assert host.on(f"{find} -perm /077") == ""
