"""A kube-apiserver of its own to ask anything of: a process behind TLS, an administrator, and one object of each kind.

    world.ask("PUT", "/api/v1/nodes/fuzz", b"[]")  ->  Exchange

Two sets of objects: those called `fuzz` are changed by whatever is sent; the `kept` ones are never written, and only
they are reached through log, exec and proxy: what they name is this machine, so that no request leaves it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.api.kinds import KINDS, Kind
from tests.fuzz.exchange import Exchange, Sent
from tests.fuzz.objects import KEPT_PORT, document
from tests.node.real_etcd import Authority, EtcdServer, free_port

SECONDS = 15.0  # a connection that says nothing for so long hangs
ADMISSION = "NamespaceLifecycle,NamespaceExists,LimitRanger,NodeRestriction"


@dataclass
class World:
    """`etcd` None: the store is in the server's memory."""

    folder: Path
    etcd: EtcdServer | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.folder / "ca").mkdir()
        self.authority = Authority(self.folder / "ca")
        self.context = ssl.create_default_context(cafile=str(self.authority.ca))
        self.context.load_cert_chain(*self.authority.issue("admin", "system:masters"))
        self._connection: http.client.HTTPSConnection | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def journal(self) -> Path:
        return self.folder / "apiserver.log"

    @property
    def audit(self) -> Path:
        return self.folder / "audit.log"

    # -- the process ---------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        policy = self.folder / "abac.jsonl"
        policy.write_text('{"user":"nobody","resource":"pods","readonly":true}\n')
        certificate, key = self.authority.issue("kube-apiserver")
        command = [
            sys.executable, "-m", "labkit.components.kube_apiserver", "--bind-address=127.0.0.1",
            f"--secure-port={self.port}", "--advertise-address=127.0.0.1", f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}", f"--client-ca-file={self.authority.ca}",
            f"--authorization-policy-file={policy}", f"--audit-log-path={self.audit}", f"--kubelet-port={KEPT_PORT}",
            f"--admission-control={ADMISSION}", "--audit-log-maxsize=0",
        ]  # fmt: skip
        if self.etcd is None:
            return [*command, "--storage=memory"]
        assert self.etcd.authority is not None
        etcd_certificate, etcd_key = self.etcd.authority.issue("kube-apiserver")
        return [*command, f"--etcd-servers=https://{self.etcd.address}", f"--etcd-cafile={self.etcd.authority.ca}",
                f"--etcd-certfile={etcd_certificate}", f"--etcd-keyfile={etcd_key}"]  # fmt: skip

    def start(self) -> None:
        """Returns when /healthz says ok and every kind has its objects."""
        with self.journal.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=os.environ | {"LC_ALL": "C"})
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2, context=self.context) as answer:
                    assert answer.read() == b"ok"
                    self.furnish()
                    return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError(f"kube-apiserver is not healthy: {self.journal.read_text()[-3000:]}")

    def stop(self) -> int:
        """The exit code; how a server ends after all that was asked of it is part of the test."""
        assert self.process is not None
        self.hang_up()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self.process = None
        return code

    def complaints(self) -> list[str]:
        """What the journal says of bugs: a traceback, or a line of level error."""
        lines = self.journal.read_text(errors="replace").splitlines()
        return [line[:2000] for line in lines if "Traceback" in line or '"level":"error"' in line]

    # -- asking --------------------------------------------------------------------------------------------------

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Exchange:
        """One request and its answer. headers: `content_type="text/yaml"`. As `send`."""
        return self.send(Sent(method, target, body, {name.replace("_", "-"): text for name, text in headers.items()}))

    def send(self, sent: Sent) -> Exchange:
        """A stream that was begun is left at once. Raises TimeoutError, OSError when nothing comes back."""
        if self._connection is not None:
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                return self._exchange(self._connection, sent)
            self.hang_up()  # the server had closed what it kept open; on a new connection it must answer
        self._connection = self.connect()
        try:
            return self._exchange(self._connection, sent)
        except BaseException:
            self.hang_up()
            raise

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=SECONDS, context=self.context)

    def _exchange(self, connection: http.client.HTTPSConnection, sent: Sent) -> Exchange:
        connection.putrequest(sent.method, sent.target, skip_accept_encoding=True)
        for name, value in sent.headers.items():
            connection.putheader(name, value)
        if sent.body or sent.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(sent.body)))
        connection.endheaders(sent.body or None)
        answer = connection.getresponse()
        streams = answer.getheader("Transfer-Encoding") == "chunked"
        text = b"" if streams else answer.read()
        if streams or answer.will_close:
            self.hang_up()
        said = {name.lower(): value for name, value in answer.getheaders()}
        return Exchange(sent, answer.status, said, text, streams)

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, target: str, **headers: str) -> Any:
        """The document at `target`, which is there."""
        exchange = self.ask("GET", target, **headers)
        assert exchange.code == 200, exchange
        return exchange.document

    def revision(self) -> int:
        """Of the store: not one key of it has changed while this stays the same."""
        return int(self.get("/api/v1/limitranges?limit=1")["metadata"]["resourceVersion"])

    def objects(self, kind: Kind) -> dict[str, Any]:
        """All of a kind, by selfLink."""
        return {item["metadata"]["selfLink"]: item for item in self.get(f"{kind.root}/{kind.resource}")["items"]}

    def mark(self, kind: Kind) -> str:
        """Change the kind's object once more; the resourceVersion of that."""
        note = json.dumps({"metadata": {"annotations": {"mark": str(time.time())}}}).encode()
        marked = self.ask("PATCH", f"{collection(kind)}/fuzz", note, content_type="application/merge-patch+json")
        assert marked.code == 200, marked
        return str(marked.document["metadata"]["resourceVersion"])

    def replayed(self, kind: Kind, since: int, until: str) -> list[tuple[str, Any]]:
        """What a watch of this kind tells has happened between two revisions: (type, object)."""
        told: list[tuple[str, Any]] = []
        with contextlib.closing(self.connect()) as connection:
            connection.request("GET", f"{kind.root}/{kind.resource}?watch=1&resourceVersion={since}&timeoutSeconds=10")
            answer = connection.getresponse()
            while not told or told[-1][1]["metadata"]["resourceVersion"] != until:
                line = answer.readline()
                assert line, f"the watch has ended before {until}: {told[-3:]}"
                frame = json.loads(line)
                told.append((frame["type"], frame["object"]))
        return told

    # -- what is there -------------------------------------------------------------------------------------------

    def furnish(self, kinds: Iterable[Kind] = tuple(KINDS.values())) -> None:
        """Every kind has objects `fuzz` and `kept` (in the namespaces of these names); what was deleted meanwhile is
        made anew."""
        for kind in kinds:
            for name in ("fuzz", "kept"):
                self._have(collection(kind, name), document(kind.kind, name))

    def _have(self, path: str, wanted: dict[str, Any]) -> None:
        name = wanted["metadata"]["name"]
        if wanted["kind"] == "Namespace":
            self._bury(f"{path}/{name}")
        made = self.ask("POST", path, json.dumps(wanted).encode())
        assert made.code in (201, 409), made
        if name == "kept" and "status" in wanted:
            status = json.dumps({"status": wanted["status"]}).encode()
            self.ask("PATCH", f"{path}/{name}/status", status, content_type="application/merge-patch+json")

    def _bury(self, path: str) -> None:
        """A namespace that somebody has deleted waits for its finalizer; here is nobody else who takes it away."""
        there = self.ask("GET", path)
        if there.code == 200 and there.document["status"].get("phase") != "Active":
            empty = there.document | {"spec": {"finalizers": []}}
            self.ask("PUT", f"{path}/finalize", json.dumps(empty).encode())
            self.ask("DELETE", path)


def collection(kind: Kind, namespace: str = "fuzz") -> str:
    """Its path: of one namespace, or of the cluster."""
    return f"{kind.root}/namespaces/{namespace}/{kind.resource}" if kind.namespaced else f"{kind.root}/{kind.resource}"


@contextlib.contextmanager
def world(folder: Path, etcd: EtcdServer | None = None) -> Iterator[World]:
    found = World(folder, etcd)
    found.start()
    try:
        yield found
    finally:
        if found.process:
            found.process.kill()
            found.process.wait(10)
        found.hang_up()
