"""`labkit snapshot`: back to before the lab.

    virtual machines    Vagrant's own snapshots: disks and memory, everything as it was
    containers, ssh     what the cluster is made of: etcd's data. Everything else follows from it, since components are
                        level-triggered: started anew, they find what should be and make it so
    both                the learner's progress and components of somebody's own

STATE/snapshots/NAME/ has about.json, etcd.tar.gz, progress.json, own/. Not in it, where machines are containers: what
was changed by hand on a machine, the content of emptyDirs of pods that have ended since, of hostPaths and volumes.
Pods that are in the snapshot and still run, run through.
"""

import base64
import io
import re
import shutil
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from labkit import __version__
from labkit.cluster import Cluster, ClusterError, write_private
from labkit.provision import own, push
from labkit.provision.errors import CommandFailed
from labkit.provision.provider import machines
from labkit.provision.report import HOST, Report
from labkit.provision.ssh import Ssh
from labkit.provision.up import Outcome, up

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
OF_VAGRANT = ("libvirt", "virtualbox", "parallels", "vmware_desktop", "hyperv")
DATA = "/var/lib/etcd"
SAVE = f"""set -e
trap 'systemctl start etcd kube-apiserver' EXIT
systemctl stop kube-apiserver etcd
tar -C {DATA} -czf - default | base64 -w0
"""
"""etcd stands still while it is copied, for two or three seconds; the components wait for it as for any restart."""
RESTORE = f"""set -e
rm -rf {DATA}/labkit-new; mkdir -m 700 {DATA}/labkit-new
tar -C {DATA}/labkit-new --numeric-owner -xzpf -
test -d {DATA}/labkit-new/default/member
systemctl stop kube-apiserver etcd
rm -rf {DATA}/labkit-before; mv {DATA}/default {DATA}/labkit-before; mv {DATA}/labkit-new/default {DATA}/default
if systemctl start etcd kube-apiserver; then rm -rf {DATA}/labkit-new {DATA}/labkit-before; exit 0; fi
systemctl stop kube-apiserver etcd
rm -rf {DATA}/default {DATA}/labkit-new; mv {DATA}/labkit-before {DATA}/default
systemctl start etcd kube-apiserver; echo 'the snapshot does not start; what was before runs again'; exit 1
"""


class About(msgspec.Struct, rename="camel"):
    """about.json. time: seconds of the epoch; machines: those that the cluster had; whole: Vagrant has the disks."""

    time: float
    version: str
    provider: str
    machines: list[str]
    whole: bool = False


def folder(cluster: Cluster, name: str = "") -> Path:
    return cluster.state / "snapshots" / name


def listed(cluster: Cluster) -> dict[str, About]:
    """Oldest first. One that was cut off while it was saved is none."""
    found = {path.parent.name: path for path in folder(cluster).glob("*/about.json")}
    abouts = {name: msgspec.json.decode(path.read_bytes(), type=About) for name, path in found.items()}
    return dict(sorted(abouts.items(), key=lambda item: item[1].time))


def about(cluster: Cluster, name: str) -> About:
    """Raises ClusterError with the names that there are."""
    known = listed(cluster)
    if name not in known:
        raise ClusterError(
            folder(cluster), [f"no snapshot {name!r}; expected one of {', '.join(known) or '(none yet)'}"]
        )
    return known[name]


def check_name(cluster: Cluster, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ClusterError(folder(cluster), [f"{name!r}: expected small letters, digits and -, up to 40 of them"])


def save(cluster: Cluster, name: str, report: Report) -> None:
    """Of a cluster that runs; an older one of that name is replaced when the new one is whole. Raises CommandFailed."""
    check_name(cluster, name)
    made = folder(cluster, f".{name}")
    shutil.rmtree(made, ignore_errors=True)
    whole = cluster.provider in OF_VAGRANT
    if whole:
        report.step(HOST, "save the machines")
        machines(cluster).snapshot("save", name, lambda line: report.detail(HOST, line))
    else:
        report.step(HOST, "save the state of etcd")
        write_private(made / "etcd.tar.gz", _etcd(cluster))
    _copy(cluster.state / "progress.json", made / "progress.json")
    _copy(cluster.state / "own", made / "own")
    names = [machine.name for machine in cluster.machines]
    write_private(
        made / "about.json", msgspec.json.encode(About(time.time(), __version__, cluster.provider, names, whole))
    )
    shutil.rmtree(folder(cluster, name), ignore_errors=True)
    made.rename(folder(cluster, name))
    report.done(HOST)


def restore(cluster: Cluster, name: str, report: Report) -> Outcome:
    """Raises ClusterError, CommandFailed. Machines that came later stay, those that are gone are not made again."""
    found, source = about(cluster, name), folder(cluster, name)
    if found.provider != cluster.provider:
        raise ClusterError(
            source, [f"was saved with the provider {found.provider}, the cluster has {cluster.provider}"]
        )
    if found.whole:
        report.step(HOST, "restore the machines")
        machines(cluster).snapshot("restore", name, lambda line: report.detail(HOST, line))
    else:
        for extra in set(own.names(cluster)) - {path.stem for path in (source / "own").glob("*.py")}:
            push.remove(cluster, extra)
        report.step(HOST, "restore the state of etcd")
        content = (source / "etcd.tar.gz").read_bytes()
        with Ssh(cluster, cluster.master) as ssh:
            ssh.run(RESTORE, timeout=120, input=content, what="restore the state of etcd")
        report.step(HOST, "start the components anew")
        with ThreadPoolExecutor(len(cluster.machines)) as pool:
            list(pool.map(lambda machine: _restart(cluster, machine.name), cluster.machines))
    for kept in ("progress.json", "own"):
        _remove(cluster.state / kept)
        _copy(source / kept, cluster.state / kept)
    return up(cluster, report)


def delete(cluster: Cluster, name: str) -> None:
    if about(cluster, name).whole:
        machines(cluster).snapshot("delete", name)
    shutil.rmtree(folder(cluster, name))


def _etcd(cluster: Cluster) -> bytes:
    """etcd's data, as a tar that was read once: what cannot be unpacked is no snapshot."""
    with Ssh(cluster, cluster.master) as ssh:
        printed = ssh.run(SAVE, timeout=120, what="save the state of etcd").out
    content = base64.b64decode(printed)
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            whole = any(entry.name.startswith("default/member/snap/db") for entry in archive)
    except tarfile.TarError:
        whole = False
    if not whole:
        raise CommandFailed(
            cluster.master.name, "save the state of etcd", tail="the copy is not whole: disk full there?"
        )
    return content


def _restart(cluster: Cluster, name: str) -> None:
    """All that remembers what it has seen: revisions go back, which no watch expects."""
    machine = cluster.machine(name)
    units = [unit for unit in own.services(cluster, machine) if unit.startswith("kube") and unit != "kube-apiserver"]
    units += own.names(cluster) if machine.is_master else []
    with Ssh(cluster, machine) as ssh:
        ssh.run(f"systemctl restart {' '.join(units)}", timeout=90, what="start the components anew")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        write_private(target, source.read_bytes())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
