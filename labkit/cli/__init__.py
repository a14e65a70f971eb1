"""The controller script: `labkit up`, `labkit lab`, and what lies between.

Exit codes: 0 fine, 1 a check did not pass, 2 wrong usage or a faulty file, 3 a machine or a command failed,
130 interrupted.
"""

import os
from typing import Annotated

import typer

from labkit.api.errors import ApiError
from labkit.cli import faults, learn, look, machines, storage, story, workloads
from labkit.cli.terminal import INTERRUPTED, fail
from labkit.client.kubeconfig import KubeconfigError
from labkit.cluster import ClusterError
from labkit.provision.errors import CommandFailed
from labkit.provision.faults.target import Unclear
from labkit.provision.own import OwnFileError
from labkit.rolling_update import UpdateError

app = typer.Typer(
    name="labkit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A small Kubernetes of 2015 on machines of its own, every component of it readable Python, and labs that check"
    " themselves.",
    epilog="Start with `labkit up`, then `labkit lab redis-master`.",
)
app.add_typer(machines.app)
app.add_typer(learn.app)
app.add_typer(workloads.app)
app.add_typer(look.app)
app.add_typer(story.app)
app.add_typer(faults.app, name="fault", rich_help_panel=machines.PANEL)
app.add_typer(storage.app, name="storage", rich_help_panel=machines.PANEL)


@app.callback()
def choose(
    cluster: Annotated[str | None, typer.Option(help="Which cluster (default: $LABKIT_CLUSTER, else lab).")] = None,
) -> None:
    if cluster:  # the commands' own option --cluster reads it from there
        os.environ["LABKIT_CLUSTER"] = cluster


def main() -> None:
    """The entry point. Expected failures become a message and an exit code; a bug keeps its traceback."""
    try:
        app(prog_name="labkit")
    except (ClusterError, KubeconfigError, OwnFileError, Unclear) as exc:
        fail(str(exc), 2)
    except (CommandFailed, UpdateError) as exc:
        fail(str(exc), exc.exit_code)
    except ApiError as exc:
        fail(f"kube-apiserver: {exc}", 3)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
