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

Made by `make labs` and `make labs IN=zh`, which play every lab by its own solution on a running cluster and write this
page: so many checks failed before their step, and so many passed after it; all must. `make labs SKIP=1` plays each lab
also once without each of its steps: a later check must fail and name the step that was left out.

本页由 `make labs` 和 `make labs IN=zh` 生成：在真实集群上用实验自带的答案把每个实验走一遍，每项检查都必须
在做之前不通过、做之后通过。

| | lab | 实验 | minutes | steps | checks | English | before / after | 中文 | 前 / 后 | a step left out is named |
|---|---|---|---|---|---|---|---|---|---|---|
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
    chinese = catalog.load(catalog.LABS, lab.name, "zh")
    found = played.load(lab.path)
    number = lab.path.parent.name.split("-")[0]
    checks = str(found.checks) if found else ""
    cells = [number, f"{lab.title} (`{lab.name}`)", chinese.title, str(lab.minutes), str(len(lab.steps)), checks,
             *_told(lab), *_told(chinese), _named(found)]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _told(lab: Lab) -> tuple[str, str]:
    """seconds, before/after."""
    found = played.load(lab.path)
    if found is None:
        return "not played", ""
    as_played = varied(lab, draw(lab, seed=""))
    older = " (an older text)" if found.digest != played.digest(as_played) else ""
    if found.trouble:
        return f"**broken**{older}", ""
    return f"{found.seconds:.0f} s{older}", f"{found.failed_before} / {found.passed_after}"


def _named(found: Played | None) -> str:
    """How many of the plays that left out a step had a later check name it."""
    if found is None or not found.skips:
        return "not tried"
    return f"{sum(skip.good for skip in found.skips)} of {len(found.skips)}"


def _skips(lab: Lab) -> Iterator[str]:
    found = played.load(lab.path)
    for skip in found.skips if found else ():
        yield f"| {lab.name} | {skip.step} | {skip.fails_at or '(none)'} | {skip.named or '(nothing)'} |\n"


def _show(name: str) -> str:
    english, chinese = (catalog.load(catalog.WALKTHROUGHS, name, lang) for lang in catalog.LANGUAGES)
    return f"| `{name}` | {english.title} | {chinese.title} | {english.minutes} | {len(english.steps)} |\n"
