"""The commands that teach: labs and walkthroughs. All they do is in labkit/guide."""

from typing import Annotated

import typer

from labkit.cli.terminal import DEFAULT_CLUSTER, Name

app = typer.Typer()
PANEL = "Learn"
Language = Annotated[str | None, typer.Option("--lang", help="en or zh.")]


@app.command(rich_help_panel=PANEL)
def lab(
    which: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Without a name: the labs, and how far you are.")
    ] = None,
    play: Annotated[
        bool, typer.Option("--play", help="Let the lab play its own solution, checking before and after.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what a played lab made.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Start over.")] = False,
    lang: Language = None,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """A lab: explained step by step, done by you, checked."""
    from labkit.guide import play as guide

    if which is None:
        raise typer.Exit(guide.list_labs(name, lang))
    raise typer.Exit(guide.run_lab(which, name, play=play, reset=reset, lang=lang, keep=keep))


@app.command(rich_help_panel=PANEL)
def walkthrough(
    which: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Without a name: the walkthroughs.")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Do not wait for Enter.")] = False,
    lang: Language = None,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Read how it works, with the source beside it and the cluster at hand."""
    from labkit.guide import play as guide

    if which is None:
        raise typer.Exit(guide.list_walkthroughs(lang))
    raise typer.Exit(guide.run_walkthrough(which, name, auto=auto, lang=lang))
