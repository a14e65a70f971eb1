"""docs/labs.md: the labs in both languages, with their minutes and what their last plays found; and what one says of a
play on a line. Pure, but for the reading of pages.
"""

from collections.abc import Iterator

from labkit.cluster import REPOSITORY
from labkit.guide import catalog, played
from labkit.guide.format import Lab
from labkit.guide.played import Played
from labkit.guide.vary import draw, varied

PAGE = REPOSITORY / "docs" / "labs.md"
_HEAD = """# The labs, played

Made by `make labs`, which plays every lab by its own solution on a running cluster and writes this page: each check
must fail before its step and pass after it. `make labs SKIP=1` plays each lab also once without each of its steps: a
later check must fail and name the step that was left out.

本页由 `make labs` 生成：在真实集群上用实验自带的答案把每个实验走一遍，每项检查都必须在做之前不通过、做之后通过。

| | lab | 实验 | minutes | steps | checks | play | failed before / passed after | a step left out is named |
|---|---|---|---|---|---|---|---|---|
"""
_SHOWS = """
## Walkthroughs

| walkthrough | title | 标题 | minutes | screens |
|---|---|---|---|---|
"""
_SKIPS = """
## Without one step

| lab | without step | a check fails in | and names |
|---|---|---|---|
"""


def verdict(found: Played) -> str:
    """One line for the terminal."""
    if found.trouble:
        return f"BROKEN after {found.seconds:.1f} s: {found.trouble}"
    good = "" if found.good else "   NOT GOOD"
    skips = f"   {sum(s.good for s in found.skips)}/{len(found.skips)} skipped steps named" if found.skips else ""
    drift = f"   {found.drift} outputs drifted" if found.drift else ""
    return (f"{found.seconds:6.1f} s   {found.failed_before}/{found.checks} failed before, "
            f"{found.passed_after}/{found.checks} passed after{skips}{drift}{good}")  # fmt: skip


def page() -> str:
    labs = {name: catalog.load(catalog.LABS, name, "en") for name in catalog.pages(catalog.LABS)}
    rows = [_row(lab) for lab in labs.values()]
    skips = [row for lab in labs.values() for row in _skips(lab)]
    shows = [_show(name) for name in catalog.pages(catalog.WALKTHROUGHS)]
    return _HEAD + "".join(rows) + _SHOWS + "".join(shows) + (_SKIPS + "".join(skips) if skips else "")


def _row(lab: Lab) -> str:
    found = played.load(lab.path)
    number = lab.path.parent.name.split("-")[0]
    told = ["", "not played", "", ""] if found is None else _told(lab, found)
    cells = [number, f"{lab.title} (`{lab.name}`)", catalog.load(catalog.LABS, lab.name, "zh").title,
             str(lab.minutes), str(len(lab.steps)), *told]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _told(lab: Lab, found: Played) -> list[str]:
    """checks, seconds, before/after, skipped."""
    as_played = varied(lab, draw(lab, seed=""))
    older = " (an older text)" if found.digest != played.digest(as_played) else ""
    if found.trouble:
        return [str(found.checks), f"**broken**{older}", "", ""]
    named = f"{sum(skip.good for skip in found.skips)} of {len(found.skips)}" if found.skips else "not tried"
    return [str(found.checks), f"{found.seconds:.0f} s{older}", f"{found.failed_before} / {found.passed_after}", named]


def _skips(lab: Lab) -> Iterator[str]:
    found = played.load(lab.path)
    for skip in found.skips if found else ():
        yield f"| {lab.name} | {skip.step} | {skip.fails_at or '(none)'} | {skip.named or '(nothing)'} |\n"


def _show(name: str) -> str:
    english, chinese = (catalog.load(catalog.WALKTHROUGHS, name, lang) for lang in catalog.LANGUAGES)
    return f"| `{name}` | {english.title} | {chinese.title} | {english.minutes} | {len(english.steps)} |\n"
