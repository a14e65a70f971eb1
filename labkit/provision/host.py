"""Is this host ready for machines? Look at it, decide what is wrong, mend what can be mended, name the rest.

    facts = look(cluster)             programs, docker, disk, memory, kernel, networks, ports
    problems(facts) -> [Problem]      pure: each with its own words and its own mend
    preflight(cluster)                the loop of those, starting docker and loading modules on the way

Nothing is installed or changed here beyond that. Errors: CommandFailed with machine "host" (exit code 3).
"""

import subprocess
import time
from collections.abc import Callable

from labkit.cluster import Cluster, state_root
from labkit.cluster_rules import VIRTUAL
from labkit.provision import kernel, libvirt
from labkit.provision.errors import CommandFailed
from labkit.provision.host_facts import HostFacts, docker_answers, docker_problems, look, look_at_docker, problems

DOCKER_START_SECONDS = 30

Progress = Callable[[str], None]


def preflight(cluster: Cluster, progress: Progress = lambda line: None) -> None:
    """Return when machines can be made. Raises CommandFailed that lists every problem left, each with its mend."""
    if cluster.provider == "libvirt" and libvirt.can_start():
        libvirt.start(progress)
    facts = look(cluster)
    if can_start_docker(facts):
        start_docker(progress)
        facts = look(cluster)
    if facts.missing_modules and facts.root:
        progress(f"loading kernel modules: {', '.join(facts.missing_modules)}")
        kernel.load(facts.missing_modules)
        facts = look(cluster)
    if found := problems(facts):
        raise CommandFailed("host", "prepare the host", tail="\n".join(f"{one.what}: {one.mend}" for one in found))


def need_docker(progress: Progress) -> None:
    """For the machines' image, without a cluster: docker answers, or is started. Raises CommandFailed with the mend."""
    facts = look_at_docker()
    if can_start_docker(facts):
        start_docker(progress)
    elif found := docker_problems(facts):
        raise CommandFailed("host", "reach docker", tail="\n".join(f"{one.what}: {one.mend}" for one in found))


def can_start_docker(facts: HostFacts) -> bool:
    """Only where nobody else looks after services: as root on a machine that systemd does not run.

    Virtual machines have no use for it; for hosts that are there already it makes the pods' images.
    """
    there = facts.has("docker") and facts.has("dockerd") and not facts.docker_running
    return facts.provider not in VIRTUAL and there and facts.root and not facts.systemd


def start_docker(progress: Progress) -> None:
    """dockerd in the background, logging into the state directory. Raises CommandFailed with the log's last lines."""
    log = state_root() / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    progress(f"docker is not running: starting dockerd (log: {log})")
    with log.open("ab") as file:
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, cwd="/"
        )
    deadline = time.monotonic() + DOCKER_START_SECONDS
    while not docker_answers():
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            raise CommandFailed("host", "start docker", "dockerd", process.poll(), log.read_text(errors="replace"))
        time.sleep(0.2)
