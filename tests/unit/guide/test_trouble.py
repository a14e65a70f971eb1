"""What a learner, an author and a network may do wrong: a clear word, an offer, no lost progress."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from labkit.guide import catalog, lint, play
from labkit.guide.desk import Plain
from labkit.guide.engine import Progress
from labkit.guide.keys import Quit
from labkit.guide.parse import parse
from labkit.guide.places import Spot
from labkit.guide.progress import ProgressFile
from labkit.guide.stage import Outcome
from labkit.guide.tutor import Tutor
from labkit.guide.words import Words
from labkit.provision.errors import CommandFailed
from tests.unit.guide.pages import PAGE, FakeScreen, FakeStage, page


class LostStage(FakeStage):
    """The connection breaks where `breaks` says so, until it has been mended `mended` times."""

    def __init__(self, breaks: Callable[[str], bool], mended: int = 1) -> None:
        super().__init__()
        self.breaks, self.left = breaks, mended

    def run(self, spot: Spot, command: str, timeout: float, answers: Mapping[str, str]) -> Outcome:
        if self.left and self.breaks(command):
            self.left -= 1
            raise CommandFailed("master", "reach it over SSH")
        return super().run(spot, command, timeout, answers)


def led(stage: FakeStage, typed: list[str], start: Progress | None = None, text: str = PAGE) -> tuple[FakeScreen, list]:  # type: ignore[type-arg]
    screen, saved = FakeScreen(typed), []  # type: ignore[var-annotated]
    tutor = Tutor(page(text), stage, Plain(stage), screen, Words("en"), saved.append)
    try:
        tutor.lead(start or Progress())
    except (Quit, EOFError):
        pass
    return screen, saved


def test_a_lost_connection_is_said_and_the_same_command_runs_when_it_is_back() -> None:
    screen, saved = led(LostStage(lambda command: "echo on" in command), ["", "b", "", "n", "", ""])
    assert "reach it over SSH failed" in screen.text
    assert "labkit up" in screen.text
    assert screen.text.count("master# echo on") == 2
    assert saved[-1].passed == ("on",)


@pytest.mark.parametrize("begins_anew", [False, True])
def test_a_set_up_or_a_reset_on_a_machine_that_is_away_is_tried_again(begins_anew: bool) -> None:
    text = PAGE.replace("<!-- id on -->", "<!-- id on -->\n\n<!-- setup on=agent1\ntouch plugged\n-->")
    stage = LostStage(lambda command: ("rm -f lamp" if begins_anew else "plugged") in command)
    typed = ["", "x", ""] if not begins_anew else ["", "b", "r", "y", "x", ""]
    text = text.replace("It shines", "<!-- reset on=master\nrm -f lamp; true\n-->\n\nIt shines")
    screen, _ = led(stage, typed, text=text)
    assert "reach it over SSH failed" in screen.text
    assert (Path(stage.folder.name) / "plugged").exists()
    assert not stage.left


def test_who_stops_while_it_is_away_loses_nothing() -> None:
    _, saved = led(LostStage(lambda command: "grep" in command, mended=9), ["", "b", "", "q"])
    assert (saved[-1].step, saved[-1].part) == ("on", 3)


def test_watching_outlives_a_lost_connection() -> None:
    class Away(LostStage):
        """Goes away while somebody watches, and is there again when they look themselves."""

    stage = Away(lambda command: "test -e bright" in command)
    screen, saved = led(stage, ["", "b", "", "", "a", "2", "", "n", ""])
    assert "reach it over SSH failed" not in screen.text
    assert saved[-1].finished or saved[-1].step == "bright"


def test_a_command_that_fails_because_of_an_earlier_step_leads_back_to_it() -> None:
    stage = FakeStage()
    text = PAGE.replace("<!-- solution on=master\ntouch bright\n-->", "```sh on=master\ncat lamp && touch bright\n```")
    _, saved = led(stage, ["", "b", "", ""], text=text)
    assert saved[-1].passed == ("on",)
    stage.run(Spot("master"), "rm lamp", 5, {})  # the learner deletes what the next step needs
    screen, saved = led(stage, ["a", "2", "", "b", "q"], start=saved[-1], text=text)
    assert 'The cause lies earlier: step "Switch it on"' in screen.text
    assert (saved[-1].step, saved[-1].passed) == ("on", ())
    assert stage.brought == 1  # its files come again


def test_a_step_begun_anew_gets_its_files_again() -> None:
    stage = FakeStage()
    led(stage, ["", "b", "r", "y", "q"])
    assert stage.brought == 1


def test_a_broken_lab_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("01-lamp", PAGE), ("02-broken", PAGE.replace("a. nothing\nb. on", "a. nothing"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lab.md").write_text(text)
    monkeypatch.setattr(catalog, "LABS", tmp_path)
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "state"))
    screen = FakeScreen()
    play._show_labs(screen, Words("en"), "lab", "en")
    assert "lamp A lamp 5 0%" in screen.text
    assert "cannot be read:" in screen.text
    assert "02-broken/lab.md:" in screen.text


def test_a_machine_that_no_lab_has_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "lab.md"
    path.write_text(PAGE.replace("```sh check on=master within=1", "```sh check on=mars within=1"))
    (fault,) = [fault for _, fault in lint.faults_of(parse(path, "lamp")) if "mars" in fault]
    assert fault == "on=mars: no machine of this lab; expected one of master, agent1, agent2"


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        (CommandFailed("agent1", "reach it"), 3, "labkit up"),
        (OSError(28, "No space left on device", "progress.json"), 3, "No space left on device"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_whatever_ends_the_guide_is_one_word_and_a_code(
    trouble: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*whatever: object) -> int:
        raise trouble

    assert play.guarded("en", broken) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_seed_is_kept_and_progress_is_not_lost_by_a_reset_of_another(tmp_path: Path) -> None:
    book = ProgressFile(tmp_path)
    seed = book.seed()
    book.save("lamp", Progress("on", 1))
    book.forget("other")
    assert book.seed() == seed
    assert book.load("lamp").part == 1
