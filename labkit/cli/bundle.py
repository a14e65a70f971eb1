"""`labkit bundle`: one file with all that `labkit up` would fetch, for rooms without internet."""

import asyncio
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from labkit.cli.terminal import DEFAULT_CLUSTER, Name, err, fail, out, reporting, use_mirrors
from labkit.cluster import Cluster
from labkit.cluster_rules import EXISTING

if TYPE_CHECKING:
    from labkit.provision.bundle.archive import Bundle

app = typer.Typer(
    no_args_is_help=True,
    help="All that `labkit up` would fetch, in one signed file, for rooms without internet.",
)
PORT = 8790
File = Annotated[Path, typer.Argument(metavar="FILE", help="The bundle.")]
Trust = Annotated[
    str, typer.Option(metavar="FINGERPRINT", help="Believe this maker from now on; ask them for it, not the file.")
]


@app.command()
def create(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Default: labkit-VERSION-ARCH.bundle.")] = None,
    arch: Annotated[
        list[str] | None, typer.Option(help="Wheels for machines of this architecture as well: x86_64, aarch64.")
    ] = None,
    with_box: Annotated[
        bool, typer.Option("--with-box", help="The box of virtual machines as well, for `up --provider libvirt`.")
    ] = False,
    packages: Annotated[
        bool,
        typer.Option("--packages", help="Debian packages in place of the machines' image, which the room builds then."),
    ] = False,
    name: Name = DEFAULT_CLUSTER,
) -> None:
    """Put the machines' image, the wheels and labkit itself into one file. Needs a network, also where all is cached.

    The room's computers need docker for the image; docker, debootstrap and root for --packages; libvirt for --with-box.
    What is fetched comes from cluster.json's mirrors, if it has some.
    """
    import labkit
    from labkit.provision import wheels
    from labkit.provision.bundle.create import Contents
    from labkit.provision.bundle.create import create as make

    use_mirrors(name)
    path = file or Path(f"labkit-{labkit.__version__}-{wheels.architecture()}.bundle")
    contents = Contents(packages=packages, box=with_box, arches=arch or [])
    with reporting("nothing was written; what was built is kept for the next try") as report:
        report.step("host", f"make {path}")
        make(path, contents, lambda line: report.detail("host", line))
        report.done("host")
    _show(path)
    out.print("\nnext, in the room:  labkit bundle serve FILE --address ADDRESS", highlight=False)
    out.print("on each computer:   labkit up --bundle FILE", highlight=False)


@app.command()
def show(file: File) -> None:
    """Who made it, when, for which labkit, and what is in it. Quick: only the manifest is read and proven."""
    _show(file)


@app.command()
def verify(file: File) -> None:
    """Compare every byte with what was signed."""
    from labkit.provision.bundle.archive import open_bundle

    bundle = open_bundle(file)
    with _bar() as bar:
        task = bar.add_task(str(file), total=bundle.manifest.size)
        bundle.verify(lambda count: bar.advance(task, count))
    out.print(f"{file}: whole, as signed by {bundle.fingerprint}", style="green", highlight=False, soft_wrap=True)


@app.command()
def serve(
    file: File,
    address: Annotated[str, typer.Option(help="This computer's address in the room's network.")],
    port: Annotated[int, typer.Option(min=0, max=65535)] = PORT,
) -> None:
    """Hand it to the room over HTTP: who has got how much is shown; copies that break off go on. Ctrl-C ends it."""
    from labkit.provision.bundle.archive import open_bundle

    try:
        ipaddress.IPv4Address(address)
    except ValueError as exc:
        raise typer.BadParameter(f"{address!r}: expected one such as 192.168.1.10", param_hint="--address") from exc
    bundle = open_bundle(file)
    try:
        asyncio.run(_serve(bundle, address, port))
    except OSError as exc:
        fail(f"{address}:{port}: {exc.strerror}", 3)


@app.command()
def fetch(
    url: Annotated[str, typer.Argument(metavar="URL", help="What `labkit bundle serve` printed.")],
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Default: as it is called there.")] = None,
) -> None:
    """Take a bundle from the room's server. A copy that breaks off is kept: the same command goes on with it."""
    from labkit.provision.bundle.fetch import fetch as take

    path = file or Path(url.rstrip("/").rpartition("/")[2] or "labkit.bundle")
    with _bar() as bar:
        task = bar.add_task(str(path), total=None)
        asyncio.run(take(url, path, lambda have, of: bar.update(task, completed=have, total=of)))
    _show(path)


def unpack(file: Path, trust: str, cluster: Cluster) -> None:
    """For `labkit up --bundle`: what it carries goes where `up` looks for it, if its maker is believed."""
    from labkit.provision import wheels
    from labkit.provision.bundle.archive import open_bundle
    from labkit.provision.bundle.use import unpack as put
    from labkit.provision.existing import from_bundle

    bundle = open_bundle(file)
    _believe(bundle.fingerprint, trust, file)
    with reporting("what was unpacked is kept; run the same again") as report:
        report.step("host", f"unpack {file.name}")
        keep = from_bundle.archive(cluster) if cluster.provider == EXISTING else None
        put(bundle, wheels.architecture(), cluster.provider, lambda line: report.detail("host", line), keep)
        report.done("host")


def _believe(fingerprint: str, trust: str, file: Path) -> None:
    """Code from the file will run as root on the machines: its maker must be known, once."""
    from labkit.provision.bundle import keys

    if keys.is_trusted(fingerprint):
        return
    if trust and not keys.same(trust, fingerprint):
        fail(f"{file}: was made by {fingerprint}, not by {trust}", 2)
    if not trust and not (
        out.is_terminal and typer.confirm(f"{file} was made by {fingerprint}. Is that what its maker told you?")
    ):
        fail(
            f"{file}: was made by {fingerprint}, whom this computer does not know.\n"
            f"Compare that with its maker's words (`labkit bundle show` there), then: --trust {fingerprint}", 2,
        )  # fmt: skip
    keys.trust(fingerprint)


def _show(path: Path) -> None:
    from labkit.provision import wheels
    from labkit.provision.bundle import keys
    from labkit.provision.bundle.archive import open_bundle
    from labkit.provision.bundle.use import misfits

    bundle = open_bundle(path)
    manifest = bundle.manifest
    known = "known here" if keys.is_trusted(bundle.fingerprint) else "not known here"
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in (
        ("file", f"{path}, {path.stat().st_size / 1e6:,.0f} MB"),
        ("made by", f"{bundle.fingerprint} ({known})"),
        ("made", manifest.made),
        ("labkit", manifest.labkit),
        ("machines", f"{manifest.image} on {manifest.arch}; wheels for {', '.join(manifest.machines)}"),
        ("members", ", ".join(f"{member.name} {member.size / 1e6:.1f} MB" for member in manifest.members)),
        ("box", manifest.box or "none"),
        ("here", "; ".join(misfits(bundle, wheels.architecture())) or "fits this labkit and this computer"),
    ):
        table.add_row(name, text)
    out.print(table, highlight=False)


async def _serve(bundle: "Bundle", address: str, port: int) -> None:
    from labkit.provision.bundle.serve import Copies, Server

    with _bar() as bar:
        tasks: dict[str, TaskID] = {}

        def told(copies: Copies) -> None:
            for client, taken in copies.taken.items():
                if client not in tasks:
                    tasks[client] = bar.add_task(client, total=copies.size)
                bar.update(tasks[client], completed=taken)

        server = Server(bundle, told)
        port = await server.start(address, port)
        out.print(f"on the room's computers:  labkit bundle fetch http://{address}:{port}/{bundle.path.name}")
        out.print(f"made by {bundle.fingerprint}: say it aloud, they will be asked for it. Ctrl-C ends.")
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=err,
        disable=not err.is_terminal,
    )  # fmt: skip
