"""`make test`: every layer of tests that this machine can run, one after the other, and one line for what it cannot.

    python tests/run.py              all layers
    python tests/run.py unit node    these layers

A layer is a folder of tests/. It runs in a pytest of its own, so that what one leaves behind cannot help the next;
where its tests share nothing on this machine, in two processes side by side.

In layers that play with real processes a test that failed is tried once more, alone. One that passes then is named in
the table as flaky, its first failure printed above; more than two of them in a run, or STRICT=1, fail the run.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAKY_ALLOWED = 0 if os.environ.get("STRICT") else 2  # of all layers together
PROCESSES = 2  # as many as the smallest computer that the tests are made for has cores
TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "labkit" / "tools"


def _root() -> str:
    return "" if os.geteuid() == 0 else "needs root (iptables, network namespaces): sudo make node"


def _etcd() -> str:
    return "" if shutil.which("etcd") else "needs etcd: apt-get install etcd-server"


def _docker() -> str:
    if not shutil.which("docker"):
        return "needs docker: apt-get install docker.io"
    answered = subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
    return "" if answered else "needs a running docker: systemctl start docker"


def _vagrant() -> str:
    return "" if shutil.which("vagrant") else "needs vagrant: apt-get install vagrant"


@dataclass(frozen=True)
class Layer:
    name: str
    seconds: int  # bound for the whole layer
    needs: tuple[Callable[[], str], ...] = ()
    second_try: bool = False  # its tests stand alone and race with real processes
    side_by_side: str = ""  # how xdist shares it out, where its files share nothing on this machine

    def missing(self) -> str:
        """Why this machine cannot run the layer; empty when it can."""
        return "; ".join(filter(None, (need() for need in self.needs)))


LAYERS = (
    Layer("unit", 600, side_by_side="worksteal"),
    Layer("cluster", 420, second_try=True, side_by_side="loadfile"),
    Layer("fuzz", 400),
    Layer("node", 1200, (_root, _etcd, _docker), second_try=True, side_by_side="loadfile"),
    Layer("kubectl", 600, (_etcd,), side_by_side="load"),
    Layer("e2e", 1500, (_docker, _vagrant)),
    Layer("content", 300),
)


@dataclass
class Outcome:
    layer: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str = ""
    flaky: list[str] = field(default_factory=list)  # node ids of what passed at the second try only


def run(layer: Layer, extra: list[str]) -> Outcome:
    """Run one layer; a layer that collects nothing has failed, a layer that outlives its bound is ended and failed."""
    reason = layer.missing()
    if reason:
        return Outcome(layer.name, note=f"not run: {reason}")
    with tempfile.TemporaryDirectory() as cache:
        arguments = ["-o", f"cache_dir={cache}", *extra]
        if layer.side_by_side:
            arguments += ["-n", str(PROCESSES), "--dist", layer.side_by_side]
        outcome = _pytest(layer, arguments)
        flaky = _last_failed(Path(cache))
        if layer.second_try and 0 < outcome.failed == len(flaky) <= FLAKY_ALLOWED and not outcome.note:
            print(f"\n=== {layer.name}: what failed, once more", flush=True)
            again = _pytest(layer, [*arguments, "--last-failed"])
            if not again.failed:
                outcome.passed, outcome.failed, outcome.flaky = outcome.passed + again.passed, 0, flaky
                outcome.note = f"flaky: {', '.join(flaky)}"
            outcome.seconds += again.seconds
    return outcome


def _pytest(layer: Layer, arguments: list[str]) -> Outcome:
    slowest = ["--durations=10", "--durations-min=3"]
    command = [sys.executable, "-m", "pytest", f"tests/{layer.name}", "-rs", *slowest, *arguments]
    started = time.monotonic()
    text: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            text.append(line)
            if time.monotonic() - started > layer.seconds:
                process.terminate()
                text.append(f"ended after {layer.seconds} s")
                break
        code = process.wait()
    closing = text[-1] if text else ""
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", closing)}
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    if code != 0 and failed == 0:
        failed = 1
    note = "" if code in (0, 1) else f"pytest ended with {code}"
    return Outcome(
        layer.name, counts.get("passed", 0), failed, counts.get("skipped", 0), time.monotonic() - started, note
    )


def _last_failed(cache: Path) -> list[str]:
    """The node ids that pytest's cache keeps of a run."""
    kept = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(kept.read_text())) if kept.exists() else []


def start_docker() -> None:
    """What `labkit up` does first: start docker where nobody else looks after services, load kernel modules."""
    env = os.environ | {"LABKIT_HOME": str(TOOLS.parent / "tests"), "LABKIT_CLUSTER": "doctor"}
    subprocess.run([sys.executable, "-m", "labkit.cli", "doctor", "--fix"], env=env, check=False, timeout=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", nargs="*", choices=[[], *(layer.name for layer in LAYERS)], metavar="LAYER")
    chosen, extra = parser.parse_known_args()
    # Whoever starts this in the background has SIGINT ignored, and all that is started here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["PATH"] = f"{TOOLS / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
    subprocess.run(["sh", str(ROOT / "tests" / "install.sh"), str(TOOLS)], check=True, timeout=600)
    start_docker()
    outcomes = []
    for layer in LAYERS:
        if not chosen.layers or layer.name in chosen.layers:
            print(f"\n=== {layer.name}", flush=True)
            outcomes.append(run(layer, extra))
    print(f"\n{'layer':<10}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for outcome in outcomes:
        figures = f"{outcome.passed:>8}{outcome.failed:>8}{outcome.skipped:>9}{outcome.seconds:>9.0f}"
        print(f"{outcome.layer:<10}{figures}  {outcome.note}".rstrip())
    failed = sum(outcome.failed for outcome in outcomes)
    flaky = sum(len(outcome.flaky) for outcome in outcomes)
    print(f"\n{sum(o.passed for o in outcomes)} passed, {failed} failed" + (f", {flaky} flaky" if flaky else ""))
    return 1 if failed or flaky > FLAKY_ALLOWED else 0


if __name__ == "__main__":
    sys.exit(main())
