"""The commands that look into the network: what a request meets. All they do is in labkit/observe."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from labkit import cluster as clusters
from labkit.cli.terminal import DEFAULT_CLUSTER, Name, check_folder, err, out, write_picture

app = typer.Typer()
PANEL = "Look"
_PACKET = """Send ONE request and draw its way: each rule it met and the line of code that wrote it, and back.

FROM is pod/NAME (or pod/NAMESPACE/NAME, or pod/LABEL=VALUE), node/MACHINE, or host. TO is SERVICE:PORT,
NAMESPACE/SERVICE:PORT or IP:PORT.

\b
  labkit packet pod/client redis-master:6379
  labkit packet 'pod/client -> redis-master:6379'    quoted: the shell would take > for a file
  labkit packet node/agent1 kubernetes:443
  labkit packet host frontend:80                     from here: only through a node port of a machine
  labkit packet pod/client frontend --via agent2     a pod, through agent2's node port
  labkit packet pod/client redis-master --send 'PING\\r\\n' --svg packet.svg

How it is seen: a rule of nftables marks the first packet of this one request, the kernel tells each rule that it meets
(nft monitor trace), conntrack how its addresses change, ss whose sockets carry it. Exit code 1 when something is wrong
on the way, and then it says what."""


@app.command(
    rich_help_panel=PANEL, help=_PACKET, short_help="Send one request and draw its way: rules, proxy, pod, and back.",
    context_settings={"ignore_unknown_options": True},
)  # fmt: skip
def packet(
    ends: Annotated[list[str], typer.Argument(metavar="FROM TO", help="Who asks, and whom.")],
    via: Annotated[str, typer.Option(help="Through the node port on this machine.", metavar="MACHINE")] = "",
    send: Annotated[str, typer.Option(help="Say this once connected (\\r, \\n are understood).", metavar="TEXT")] = "",
    svg: Annotated[Path | None, typer.Option(help="Draw it into this file, too.", dir_okay=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON instead.")] = False,
    seconds: Annotated[float, typer.Option(min=0.5, max=60, help="Wait so long for an answer.")] = 5.0,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    from labkit.observe import ends as words
    from labkit.observe import journey, picture, question, telling
    from labkit.observe import packet as asking
    from labkit.observe import svg as paper
    from labkit.observe.objects import Refused

    _teach(ends)
    check_folder(svg)
    cluster = clusters.load(name)
    try:
        start, to = words.parse(ends)
        objects = asking.objects(cluster)
        asked = question.ask(start, to, objects, cluster, via)
    except (words.Unclear, Refused) as exc:
        err.print(str(exc), style="red", highlight=False, soft_wrap=True, markup=False)
        raise typer.Exit(getattr(exc, "exit_code", 2)) from exc
    told = telling.tell(asking.investigate(asked, objects, cluster, _spoken(send), seconds), cluster)
    if json:
        sys.stdout.write(journey.as_json(told))
    else:
        picture.draw(told, out)
    if svg:
        write_picture(svg, paper.draw(told))
    raise typer.Exit(0 if told.well else 1)


_DNS = """Look a name up as a program in a pod would: each name that is tried, whom it asked, what came back.

FROM is a pod (NAME, NAMESPACE/NAME or pod/NAME) or node/MACHINE.

\b
  labkit dns redis-master --from client
  labkit dns redis-master.prod --from default/client
  labkit dns _redis._tcp.redis-master.default.svc.cluster.local --type SRV --from client
  labkit dns 10.0.0.11 --from client                  whose address is that?
  labkit dns kubernetes.default.svc.cluster.local --from node/agent1

/etc/resolv.conf of the pod lists words to try (search) and whom to ask (nameserver). A name with fewer dots than
ndots is tried with each word first, and as it is at last; one that ends with a dot only as it is. NXDOMAIN (no such
name), and an answer without records (the name has none of that type), lead to the next; REFUSED ends it. A program
mostly asks for A and AAAA together; this asks for one type. Exit code 1 when the name is not found, and then it says
which step is missing: the service, its endpoints, kube-proxy and its rules, the route, kube-dns."""


@app.command(rich_help_panel=PANEL, help=_DNS, short_help="Look a name up from a pod: each step, and who answered.")
def dns(
    wanted: Annotated[str, typer.Argument(metavar="NAME", help="A name, or an IPv4 address.")],
    start: Annotated[str, typer.Option("--from", help="Who asks.", metavar="FROM")],
    kind: Annotated[str, typer.Option("--type", help="A, AAAA, SRV, PTR, TXT ...", metavar="TYPE")] = "A",
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON instead.")] = False,
    seconds: Annotated[float, typer.Option(min=0.2, max=20, help="Wait so long for each answer.")] = 2.0,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    from labkit.observe import ends as words
    from labkit.observe import lookup, name_faults, name_picture
    from labkit.observe import packet as asking
    from labkit.observe.objects import Refused

    cluster = clusters.load(name)
    try:
        asker = words.parse_asker(start)
        objects = asking.objects(cluster)
        place = lookup.place(asker, wanted, kind.upper(), objects, cluster)
    except (words.Unclear, Refused) as exc:
        err.print(str(exc), style="red", highlight=False, soft_wrap=True, markup=False)
        raise typer.Exit(getattr(exc, "exit_code", 2)) from exc
    evidence = lookup.investigate(place, objects, cluster, seconds)
    told = lookup.tell(evidence, name_faults.find(evidence, cluster))
    if json:
        sys.stdout.write(lookup.as_json(told))
    else:
        name_picture.draw(told, out)
    raise typer.Exit(0 if told.well else 1)


def _teach(ends: list[str]) -> None:
    """What went wrong when the words are not those that were typed."""
    if ends and ends[-1] == "-" and not sys.stdout.isatty():
        took = f"{Path('/proc/self/fd/1').readlink()} " if Path("/proc/self/fd/1").exists() else ""
        err.print(
            f"Your shell took the > of -> for \"write into a file\" ({took}is now empty: remove it). Quote the request,"
            " or leave the arrow out:\n  labkit packet 'pod/client -> redis-master:6379'\n"
            "  labkit packet pod/client redis-master:6379",
            style="red", highlight=False, soft_wrap=True, markup=False,
        )  # fmt: skip
        raise typer.Exit(2)
    if unknown := [word for word in ends if word.startswith("--")]:
        raise typer.BadParameter(f"no such option: {unknown[0]}")


def _spoken(text: str) -> bytes:
    """What --send means: `\\r\\n` typed in a shell is four characters."""
    return text.replace("\\r", "\r").replace("\\n", "\n").encode()
