"""Which labs and walkthroughs there are.

labs/04-redis-master/lab.md (and lab.zh.md) is the lab `redis-master`; without manifests it may be one file,
labs/02-watch.md (and 02-watch.zh.md). walkthroughs/follow-a-pod.md is the walkthrough `follow-a-pod`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from labkit.cluster import SHARE
from labkit.guide.format import Lab, LabError
from labkit.guide.parse import parse

LANGUAGES = ("en", "zh")
LABS = SHARE / "labs"
WALKTHROUGHS = SHARE / "walkthroughs"


def language(chosen: str | None = None) -> str:
    """`en` or `zh`: as chosen, or as the environment says (LC_ALL, LC_MESSAGES, LANG)."""
    if chosen and chosen.lower()[:2] not in LANGUAGES:
        raise LabError(LABS, 0, f"language {chosen!r}", "one of " + ", ".join(LANGUAGES))
    spoken = chosen or next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return "zh" if spoken.lower().startswith("zh") else "en"


def pages(folder: Path) -> dict[str, Path]:
    """Name -> English page, in the order of the folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        page = path / "lab.md" if path.is_dir() else path
        if page.is_file() and page.suffix == ".md" and not page.name.endswith(".zh.md"):
            found[re.sub(r"^\d+-", "", path.stem)] = page
    return found


def named(names: Sequence[str]) -> list[tuple[str, Path]]:
    """Name and English page of the labs and walkthroughs that are called so; of all when no name is given. A lab and a
    walkthrough may have one name (etcd). Raises LabError when there is none."""
    found = [(name, page) for folder in (LABS, WALKTHROUGHS) for name, page in pages(folder).items()]
    known = list(dict.fromkeys(name for name, _ in found))
    if unknown := [name for name in names if name not in known]:
        raise LabError(LABS, 0, f"there is no {unknown[0]!r}", "one of " + ", ".join(known))
    return [(name, page) for name, page in found if not names or name in names]


def translated(page: Path, lang: str) -> Path:
    """The page in that language; in English where there is no other."""
    other = page.with_suffix(f".{lang}.md")
    return other if lang != "en" and other.is_file() else page


def languages_of(page: Path) -> list[Path]:
    """The English page and its translations."""
    return [path for lang in LANGUAGES if (path := translated(page, lang)).is_file()]


def name_of(path: Path) -> str:
    """What a page is called: its folder, or its file without number, language and ending."""
    stem = path.parent.name if path.name.startswith("lab.") else path.name.split(".")[0]
    return re.sub(r"^\d+-", "", stem)


def load(folder: Path, name: str, lang: str) -> Lab:
    """Raises LabError when there is no such page, naming those that there are."""
    found = pages(folder)
    if name not in found:
        raise LabError(folder, 0, f"there is no {name!r}", "one of " + (", ".join(found) or "(none)"))
    return parse(translated(found[name], lang), name)
