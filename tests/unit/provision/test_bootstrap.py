"""What `make up` does on a machine that lacks programs, with stand-ins for apt on PATH: nothing is really installed."""

import os
import subprocess
from pathlib import Path

import pytest

from labkit.cluster import REPOSITORY

APT_CACHE = """#!/bin/sh
# policy NAME: every package has a candidate, but for those named in $FAKE/without
echo "$2:"
if grep -qx "$2" "$FAKE/without" 2>/dev/null; then echo "  Candidate: (none)"; else echo "  Candidate: 1.0"; fi
"""
APT_GET = """#!/bin/sh
echo "$*" >>"$FAKE/apt-get"
case "$*" in *install*) echo "Setting up something"; exit $(cat "$FAKE/apt-rc" 2>/dev/null || echo 0) ;; esac
"""
PYTHON = """#!/bin/sh
exit $(cat "$FAKE/python-rc" 2>/dev/null || echo 0)
"""
TOOLS = ("sh", "sed", "grep", "printf", "id", "env", "cat", "mktemp", "rm", "tail")
EVERYTHING = ("vagrant", "docker", "debootstrap", "iptables", "ip")


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A PATH with the tools of the script, apt, and nothing else."""
    for tool in TOOLS:
        found = next(Path(folder, tool) for folder in ("/usr/bin", "/bin") if Path(folder, tool).exists())
        program(tmp_path, tool).symlink_to(found)
    for name, script in (
        ("apt-cache", APT_CACHE),
        ("apt-get", APT_GET),
        ("python3", PYTHON),
        ("sudo", '#!/bin/sh\nexec "$@"\n'),
    ):
        program(tmp_path, name).write_text(script)
        program(tmp_path, name).chmod(0o755)
    return tmp_path


def program(fake: Path, name: str) -> Path:
    path = fake / "bin" / name
    path.parent.mkdir(exist_ok=True)
    return path


def bootstrap(fake: Path, *arguments: str) -> tuple[int, str]:
    script = (REPOSITORY / "labkit/provision/bootstrap.sh").read_text()
    # /usr/sbin and the keyring are looked at by their full names: those of this machine are none of the test's business
    script = script.replace("/usr/sbin/$1", f"{fake}/sbin/$1").replace("/usr/share/keyrings", f"{fake}/keyrings")
    done = subprocess.run(
        ["/bin/sh", "-c", script, "bootstrap.sh", *arguments],
        env={"PATH": str(fake / "bin"), "FAKE": str(fake), "HOME": os.environ["HOME"]},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def have(fake: Path, *names: str) -> None:
    for name in names:
        program(fake, name).write_text("#!/bin/sh\n")
        program(fake, name).chmod(0o755)
    (fake / "keyrings").mkdir(exist_ok=True)
    (fake / "keyrings/debian-archive-keyring.gpg").touch()


def asked_of_apt(fake: Path) -> list[str]:
    path = fake / "apt-get"
    return path.read_text().splitlines() if path.exists() else []


def test_where_everything_is_there_nothing_is_said_or_done(fake: Path) -> None:
    have(fake, *EVERYTHING)
    assert bootstrap(fake) == (0, "")
    assert asked_of_apt(fake) == []


def test_only_what_is_missing_is_installed_and_at_once(fake: Path) -> None:
    have(fake, "docker", "debootstrap", "iptables", "ip")
    (fake / "python-rc").write_text("1")
    code, printed = bootstrap(fake)
    packages = "python3-venv vagrant"
    assert (code, printed) == (
        0,
        f"labkit: asking the package archive for {packages}\nlabkit: installing: {packages}\n",
    )
    # lists of a month ago may name packages that no longer fit those installed ("you have held broken packages")
    assert asked_of_apt(fake) == ["-qq update", "-q install --yes --no-install-recommends python3-venv vagrant"]


def test_an_installation_that_fails_ends_it_with_what_apt_said(fake: Path) -> None:
    have(fake, "docker", "debootstrap", "iptables", "ip")
    (fake / "apt-rc").write_text("100")
    code, printed = bootstrap(fake)
    assert code == 3
    assert printed.endswith("labkit: installing: vagrant\nSetting up something\napt-get failed: 100\n")


def test_dockers_command_line_comes_along_where_it_is_a_package_of_its_own(fake: Path) -> None:
    have(fake, "vagrant", "debootstrap", "iptables", "ip")
    assert bootstrap(fake, "--dry-run") == (0, "labkit: would install: docker.io docker-cli\n")
    (fake / "without").write_text("docker-cli\n")
    assert bootstrap(fake, "--dry-run") == (0, "labkit: would install: docker.io\n")
    assert asked_of_apt(fake) == []


@pytest.mark.parametrize(
    ("package", "step"),
    [("vagrant", "apt-get update && apt-get install vagrant"), ("docker.io", "docs.docker.com/engine/install")],
)
def test_what_the_distribution_lacks_is_named_with_the_step_and_nothing_changes(
    fake: Path, package: str, step: str
) -> None:
    have(fake)
    (fake / "without").write_text(f"{package}\n")
    code, printed = bootstrap(fake)
    assert code == 3
    assert f"no package for: {package}. Nothing was changed." in printed
    assert step in printed
    assert asked_of_apt(fake) == ["-qq update"]  # nothing was installed


def test_without_apt_the_missing_are_named(fake: Path) -> None:
    have(fake)
    program(fake, "apt-get").unlink()
    code, printed = bootstrap(fake)
    assert code == 3
    assert "missing: vagrant docker.io debootstrap iptables iproute2. This is no Debian or Ubuntu" in printed
