"""Pictures that a page shows: what `labkit packet` or `labkit story` drew beside it when it was recorded."""

import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labkit.guide.format import Lab, LabError, Picture

TRIES, APART = 3, 2  # journals and rules may lag behind what the page has just done; seconds


def draw(picture: Picture, page: Path, cluster: str, began: float) -> str:
    """Draw it beside the page. Where nothing comes of it the old one stays, and why is returned. `began`: when the play
    did, in seconds since 1970; a story is told of this play, not of all that the journals remember. (A time "so long
    ago" would be counted from when a journal is read, which may be seconds later: the beginning would be missing.)"""
    said = ""
    with tempfile.TemporaryDirectory(prefix="labkit-picture-") as folder:
        drawn = Path(folder) / picture.file
        for _ in range(TRIES):
            words = [*shlex.split(picture.command)[1:], "--svg", str(drawn), "--cluster", cluster]
            if words[0] == "story":
                words += ["--since", f"@{began:.3f}"]
            command = [sys.executable, "-m", "labkit.cli", *words]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            if drawn.is_file() and is_drawn(svg := drawn.read_text(encoding="utf-8")):
                (page.parent / picture.file).write_text(svg, encoding="utf-8")
                return ""
            said = done.stderr.strip() or f"nothing is drawn in {picture.file}"
            time.sleep(APART)
    return said


def fault_of(picture: Picture, page: Path) -> str:
    """Why the picture cannot be shown; nothing when it can."""
    try:
        svg = (page.parent / picture.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return f"there is no {picture.file}"
    return "" if is_drawn(svg) else f"nothing is drawn in {picture.file}"


def is_drawn(svg: str) -> bool:
    """A story has a circle for each hop, a packet's way an arrow from each station to the next."""
    return "<circle" in svg or "marker-end=" in svg


def bytes_of(picture: Picture, lab: Lab) -> bytes:
    """Raises LabError for one that is not there, or shows nothing."""
    if fault := fault_of(picture, lab.path):
        raise LabError(lab.path, picture.line, fault, f"a picture: python -m labkit.guide.record {lab.name}")
    return (lab.path.parent / picture.file).read_bytes()
