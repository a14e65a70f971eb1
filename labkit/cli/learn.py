"""The commands that teach: labs and walkthroughs. All they do is in labkit/guide."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from labkit.cli.terminal import DEFAULT_CLUSTER, Name

app = typer.Typer()
PANEL = "Learn"
Language = Annotated[str | None, typer.Option("--lang", help="en or zh.")]
PLAY = "play"


class Labs(TyperGroup):
    """`labkit lab redis-master` is `labkit lab play redis-master`; without a word it is `labkit lab list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = [word for word in args if not word.startswith("-")]
        if not words and not {"--help", "-h"} & set(args):
            args = ["list", *args]
        elif words and words[0] not in self.commands:
            args = [PLAY, *args]
        return super().parse_args(ctx, args)


lab = typer.Typer(
    cls=Labs,
    help="A lab: explained step by step, done by you, checked. `labkit lab` lists them; `labkit lab NAME` begins one or"
    " goes on with it.",
)
app.add_typer(lab, name="lab", rich_help_panel=PANEL)


@lab.command("list")
def list_labs(lang: Language = None, name: Name = DEFAULT_CLUSTER) -> None:
    """The labs, and how far you are."""
    from labkit.guide import play as guide

    raise typer.Exit(guide.list_labs(name, lang))


@lab.command(PLAY)
def play_lab(
    which: Annotated[str, typer.Argument(metavar="NAME", help="As `labkit lab` lists it.")],
    play: Annotated[
        bool, typer.Option("--play", help="Let the lab play its own solution, checking before and after.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Play it without each of its steps in turn: does a later check name it?")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what a played lab made.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Remove what the lab made, and start over.")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="One column of text, no second pane: for a screen reader or a slow line.")
    ] = False,
    seed: Annotated[str, typer.Option(help="What varies from learner to learner is drawn from this word.")] = "",
    lang: Language = None,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Begin a lab or go on with it (the word `play` can be left out)."""
    from labkit.guide import play as guide
    from labkit.guide import theatre

    if skip:
        raise typer.Exit(guide.prove_tight(which, name, lang=lang, seed=seed))
    if play:
        raise typer.Exit(guide.prove_lab(which, name, lang=lang, keep=keep, seed=seed))
    if not reset and not plain and theatre.possible():
        raise typer.Exit(theatre.play(name, ["lab", *sys.argv[sys.argv.index("lab") + 1 :], "--plain"]))
    raise typer.Exit(guide.run_lab(which, name, reset=reset, lang=lang, seed=seed))


@lab.command("check")
def check_lab(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A page, in any language.")],
) -> None:
    """For authors: is this page a lab? Says each fault with its line."""
    from labkit.guide import lint

    raise typer.Exit(lint.run(path))


@lab.command("new")
def new_lab(
    which: Annotated[str, typer.Argument(metavar="NAME", help="Of a-z, 0-9 and -.")],
    folder: Annotated[Path, typer.Option("--in", help="Where it is put.")] = Path("labs"),
) -> None:
    """For authors: a lab of one step, in both languages, that plays as it is."""
    from labkit.guide import skeleton

    raise typer.Exit(skeleton.run(which, folder))


@lab.command("export")
def export_lab(
    which: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Labs, walkthroughs.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    form: Annotated[str, typer.Option("--format", help="md, html, pdf or all.")] = "html",
    out: Annotated[Path, typer.Option(help="The folder to write into.")] = Path("handouts"),
    solutions: Annotated[
        bool, typer.Option("--solutions", help="For the instructor: with answers and checks.")
    ] = False,
    seed: Annotated[str, typer.Option(help="What varies is drawn from this word, as with `labkit lab --seed`.")] = "",
    lang: Language = None,
) -> None:
    """Handouts: labs with recorded outputs and pictures, without their solutions. --all writes an index.html, too."""
    from labkit.guide.handout import export

    if bool(which) == everything:
        raise typer.BadParameter("say which labs, or --all", param_hint="NAME")
    raise typer.Exit(export.run(which or [], form, out, lang, solutions, seed))


@lab.command("view", hidden=True)
def view_lab(
    what: Annotated[str, typer.Argument(help="pods, endpoints, rules, dns, log:UNIT ...")] = "pods",
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """What a lab is about, live, until Ctrl-C."""
    from labkit.guide import live

    raise typer.Exit(live.run(what, name))


@app.command(rich_help_panel=PANEL)
def walkthrough(
    which: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Without a name: the walkthroughs.")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Wait for no key, only as long as reading takes.")] = False,
    notes: Annotated[bool, typer.Option("--notes", help="Show the speaker's notes (key o).")] = False,
    typing: Annotated[float, typer.Option(help="Characters a second; 0: commands appear at once.", min=0)] = 40,
    pause: Annotated[float, typer.Option(help="With --auto: 2 is twice as long, 0 does not pause.", min=0)] = 1,
    record: Annotated[
        list[Path] | None, typer.Option(help="Write FILE.cast (asciinema) or FILE.html; may be given twice.")
    ] = None,
    lang: Language = None,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Present how it works: the source on screen, commands typed and run on the cluster, for one or for a room."""
    from labkit.guide import show

    if which is None:
        raise typer.Exit(show.list_walkthroughs(lang))
    wishes = show.Wishes(auto, notes, typing, pause, record or [])
    raise typer.Exit(show.run_walkthrough(which, name, wishes, lang=lang))
