"""Handouts: what is in them, what is left out, and that a PDF has its letters."""

import re
import subprocess
import tomllib
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from labkit.cluster import REPOSITORY
from labkit.guide import catalog, lint, pictures
from labkit.guide.format import LabError, Picture
from labkit.guide.handout import export, html, markdown, pdf
from labkit.guide.parse import parse
from tests.unit.guide.pages import PAGE, page

SECRETS = ["touch bright", "Nothing is free", "grep -q on lamp", "head -c -1 lamp"]  # solution, reason, check, finding
PICTURE = "<!-- picture story rc/lamp -->\n![The way of a lamp](lamp.svg)\n\n"


@pytest.mark.parametrize(
    "made", [lambda lab, s: html.page(lab, "en", solutions=s), lambda lab, s: markdown.page(lab, "en", s)]
)
def test_solutions_are_for_the_instructor(made) -> None:  # type: ignore[no-untyped-def]
    handed_out, instructors = made(page(), False), made(page(), True)
    for secret in SECRETS:
        assert secret not in handed_out
        assert secret in instructors
    for shown in ("echo on", "How bright?", "nobody", "BRIGHT", "the debrief"):
        assert shown in handed_out


class Outside(HTMLParser):
    """Collects whatever a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href") and tag != "a"]


def test_a_page_fetches_nothing() -> None:
    text = html.page(catalog.load(catalog.LABS, "redis-master", "zh"), "zh")
    outside = Outside()
    outside.feed(text)
    assert [src for src in outside.fetched if not src.startswith("data:")] == []
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_what_was_typed_is_escaped_and_can_be_copied() -> None:
    text = html.page(page(PAGE.replace("echo on > lamp; cat lamp", 'echo "<b>" > lamp; cat lamp')), "en")
    assert "<b>" not in text
    assert 'data-copy="echo &quot;&lt;b&gt;&quot; &gt; lamp; cat lamp"' in text


def test_outputs_of_this_run_take_the_place_of_the_recorded() -> None:
    printed = {"master\necho on > lamp; cat lamp": "dazzling"}
    assert "dazzling" in html.page(page(), "en", printed=printed)


def with_picture(folder: Path) -> Path:
    (folder / "lamp.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'
    )
    path = folder / "lab.md"
    path.write_text(PAGE.replace("It shines", PICTURE + "It shines"))
    return path


def test_pictures_come_along(tmp_path: Path) -> None:
    lab = parse(with_picture(tmp_path), "lamp")
    assert "data:image/svg+xml;base64," in html.page(lab, "en")
    assert "labkit story rc/lamp" in html.page(lab, "en")
    out = tmp_path / "out"
    out.mkdir()
    assert "![The way of a lamp](lamp-lamp.svg)" in export.write(lab, "md", out, "en", False).read_text()
    assert (out / "lamp-lamp.svg").read_text().startswith("<svg")


def test_a_story_is_told_from_the_moment_on_at_which_the_play_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not "so many seconds ago": on a busy computer its beginning would be missing."""
    path, asked = with_picture(tmp_path), list[list[str]]()

    def drawn(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        Path(command[command.index("--svg") + 1]).write_text("<svg><circle/></svg>")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", drawn)
    picture = next(part for step in parse(path, "lamp").steps for part in step.parts if isinstance(part, Picture))
    assert pictures.draw(picture, path, "lab", began=1_700_000_000.25) == ""
    assert asked[0][-2:] == ["--since", "@1700000000.250"]
    assert "<circle/>" in (tmp_path / "lamp.svg").read_text()


@pytest.mark.parametrize(("svg", "said"), [("<svg/>", "nothing is drawn in lamp.svg"), ("", "there is no lamp.svg")])
def test_an_empty_picture_is_a_fault(tmp_path: Path, svg: str, said: str) -> None:
    lab = parse(with_picture(tmp_path), "lamp")
    (tmp_path / "lamp.svg").unlink()
    if svg:
        (tmp_path / "lamp.svg").write_text(svg)
    assert any(said in fault for _, fault in lint.faults_of(lab))
    for form in ("md", "html"):
        with pytest.raises(LabError, match=said):
            export.write(lab, form, tmp_path, "en", False)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("![The way of a lamp](lamp.svg)\n\n", "", "without its image"),
        ("story rc/lamp", "look rc/lamp", "expected picture packet FROM TO"),
        ("(lamp.svg)", "(../lamp.png)", "without its image"),
    ],
)
def test_a_picture_that_is_none(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "lab.md"
    path.write_text(PAGE.replace("It shines", PICTURE.replace(old, new) + "It shines"))
    with pytest.raises(LabError, match=said):
        parse(path, "lamp")


def test_all_of_them_have_an_index(tmp_path: Path) -> None:
    """Every link of the index leads to a file that is there, and every page has one."""
    assert export.run([], "html", tmp_path, "zh") == 0
    links = re.findall('href="([^"]+)"', (tmp_path / "index.zh.html").read_text())
    assert len(links) == len(set(links)) == len(catalog.named([]))
    assert {*links, "index.zh.html"} == {path.name for path in tmp_path.iterdir()}


def test_bad_words_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.run(["redis-master"], "docx", tmp_path, "en") == 2
    assert "expected one of md, html, pdf, all" in capsys.readouterr().err
    assert export.run(["lump"], "md", tmp_path, "en") == 2
    assert "there is no 'lump'" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert export.run(["redis-master"], "md", tmp_path / "file", "en") == 2
    assert "a folder to write into" in capsys.readouterr().err


def test_without_weasyprint_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(pdf.CannotPrint, match=r"-m pip install .weasyprint"):
        pdf.printed("", "en")
    asked = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]["handout"]
    assert pdf.WEASYPRINT in asked


def test_a_pdf_has_chinese_letters() -> None:
    """Not boxes: each of the letters is in the table from glyphs to Unicode of a font that is embedded."""
    try:
        made = pdf.printed("<p lang=zh>一个实验：亮</p>", "zh")
    except pdf.CannotPrint as exc:
        pytest.skip(str(exc))
    assert made.startswith(b"%PDF")
    streams = [_inflated(body) for body in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", made, re.DOTALL)]
    maps = b"".join(stream for stream in streams if b"beginbfchar" in stream).lower()
    for letter in "一个实验亮":
        assert letter.encode("utf-16-be").hex().encode() in maps, letter


def _inflated(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error:
        return body


def test_places_are_spelled_and_checks_in_a_row_are_one_box() -> None:
    lab = catalog.load(catalog.LABS, "redis-master", "en")
    for text in (html.page(lab, "en"), markdown.page(lab, "en")):
        assert "on the machine of the pod client" in text
        assert "node-of:pod" not in text
        boxes = re.split(r"☐ The check passes\.(?:</p>)?", text)[1:]
        assert len(boxes) > len(lab.steps) / 2
        assert all(box.strip() for box in boxes)


def test_a_picture_says_what_it_shows() -> None:
    lab = catalog.load(catalog.LABS, "redis-master", "zh")
    caption = next(part.caption for step in lab.steps for part in step.parts if isinstance(part, Picture))
    assert f"<figcaption>{caption} · <code>labkit packet" in html.page(lab, "zh")
