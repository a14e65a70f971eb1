"""`labkit story`: what happened to one object, and what it caused. All it does is in labkit/observe/story."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit import cluster as clusters
from labkit.cli.look import PANEL
from labkit.cli.terminal import DEFAULT_CLUSTER, Name, check_folder, err, out, write_picture
from labkit.cluster import Cluster

if TYPE_CHECKING:
    from labkit.observe.story.target import Target

app = typer.Typer()
_STORY = """Tell what happened to ONE object and what it caused, hop by hop: when, on which machine, in which function.

WHAT is KIND/NAME or KIND/NAMESPACE/NAME; it may be gone by now.

\b
  labkit story rc/redis-master                   its pods, their nodes, containers, Endpoints, rules, records
  labkit story pod/redis-master-x7f2k
  labkit story service/redis-master              what a name and an address are made of
  labkit story node/agent1                       registered, lost, given up, its pods deleted
  labkit story rc/redis-master --brief           only decisions, not the steps between them
  labkit story rc/redis-master --svg story.svg   as a sequence diagram, too
  labkit story rc/web --follow                   live, until Ctrl-C; then create it in another terminal

How it is known: every component writes a line of JSON for each decision, with the revision (resourceVersion) of what it
saw, into the journal of its machine (labkit logs NAME). Who saw a revision came after who wrote it: that order holds
even when the machines' clocks differ, and then the times are put right and the story says by how much. A journal keeps
32 MB: of what was rotated away only events are left. Exit code 1 when nothing is known of the object."""


@app.command(
    rich_help_panel=PANEL, help=_STORY, short_help="What happened to an object and what it caused, hop by hop."
)
def story(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="Which object: rc/NAME, pod/NAME, service/NAME, node/NAME ...")
    ],
    brief: Annotated[bool, typer.Option("--brief", help="Only what began it, decisions, and what was stored.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All pods hop by hop, not only the first.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw it into this file, too.", dir_okay=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON; with --follow one hop a line.")] = False,
    since: Annotated[
        str, typer.Option(help="Read journals from then on: '10 min ago', '2026-11-23 14:00'.", metavar="TIME")
    ] = "",
    name: Name = DEFAULT_CLUSTER,
) -> None:
    from labkit.observe.story import gather, picture, sequence, tell
    from labkit.observe.story import target as words

    check_folder(svg)
    if svg and follow:
        raise typer.BadParameter("a picture is drawn of what has happened: leave out --svg or --follow")
    cluster = clusters.load(name)
    try:
        target = words.parse(what)
    except words.Unclear as exc:
        raise typer.BadParameter(str(exc), param_hint="WHAT") from exc
    try:
        if follow:
            return _follow(cluster, target, since, brief, everything, json)
        told = tell.tell(gather.known(cluster, target, since), everything=everything)
    except words.Unclear as exc:
        raise typer.BadParameter(str(exc), param_hint="--since") from exc
    if json:
        sys.stdout.write(tell.as_json(told))
    else:
        picture.draw(told, out, brief=brief)
    if svg:
        write_picture(svg, sequence.draw(told, brief=brief))
    raise typer.Exit(0 if told.found or told.exists else 1)


def _follow(cluster: Cluster, target: "Target", since: str, brief: bool, everything: bool, json: bool) -> None:
    """What is known already, then each hop as it comes. Ctrl-C is the way to end it, and no failure."""
    from labkit.observe.story import follow, gather, tell
    from labkit.observe.story.show import Printer

    ears = follow.Ears(cluster)
    ears.start()  # before the journals are read: between the two nothing gets lost
    try:
        known = gather.known(cluster, target, since)
        printer = Printer(out, brief=brief, json=json)
        printer.start(tell.tell(known, everything=everything))
        err.print(f"following {target.path}; Ctrl-C ends", style="dim", highlight=False)
        for news in follow.follow(follow.Live(known, everything=everything), ears):
            printer.go_on(news)
            while not ears.troubles.empty():
                err.print(ears.troubles.get(), style="yellow", highlight=False, markup=False)
    except KeyboardInterrupt:
        err.print()
    finally:
        ears.close()
