"""The page that leads to all handouts of a folder: index.html, or index.zh.html beside it."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from labkit.guide import catalog
from labkit.guide.format import Lab
from labkit.guide.handout.html import document, inline
from labkit.guide.words import Words

Handout = tuple[Lab, Sequence[Path]]  # a page, and what was written of it, all in the folder of the index


def page(handouts: Sequence[Handout], lang: str) -> str:
    words = Words(lang)
    of_lab = [lab.path.is_relative_to(catalog.LABS) for lab, _ in handouts]
    labs, shows = (
        [each for each, lab in zip(handouts, of_lab, strict=True) if lab is wanted] for wanted in (True, False)
    )
    chapters = [(words("labs"), labs), (words("walkthroughs"), shows)]
    body = "\n".join(line for title, chosen in chapters if chosen for line in _chapter(title, chosen, words))
    return document("labkit", f"<h1>labkit</h1>\n{body}", lang)


def _chapter(title: str, handouts: Sequence[Handout], words: Words) -> Iterator[str]:
    yield f"<h2>{escape(title)}</h2>"
    for lab, paths in handouts:
        goals = "".join(f"<li>{inline(goal)}</li>" for goal in lab.objectives)
        best = next((path for path in paths if path.suffix == ".html"), paths[0])
        ways = [f'<a href="{escape(path.name)}">{path.suffix[1:]}</a>' for path in paths]
        about = " · ".join([words("minutes", n=lab.minutes), *(ways if len(ways) > 1 else [])])
        number = lab.path.parent.name.split("-")[0] if lab.path.name.startswith("lab.") else ""
        title = f'{number} <a href="{escape(best.name)}">{escape(lab.title)}</a>'
        yield f"<h3>{title}</h3><p class=quiet>{about}</p><ul>{goals}</ul>"
