"""The controller script: `labkit up`, `labkit lab`, and what lies between.

Exit codes: 0 fine, 1 a check did not pass, 2 wrong usage or a faulty file, 3 a machine or a command failed,
130 interrupted.
"""

import os
from enum import StrEnum
from typing import Annotated, Any

import typer

from labkit import __version__
from labkit.api.errors import ApiError
from labkit.cli import bundle, examples, faults, learn, life, look, machines, storage, story, workloads
from labkit.cli.terminal import INTERRUPTED, fail
from labkit.client.kubeconfig import KubeconfigError
from labkit.cluster import ClusterError
from labkit.provision.errors import BundleError, CommandFailed
from labkit.provision.faults.target import Unclear
from labkit.provision.own import OwnFileError
from labkit.rolling_update import UpdateError


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


app = typer.Typer(
    name="labkit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A small Kubernetes of 2015 on machines of its own, every component of it readable Python, and labs that check"
    " themselves.",
    epilog="Start with `labkit up`, then `labkit lab redis-master`. `labkit COMMAND --help` has examples.\n\n"
    "Exit codes: 0 fine, 1 a check did not pass, 2 wrong usage or a faulty file, 3 a machine or a command failed, 130"
    " interrupted. Environment: LABKIT_CLUSTER (which cluster), LABKIT_HOME (where clusters are kept).",
)
app.add_typer(machines.app)
app.add_typer(life.app)
app.add_typer(learn.app)
app.add_typer(workloads.app)
app.add_typer(look.app)
app.add_typer(story.app)
app.add_typer(faults.app, name="fault", rich_help_panel=machines.PANEL)
app.add_typer(storage.app, name="storage", rich_help_panel=machines.PANEL)
app.add_typer(bundle.app, name="bundle", rich_help_panel=machines.PANEL)


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"labkit {__version__}")
        raise typer.Exit


@app.callback()
def choose(
    cluster: Annotated[str | None, typer.Option(help="Which cluster (default: $LABKIT_CLUSTER, else lab).")] = None,
    version: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=show_version, help="Say which labkit this is.")
    ] = False,
) -> None:
    if cluster:  # the commands' own option --cluster reads it from there
        os.environ["LABKIT_CLUSTER"] = cluster


@app.command(rich_help_panel="Help")
def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(help="Whose: bash, zsh or fish.")]
) -> None:
    """Print the script with which that shell completes labkit's commands, options, machines and services."""
    os.environ["_LABKIT_COMPLETE"] = f"source_{shell.value}"
    context.find_root().command.main(args=[], prog_name="labkit")


def command() -> Any:
    """The whole command line, with its examples."""
    built = typer.main.get_command(app)
    examples.attach(built)
    return built


def main() -> None:
    """The entry point. Expected failures become a message and an exit code; a bug keeps its traceback."""
    try:
        command()(prog_name="labkit")
    except (ClusterError, KubeconfigError, OwnFileError, Unclear) as exc:
        fail(str(exc), 2)
    except (BundleError, CommandFailed, UpdateError) as exc:
        fail(str(exc), exc.exit_code)
    except ApiError as exc:
        fail(f"kube-apiserver: {exc}", 3)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
