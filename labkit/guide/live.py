"""`labkit lab view NAME`: one view of the cluster, drawn again and again until Ctrl-C."""

import subprocess
import time

from rich.console import Group
from rich.live import Live
from rich.text import Text

from labkit.cluster import load as load_cluster
from labkit.guide.machines import Machines
from labkit.guide.places import NowhereError
from labkit.guide.play import FINE, WRONG, guarded
from labkit.guide.screen import Screen, Terminal
from labkit.guide.views import VIEW_SECONDS, VIEWS, View, view_of
from labkit.guide.words import Words

AGAIN = 1.0  # seconds between two looks


def run(name: str, cluster_name: str) -> int:
    def shown(screen: Screen, words: Words) -> int:
        try:
            view = view_of(name)
        except KeyError:
            screen.say(words("no-view", name=name, views=", ".join(VIEWS)), "bad")
            return WRONG
        machines = Machines(load_cluster(cluster_name), "")
        try:
            if view.follows:
                return subprocess.run(machines.follow(machines.find(view.place), view.command), check=False).returncode
            _draw(machines, name, view)
        except KeyboardInterrupt:
            return FINE
        finally:
            machines.close()
        return FINE

    return guarded(None, shown)


def _draw(machines: Machines, name: str, view: View) -> None:
    console = Terminal().console
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            try:
                text = machines.run(machines.find(view.place), view.command, VIEW_SECONDS, {}).text
            except NowhereError as exc:
                text = str(exc)
            lines = [line[: console.width] for line in text.splitlines()][: console.height - 1]
            live.update(
                Group(Text(f"{name}  {time.strftime('%H:%M:%S')}", style="cyan"), *map(Text, lines)), refresh=True
            )
            time.sleep(AGAIN)
