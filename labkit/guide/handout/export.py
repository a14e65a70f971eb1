"""`labkit lab export`: handouts of one lab or walkthrough, or of all, as Markdown, HTML or PDF."""

from pathlib import Path

from labkit.guide import catalog
from labkit.guide.format import Lab, LabError, Picture
from labkit.guide.handout import html, index, markdown, pdf
from labkit.guide.parse import parse
from labkit.guide.pictures import bytes_of
from labkit.guide.play import FAILED, FINE, guarded
from labkit.guide.rewrite import parts_of
from labkit.guide.screen import Screen
from labkit.guide.vary import draw, varied
from labkit.guide.words import Words

FORMATS = ("md", "html", "pdf")


def run(names: list[str], form: str, out: Path, lang: str | None, solutions: bool = False, seed: str = "") -> int:
    """Write files into the folder `out` for each name, in one format or in `all`. When none is named: for all labs and
    walkthroughs, and an index.html that leads to them."""

    def ran(screen: Screen, words: Words) -> int:
        if form not in (*FORMATS, "all"):
            raise LabError(out, 0, f"--format {form}", "one of " + ", ".join([*FORMATS, "all"]))
        forms = FORMATS if form == "all" else (form,)
        try:
            out.mkdir(parents=True, exist_ok=True)
            handouts = []
            for name, page in catalog.named(names):
                lab = parse(catalog.translated(page, words.lang), name)
                lab = varied(lab, draw(lab, seed))
                paths = [write(lab, each, out, words.lang, solutions) for each in forms]
                for path in paths:
                    screen.say(words("written", path=path))
                handouts.append((lab, paths))
            if not names:
                path = _named(out, "index", words.lang, solutions, "html")
                path.write_text(index.page(handouts, words.lang), encoding="utf-8")
                screen.say(words("written", path=path))
        except pdf.CannotPrint as exc:
            screen.say(str(exc), "bad")
            return FAILED
        except OSError as exc:
            raise LabError(Path(exc.filename or out), 0, exc.strerror or str(exc), "a folder to write into") from exc
        return FINE

    return guarded(lang, ran)


def _named(out: Path, stem: str, lang: str, solutions: bool, form: str) -> Path:
    return out / f"{stem}{'' if lang == 'en' else '.' + lang}{'-solutions' if solutions else ''}.{form}"


def write(lab: Lab, form: str, out: Path, lang: str, solutions: bool) -> Path:
    """A lab is called as its folder, with its number: 02-etcd.html is not the walkthrough etcd.html."""
    stem = lab.path.parent.name if lab.path.name.startswith("lab.") else lab.name
    path = _named(out, stem, lang, solutions, form)
    if form == "md":
        path.write_text(markdown.page(lab, lang, solutions), encoding="utf-8")
        for part in parts_of(lab):
            if isinstance(part, Picture):
                (out / f"{lab.name}-{part.file}").write_bytes(bytes_of(part, lab))
    elif form == "html":
        path.write_text(html.page(lab, lang, solutions=solutions), encoding="utf-8")
    else:
        path.write_bytes(pdf.printed(html.page(lab, lang, solutions=solutions, paper=True), lang))
    return path
