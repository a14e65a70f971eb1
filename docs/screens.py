"""Pictures of the guide as it is now, for docs/guide.md: `python docs/screens.py` (needs tmux, and the running cluster
of $LABKIT_CLUSTER).

Each is a real session: labkit runs in a terminal of tmux, keys are pressed, what stands on the screen becomes an SVG
file. What a session makes on the cluster it removes again.
"""

import html
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).resolve().parent
SECONDS = 90.0  # for one thing to appear on the screen


class Session:
    """A terminal of so many columns and lines in which `labkit` runs."""

    def __init__(self, columns: int, lines: int, *words: str) -> None:
        self._columns = columns
        self._socket = f"labkit-screens-{os.getpid()}-{id(self)}"  # one that just ended may still hold its own
        env = {name: os.environ[name] for name in ("LABKIT_CLUSTER", "PYTHONPATH") if name in os.environ}
        env |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        command = [
            "env",
            "-u",
            "TMUX",
            *(f"{k}={v}" for k, v in env.items()),
            sys.executable,
            "-m",
            "labkit.cli",
            *words,
        ]
        self._tmux("-f", "/dev/null", "-u", "new-session", "-d", "-s", "s", "-x", str(columns), "-y", str(lines),
                   f"{' '.join(command)}; sleep 1000")  # fmt: skip
        self._tmux("set-option", "-g", "status", "off")

    def press(self, *keys: str) -> None:
        time.sleep(3)  # the guide throws away what is typed before it asks
        self._tmux("send-keys", "-t", "s", *keys)

    def until(self, text: str) -> None:
        end = time.monotonic() + SECONDS
        while text not in self._tmux("capture-pane", "-p", "-t", "s"):
            if time.monotonic() > end:
                sys.exit(f"never on the screen: {text}\n{self._tmux('capture-pane', '-p', '-t', 's')}")
            time.sleep(0.3)

    def draw(self, title: str, name: str) -> None:
        time.sleep(1)  # what appears piece by piece is there
        text = self._tmux("capture-pane", "-e", "-p", "-t", "s").rstrip("\n")
        with Path(os.devnull).open("w") as nowhere:
            console = Console(record=True, width=self._columns, file=nowhere, force_terminal=True, legacy_windows=False)
            console.print(Text.from_ansi(text), soft_wrap=True)
        (DOCS / name).write_text(unsqueezed(console.export_svg(title=title)), encoding="utf-8")
        print(DOCS / name)

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *words: str) -> str:
        return subprocess.run(["tmux", "-L", self._socket, *words], capture_output=True, text=True, check=False).stdout


def unsqueezed(svg: str) -> str:
    """rich (15) counts a Chinese character as one column where it says how wide a piece of text is; it takes two."""

    def counted(found: re.Match[str]) -> str:
        text = html.unescape(found[3])
        return f'textLength="{float(found[1]) / len(text) * cell_len(text):g}"{found[2]}>{found[3]}<'

    return re.sub(r'textLength="([\d.]+)"([^>]*)>([^<]+)<', counted, svg)


def labs() -> None:
    for lang in ("en", "zh"):
        session = Session(110, 28, "lab", "list", "--lang", lang)
        session.until("redis-master")
        session.draw("labkit lab", f"screen-labs{'' if lang == 'en' else '-zh'}.svg")
        session.close()


def guide() -> None:
    for lang in ("en", "zh"):
        subprocess.run([sys.executable, "-m", "labkit.cli", "lab", "redis-master", "--reset"], check=False)
        session = Session(160, 44, "lab", "redis-master", "--lang", lang)
        session.until("n ")
        session.press("n")
        session.until("early.yaml")
        time.sleep(6)  # the shell on the machine
        session.press("n")
        session.until("a/b/c/d")
        session.press("b")
        session.until("get rc,pods")
        session.press("n")
        session.until("pkg/kubelet")
        session.press("v")
        time.sleep(12)
        session.draw("labkit lab redis-master", f"screen-guide{'' if lang == 'en' else '-zh'}.svg")
        session.press("q")
        time.sleep(1)
        session.close()
    subprocess.run([sys.executable, "-m", "labkit.cli", "lab", "redis-master", "--reset"], check=False)


def walkthrough() -> None:
    session = Session(100, 34, "walkthrough", "kube-scheduler", "--typing", "0")
    session.until("predicates")
    session.press("n")
    for shown in ("Look, decide, act", "A pod, and what"):
        session.until(shown)
        session.press("n")
    session.until("assigned")
    session.draw("labkit walkthrough kube-scheduler", "screen-walkthrough.svg")
    session.press("q")
    time.sleep(15)  # it removes what it made
    session.close()


SCREENS: dict[str, Callable[[], None]] = {"labs": labs, "guide": guide, "walkthrough": walkthrough}

if __name__ == "__main__":
    for screen in sys.argv[1:] or SCREENS:
        SCREENS[screen]()
