"""What a hop did, in a learner's words. A decision that has no words here is told by its name and its fields."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from labkit.observe.story.lines import Applied, Line, Step, asked_by

DATED = "dated"
_WIDEST = 240
_Fields = Mapping[str, Any]


def short(path: str) -> str:
    """`pods/default/x` as kubectl would write it: `pod x`; another namespace than default is named."""
    resource, _, name = path.partition("/")
    singular = {"replicationcontrollers": "rc", "pods": "pod", "services": "service", "nodes": "node"}
    return f"{singular.get(resource, resource)} {name.removeprefix('default/')}"


_DONE = {
    "created": "decoded, defaulted, validated", "bound": "is it still without a node?", "deleted": "may it go?",
    "deletion started": "how long may it take?", "status updated": "its status, nothing else",
}  # fmt: skip


def who(cause: str) -> str:
    """`POST by admin with kubectl`, `PUT by kubelet on agent1`: without the versions and the prefixes of user names."""
    found = asked_by(cause)
    if found is None:
        return cause or "somebody"
    agent = found["agent"] or ""
    if found["user"].startswith("system:node:"):
        return f"{found['verb']} by {agent or 'kubelet'} on {found['user'].rpartition(':')[2]}"
    user = found["user"].removeprefix("system:")
    return f"{found['verb']} by {user}" + (f" with {agent}" if agent and agent != user else "")


def request(line: Line) -> str:
    return f"{who(line.cause)}: {short(line.object)}: {_DONE.get(line.decision, 'decoded, compared, validated')}"


def transaction(line: Line) -> str:
    put = "delete the key" if line.decision == "deleted" else "put the key"
    condition = "if it does not exist" if line.decision == "created" else "if nobody has changed it meanwhile"
    return f"one transaction: {put} of {short(line.object)} {condition}"


def stored(line: Line) -> str:
    return f"{line.decision}: {short(line.object)} is at revision {line.revision}"


def cached(line: Line) -> str:
    return f"etcd's watch brings revision {line.revision} into the watch cache"


def told(applied: Applied) -> str:
    watchers = "the watcher is" if applied.watchers == 1 else f"{applied.watchers} watchers are"
    return f"{watchers} told, within {applied.told / 1000:.2f} ms"


def step(found: Step, line: Line) -> str:
    """Not a decision yet."""
    if found.saw:
        return f"its informer is told: {short(found.saw)} is at revision {found.revision}"
    name = found.place.function.rpartition(".")[2]
    if name == "get":
        return "a worker takes the key out of the queue"
    if name in ("create", "start"):
        return f"container {found.what}: {'created' if name == 'create' else 'runs'}"
    if name == "pull":
        return f"image {found.what} is here"
    return found.what or name


def decided(line: Line) -> str:
    say = _WORDS.get((line.component, line.decision))
    if say is not None:
        try:
            return cut(say(line.fields, line))
        except (KeyError, TypeError, ValueError, AttributeError):  # a line of another version of labkit
            pass
    fields = " ".join(f"{name}={_value(value)}" for name, value in line.fields.items() if value not in ("", [], None))
    because = f" ({line.cause})" if line.cause else ""
    return cut(f"{line.decision}: {short(line.object)} {fields}".rstrip() + because)


_IDENTIFIER = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def shortened(text: str) -> str:
    """A container's id of 64 digits as docker ps shows it: 12 of them."""
    return _IDENTIFIER.sub(r"\1", text)


def cut(text: str, width: int = _WIDEST) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value[:4])) + (f" and {len(value) - 4} more" if len(value) > 4 else "")
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in list(value.items())[:4])
    return str(value)


def _scale(fields: _Fields, line: Line) -> str:
    has, wants = fields["pods"], fields["wanted"]
    todo = [f"create {fields['creates']}"] if fields["creates"] else []
    todo += [f"delete {_value(fields['deletes'])}"] if fields["deletes"] else []
    return f"{short(line.object)} has {has} pods and wants {wants}: {', '.join(todo)}"


def _endpoints(fields: _Fields, line: Line) -> str:
    ready, rest = fields["ready"], fields["not_ready"]
    answer = _value(ready) if ready else "nobody"
    waiting = f"; not ready: {_value(rest)}" if rest else ""
    return f"who answers for service {line.object.rpartition('/')[2]}: {answer}{waiting}"


def _status(fields: _Fields, line: Line) -> str:
    ip = f", pod IP {fields['pod_ip']}" if fields.get("pod_ip") else ""
    return f"says how {short(line.object)} is: {fields['phase']}{ip}"


def _end(fields: _Fields, line: Line) -> str:
    return f"{fields['signal']} to container {fields['container']} ({line.cause})"


def _connection(fields: _Fields, line: Line) -> str:
    return f"{line.decision}: {fields.get('port', '')} {fields.get('endpoint', '')}".rstrip()


def _refused(fields: _Fields, line: Line) -> str:
    below = f"/{fields['subresource']}" if fields["subresource"] else ""
    return f"{who(line.cause)} from {fields['source']}: {short(line.object)}{below} is refused with {fields['code']}"


_WORDS: dict[tuple[str, str], Callable[[_Fields, Line], str]] = {
    ("kube-apiserver", "refused"): _refused,
    ("kube-apiserver", DATED): lambda f, line: f"{short(line.object)} was created: so says its {line.place.function}",
    ("kube-controller-manager", "scale"): _scale,
    ("kube-controller-manager", "created"): lambda f, line: f"made {short(line.object)} of the controller's template",
    ("kube-controller-manager", "deleted"): lambda f, line: f"asked for {short(line.object)} to be deleted",
    ("kube-controller-manager", "adopted"): lambda f, line: f"{short(line.object)} is its own from now on",
    ("kube-controller-manager", "released"): lambda f, line: f"{short(line.object)} is its own no longer",
    ("kube-controller-manager", "endpoints"): _endpoints,
    ("kube-controller-manager", "evicted"): lambda f, line: f"{short(line.object)} is deleted: {line.cause}",
    ("kube-controller-manager", "NodeNotReady"): lambda f, line: f"{short(line.object)} is given up: {line.cause}",
    ("kube-scheduler", "assigned"): lambda f, line:
        f"{short(line.object)} goes to {f['node']}; points: {_value(f['points'])}",
    ("kube-scheduler", "failedScheduling"): lambda f, line:
        f"{short(line.object)} fits nowhere: {_value(f['reasons'])}",
    ("kubelet", "start container"): lambda f, line:
        f"{'the pause container' if f['container'] == 'POD' else 'container ' + f['container']} of "
        f"{short(line.object)} is to run: {line.cause}",
    ("kubelet", "pull image"): lambda f, line: f"image {f['image']} is to be pulled: {line.cause}",
    ("kubelet", "image not pulled"): lambda f, line: f"image {f['image']} could not be pulled: {line.cause}",
    ("kubelet", "end container"): _end,
    ("kubelet", "remove container"): lambda f, line: f"container {f['container']} is removed: {line.cause}",
    ("kubelet", "pod is gone"): lambda f, line: f"nothing is left of {short(line.object)}",
    ("kubelet", "deleted from the API server"): lambda f, line:
        f"asks for {short(line.object)} to be forgotten: {line.cause}",
    ("kubelet", "status written"): _status,
    ("kube-proxy", "endpoints"): lambda f, line:
        f"hands connections to {f['port']} on to {_value(f['endpoints']) or 'nobody'}",
    ("kube-proxy", "rule added"): lambda f, line: f"iptables: {f['rule']}",
    ("kube-proxy", "rule kept"): lambda f, line: f"iptables, there already: {f['rule']}",
    ("kube-proxy", "rule removed"): lambda f, line: f"iptables, removed: {f['rule']}",
    ("kube-proxy", "rules written"): lambda f, line:
        f"{len(f['rules'])} rules for {f['port']}, which lead to {_value(f['endpoints']) or 'nobody'}",
    ("kube-proxy", "connection"): _connection,
    ("kube-dns", "record added"): lambda f, line: f"DNS record: {f['record']}",
    ("kube-dns", "record removed"): lambda f, line: f"DNS record removed: {f['record']}",
}  # fmt: skip
