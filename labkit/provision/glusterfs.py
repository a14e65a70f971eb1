"""GlusterFS on the machines of a cluster whose cluster.json says `"storage": "glusterfs"`: its files, its commands.

    servers     the first three machines: glusterd (24007), and for each volume a brick below /srv/glusterfs
    everybody   the client, mount.glusterfs, which the kubelet calls
    on the wire TLS, both ways, under a CA of its own: a pod reaches the ports and gets no further

A volume is a copy on each server. One may be away: reads and writes go on, what it missed is healed when it is back.
glusterd's own identity is made at its first start, so the image carries none.
"""

import re
import shlex
from collections.abc import Iterator, Sequence

from labkit.cluster import Cluster, Machine
from labkit.provision.render import Renderer
from labkit.provision.service import File, Service

UNIT = "glusterd"
BRICKS = "/srv/glusterfs"
CA = "storage-ca"
TLS = "/usr/lib/ssl/glusterfs"
PING_SECONDS = 10
"""So long a server may be silent before the clients go on without it; the original's 42 s are a long time to watch."""
GLUSTER = "gluster --mode=script"
CLEAR = f"""set -e
systemctl disable --quiet --now {UNIT} 2>/dev/null || true
rm -rf /etc/systemd/system/{UNIT}.service.d /etc/glusterfs/glusterd.vol /opt/labkit/stamps/unit-{UNIT}
find /var/log/glusterfs -mindepth 1 -delete
systemctl daemon-reload
find /var/lib/glusterd -mindepth 1 -maxdepth 1 ! -name hooks ! -name groups -exec rm -rf {{}} +
find {BRICKS} -mindepth 1 -delete
rm -f {TLS}.pem {TLS}.key {TLS}.ca"""
"""What makes a machine what it was before it had storage; what Debian's package brought stays."""


def identity(machine: Machine) -> str:
    """The name of its certificate."""
    return f"{machine.name}-glusterfs"


def files(render: Renderer) -> Iterator[File]:
    """What every machine has, as a client."""
    pki, name = render.sources.pki, identity(render.machine)
    yield File(f"{TLS}.pem", pki.certificate(name))
    yield File(f"{TLS}.key", pki.key(name), 0o600)
    yield File(f"{TLS}.ca", pki.certificate(CA))
    # Its being there turns TLS on between the machines and their glusterd.
    yield File("/var/lib/glusterd/secure-access", b"option transport.socket.ssl-cert-depth 1\n", 0o600)


def service(render: Renderer) -> Service:
    """glusterd, of a server."""
    return Service(
        UNIT,
        (
            File("/etc/glusterfs/glusterd.vol", render("glusterfs/glusterd.vol.j2", bricks=BRICKS)),
            File(f"/etc/systemd/system/{UNIT}.service.d/labkit.conf", render("glusterfs/glusterd.conf.j2")),
            *files(render),
        ),
    )


# -- what gluster is asked, and what it answers ------------------------------------------------------------------------


def probe(machines: Sequence[Machine]) -> str:
    """Make these the peers of the one on which it runs; done already is done."""
    return " && ".join(f"{GLUSTER} peer probe {machine.address}" for machine in machines) or "true"


def connected(pool_list: str) -> set[str]:
    """The addresses of `gluster pool list` that are connected, `localhost` for itself."""
    rows = [line.split() for line in pool_list.splitlines()[1:]]
    return {row[1] for row in rows if len(row) == 3 and row[2] == "Connected"}


def create(cluster: Cluster, name: str) -> str:
    """A volume with a copy on every server, and started."""
    servers = cluster.storage_servers
    bricks = " ".join(f"{machine.address}:{BRICKS}/{name}" for machine in servers)
    copies = f"replica {len(servers)} " if len(servers) > 1 else ""
    options = {
        "client.ssl": "on", "server.ssl": "on", "network.ping-timeout": str(PING_SECONDS),
        "auth.ssl-allow": ",".join(identity(machine) for machine in cluster.machines),
    }  # fmt: skip
    # force: a brick at the top of its file system is what is wanted; and two copies, where there are but two machines.
    pairs = " ".join(f"{option} {shlex.quote(value)}" for option, value in options.items())
    steps = (f"create {name} {copies}{bricks} force", f"set {name} {pairs}", f"start {name}")
    return " && ".join(f"{GLUSTER} volume {step}" for step in steps)


def admit(cluster: Cluster, name: str) -> str:
    """Let exactly the machines of the cluster mount a volume: one that was added later, too."""
    allowed = ",".join(identity(machine) for machine in cluster.machines)
    return f"{GLUSTER} volume set {name} auth.ssl-allow {shlex.quote(allowed)}"


def dissolve(cluster: Cluster) -> str:
    """End and forget every volume, and let the other servers go; where glusterd is gone already there is nothing."""
    others = [machine.address for machine in cluster.storage_servers if not machine.is_master]
    return f"""set -e
systemctl is-active --quiet {UNIT} || exit 0
for volume in $({GLUSTER} volume list 2>/dev/null); do
  {GLUSTER} volume stop $volume force >/dev/null 2>&1 || true
  {GLUSTER} volume delete $volume
done
for peer in {" ".join(others)}; do
  {GLUSTER} pool list | grep -qF "$peer" || continue
  {GLUSTER} peer detach $peer
done"""


def volumes(volume_info: str) -> dict[str, bool]:
    """The volumes of `gluster volume info`, and whether each is started."""
    names = re.findall(r"^Volume Name: (\S+)$", volume_info, re.MULTILINE)
    states = re.findall(r"^Status: (\S+)$", volume_info, re.MULTILINE)
    return {name: state == "Started" for name, state in zip(names, states, strict=True)}


def to_heal(heal_info: str) -> int | None:
    """How many entries of `gluster volume heal NAME info summary` wait to be healed; None when a brick is away."""
    counts = re.findall(r"^Total Number of entries: (\S+)$", heal_info, re.MULTILINE)
    return sum(map(int, counts)) if counts and all(count.isdecimal() for count in counts) else None
