"""Hosts that somebody already has, as containers: Debian, systemd and sshd, settings of their own, nothing of labkit's.

    master    no docker at all
    agent1    docker runs there, with a daemon.json of its own and no containers
    agent2    no docker; apt brings it

What `up` has to install comes from a mirror that each host carries, since they have no way out.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from labkit.provision import image

HERE = Path(__file__).parent
FIRST = 11
ALWAYS = ("etcd-server", "docker-registry", "skopeo", "conntrack", "jq")
"""What no host has: `up` brings what its role needs."""
DOCKER = ("docker.io", "containerd", "runc")
ALSO = ("glusterfs-server", "glusterfs-client", "nfs-common")
"""What they lack and nobody needs."""
PERL = ("perl", "perl-modules-5.36", "libperl5.36", "adduser", "debconf")
CAPABILITIES = """AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID
SETPCAP SETUID SYS_CHROOT SYS_ADMIN NET_ADMIN SYS_PTRACE"""
"""What a container that runs systemd and docker needs, as in the Vagrantfile."""


@dataclass(frozen=True)
class Place:
    """What docker and the kernel call it, so that two schools may be on one computer. bridge: 15 letters at most."""

    name: str = "labkit-test-ssh"
    range: str = "172.31.77.0/24"
    bridge: str = "br-labkit-ssh"

    @property
    def fence(self) -> tuple[str, ...]:
        """No packet of theirs leaves this computer. (docker's own --internal would drop those of pods, too.)"""
        return ("DOCKER-USER", "-i", self.bridge, "!", "-o", self.bridge, "-j", "DROP")


PLACE = Place()


@dataclass
class School:
    """Three hosts on one network, and the key that opens them."""

    key: Path
    hosts: tuple[str, ...] = ("master", "agent1", "agent2")
    place: Place = PLACE

    def address(self, name: str) -> str:
        return self.place.range.replace("0/24", str(FIRST + self.hosts.index(name)))

    def sh(self, name: str, command: str, timeout: float = 120, check: bool = True) -> str:
        """As root on the host, past labkit."""
        done = subprocess.run(
            ["docker", "exec", "-i", f"{self.place.name}-{name}", "bash", "-c", command],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def inventory(self, path: Path, **changed: dict[str, object]) -> Path:
        entries: dict[str, dict[str, object]] = {}
        for name in self.hosts:
            host_key = " ".join(self.sh(name, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
            roles = ["master" if name == "master" else "agent"]
            entries[name] = {"address": self.address(name), "roles": roles, "user": "teacher",
                             "identityFile": str(self.key), "hostKey": host_key}  # fmt: skip
            entries[name] |= changed.get(name, {})
        path.write_text(json.dumps(entries, indent=2))
        return path


def build(folder: Path, hosts: tuple[str, ...] = School.hosts, place: Place = PLACE) -> School:
    """The images, the network, the hosts, booted."""
    bridge = place.bridge
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=20)
    image.ensure_image(lambda line: None)
    base = image.tags().base
    for variant, purged in {"bare": (*ALWAYS, *ALSO, *DOCKER), "docker": (*ALWAYS, *ALSO)}.items():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            recipe = Path(scratch) / "host"
            shutil.copytree(HERE / "host", recipe)
            shutil.copy(f"{key}.pub", recipe / "key.pub")
            (recipe / "purge.txt").write_text("\n".join(purged))
            for target, packages in {"debs": purged, "perl": PERL}.items():
                (recipe / target).mkdir()
                for package in packages:
                    for deb in (image.cache_dir() / "debs").glob(f"{package}_*.deb"):
                        shutil.copy(deb, recipe / target)
            docker("build", "--quiet", "--network", "none", "--build-arg", f"BASE={base}",
                   "--tag", f"{place.name}:{variant}", str(recipe), timeout=600)  # fmt: skip
    docker("network", "create", "--subnet", place.range, "--opt", f"com.docker.network.bridge.name={bridge}",
           "--opt", "com.docker.network.bridge.enable_ip_masquerade=false", place.name)  # fmt: skip
    subprocess.run(["iptables", "-w", "-I", *place.fence], check=True, timeout=20)
    school = School(key, hosts, place)
    for name in school.hosts:
        variant = "docker" if name == "agent1" else "bare"
        docker(
            "run", "--detach", "--name", f"{place.name}-{name}", "--hostname", name, "--network", place.name,
            "--ip", school.address(name), "--memory", "1536m", "--cap-drop", "ALL",
            *(word for capability in CAPABILITIES.split() for word in ("--cap-add", capability)),
            "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--device", "/dev/fuse",
            "--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec",
            "--volume", f"{place.name}-{name}:/var/lib", f"{place.name}:{variant}",
        )  # fmt: skip
    for name in school.hosts:
        wait_for_boot(school, name)
    return school


def wait_for_boot(school: School, name: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while "active" not in (state := school.sh(name, "systemctl is-active ssh school", check=False)).split()[:1]:
        assert time.monotonic() < deadline, f"{name} did not boot: {state}"
        time.sleep(0.3)
    school.sh(name, "timeout 60 systemctl is-system-running --wait || true")


def remove(place: Place = PLACE) -> None:
    """Also what a run that was ended has left."""
    unfence = ["iptables", "-w", "-D", *place.fence]
    while subprocess.run(unfence, capture_output=True, timeout=20, check=False).returncode == 0:
        pass
    for listing, removal in (
        (["ps", "--all", "--quiet", "--filter", f"name=^{place.name}-"], ["rm", "--force", "--volumes"]),
        (["volume", "ls", "--quiet", "--filter", f"name=^{place.name}-"], ["volume", "rm", "--force"]),
        (["network", "ls", "--quiet", "--filter", f"name=^{place.name}$"], ["network", "rm"]),
        (["image", "ls", "--quiet", place.name], ["image", "rm", "--force"]),
    ):
        if found := docker(*listing).split():
            docker(*removal, *dict.fromkeys(found), timeout=120)


def docker(*words: str, timeout: float = 120) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout, check=False,
                          env=os.environ | {"DOCKER_BUILDKIT": "0"})  # fmt: skip
    assert done.returncode == 0, f"docker {' '.join(words[:2])}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
