"""A computer as a learner has it, in QEMU: Debian 12 with docker and vagrant from Debian's packages, cgroup v2,
AppArmor, an ordinary user; no network, and one stick in it.

    python -m tests.vm.computer MIRROR CACHE KEY.pub OUT      (root) writes OUT/disk.raw, OUT/vmlinuz, OUT/initrd.img
    with started(folder, stick) as computer:                  QEMU runs until the block ends
        computer.ssh                                          the words in front of a command

Kernel, initrd and disk are made as those of labkit's own box are (labkit/provision/box_tree.py).
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.provision import box_tree, libvirt, tree

PACKAGES = (
    "systemd", "systemd-sysv", "libpam-systemd", "udev", "dbus", "openssh-server", "sudo", "apparmor", "kmod",
    "iproute2", "procps", "iptables", "netbase", "libnss-myhostname", "busybox-static", "ca-certificates",
    "python3", "python3-venv", "vagrant", "docker.io",
)  # fmt: skip
"""What README.md asks a host for (python3-venv, vagrant, docker.io), on a plain Debian."""
USER = "student"
DISK_GB = 24
MEMORY_MB, PROCESSORS = 4096, 2
BOOT_SECONDS = 300


def build(mirror: str, cache: Path, key: Path, out: Path) -> None:
    """The disk, the kernel and the initrd. Raises CommandFailed, OSError."""
    cache.mkdir(parents=True, exist_ok=True)
    with tree.directory_in(cache) as scratch:
        root = scratch / "tree"
        root.mkdir(mode=0o755)
        tree.debian(mirror, cache, root, PACKAGES)
        release = box_tree.kernel(root)
        configure(root, key.read_text())
        (scratch / "out").mkdir()
        box_tree.initrd(root, release, scratch / "out/initrd.img")
        for path in (scratch / "out/initrd.img", root / f"boot/vmlinuz-{release}"):
            shutil.move(path, out / path.name.partition("-")[0])
        disk(root, out / "disk.raw", DISK_GB * 2**30)


def configure(root: Path, key: str) -> None:
    """An ordinary user who may use sudo and docker; the one network card asks for its address."""
    script = f"""
        useradd --create-home --shell /bin/bash --groups docker,sudo {USER}
        install -d -m 700 -o {USER} -g {USER} /home/{USER}/.ssh
        install -m 600 -o {USER} -g {USER} /dev/null /home/{USER}/.ssh/authorized_keys
        systemctl --quiet enable systemd-networkd.service ssh.service docker.service
        systemctl --quiet disable systemd-networkd-wait-online.service
        echo pc >/etc/hostname
        echo '/dev/vda / ext4 defaults 0 0' >/etc/fstab
        echo '/dev/vdb /mnt ext4 ro,nofail 0 0' >>/etc/fstab
        echo '{USER} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/{USER}
        printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=ipv4\\n' >/etc/systemd/network/10-ethernet.network
    """
    subprocess.run(["chroot", str(root), "sh", "-ec", script], check=True, timeout=120)
    (root / f"home/{USER}/.ssh/authorized_keys").write_text(key)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").touch()


def disk(folder: Path, image: Path, size: int) -> None:
    """An ext4 file system of `size` bytes with what the folder has; the file has holes."""
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", folder, image], check=True, timeout=600)


@dataclass(frozen=True)
class Computer:
    """ssh: the words in front of a command that is to run on it."""

    ssh: list[str]
    console: Path


@contextlib.contextmanager
def started(folder: Path, stick: Path, key: Path) -> Iterator[Computer]:
    """Boot it and wait for its sshd. Raises AssertionError with its console's last lines."""
    port, console = _free_port(), folder / "console.log"
    login = ["ssh", "-p", str(port), "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
    login += ["-o", "UserKnownHostsFile=/dev/null", "-o", "ServerAliveInterval=30"]
    # QEMU takes the connection long before there is somebody behind it to say a word.
    login += ["-o", "ConnectTimeout=60", f"{USER}@127.0.0.1"]
    with subprocess.Popen(qemu(folder, stick, port, console), stdin=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + BOOT_SECONDS
            while subprocess.run([*login, "true"], capture_output=True, timeout=120, check=False).returncode:
                said = console.read_text(errors="replace")[-2000:] if console.exists() else ""
                assert process.poll() is None, f"QEMU ended with {process.returncode}:\n{said}"
                assert time.monotonic() < deadline, f"the computer does not boot:\n{said}"
                time.sleep(1)
            yield Computer(login, console)
        finally:
            process.kill()  # its disk is thrown away
            process.wait(30)


def qemu(folder: Path, stick: Path, port: int, console: Path) -> list[str]:
    """The command. The computer reaches nobody (restrict=on); its port 22 is `port` of 127.0.0.1."""
    kvm = libvirt.driver() == "kvm"
    network = f"user,model=virtio-net-pci,restrict=on,net=192.168.223.0/24,hostfwd=tcp:127.0.0.1:{port}-:22"
    words = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-serial", f"file:{console}"]
    words += ["-accel", "kvm" if kvm else "tcg,thread=multi,tb-size=1024", "-cpu", "host" if kvm else "Nehalem"]
    words += ["-m", str(MEMORY_MB), "-smp", str(PROCESSORS), "-nic", network, "-device", "virtio-rng-pci"]
    words += ["-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.img")]
    words += ["-append", "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 no_timer_check nowatchdog"]
    for name, path in (("disk", folder / "disk.raw"), ("stick", stick)):
        words += ["-drive", f"id={name},file={path},if=none,format=raw,cache=unsafe"]
        words += ["-device", f"virtio-blk-pci,drive={name}"]
    return words


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    os.umask(0o022)
    tree.end_with_parent()
    build(sys.argv[1], *(Path(word) for word in sys.argv[2:]))
