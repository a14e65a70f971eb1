"""The side view: what the lab is about, live beside it.

Each view is one command of a root shell, the same that a learner may type, run again and again on one machine.
"""

from dataclasses import dataclass

from labkit.guide.places import Place


@dataclass(frozen=True)
class View:
    place: Place
    command: str
    follows: bool = False  # the command does not end by itself

    @property
    def once(self) -> str:
        """The command, ending by itself."""
        return self.command.replace("journalctl -fu", "journalctl -u") if self.follows else self.command


VIEW_SECONDS = 20  # what a view's command may take


_MASTER = Place("machine", machine="master")
_AGENT = Place("machine", machine="agent1")

VIEWS = {
    "pods": View(_MASTER, "kubectl get rc,pods -o wide"),
    "endpoints": View(_MASTER, "kubectl get services,endpoints"),
    "nodes": View(_MASTER, "kubectl get nodes"),
    "events": View(_MASTER, "kubectl get events --sort-by=.lastTimestamp | tail -n 20"),
    "rules": View(_AGENT, "iptables -t nat -S | grep -e '^-A KUBE-' -e 'j KUBE-' || nft list table ip kube-proxy"),
    "dns": View(_MASTER, "journalctl -u kube-dns -n 20 -o cat --no-pager"),
    "etcd": View(_MASTER, "journalctl -u etcd -n 20 -o cat --no-pager"),
    "log": View(_MASTER, "journalctl -fu {unit} -o cat -n 30 --no-pager", follows=True),
}


def view_of(name: str) -> View:
    """`pods`, or `log:kube-scheduler` for the log of one unit on the master, `log:kubelet@agent1` for another machine.
    Raises KeyError for a view that there is not."""
    kind, _, rest = name.partition(":")
    view = VIEWS[kind]
    unit, _, machine = rest.partition("@")
    place = Place("machine", machine=machine) if machine else view.place
    return View(place, view.command.format(unit=unit) if unit else view.command, view.follows)
