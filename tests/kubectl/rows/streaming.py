"""logs, exec, attach, cp, port-forward, proxy, run -i."""

import asyncio
import re

import aiohttp

from tests.kubectl.host_processes import ECHO_PORT, WEB_PORT
from tests.kubectl.play import Call, Row, Session, Stored, ended
from tests.kubectl.rows.objects import pod, service

RUNS = Stored("pods/{ns}/web", "/status/phase", "Running")


async def copied(session: Session) -> None:
    """A directory goes there and comes back."""
    (session.folder / "in").mkdir()
    (session.folder / "in" / "big").write_bytes(bytes(range(256)) * 4096)
    (session.folder / "in" / "small").write_text("text")
    await session.run("cp {dir}/in web:there")
    await session.run("cp web:there {dir}/out")
    for name in ("big", "small"):
        assert (session.folder / "out" / name).read_bytes() == (session.folder / "in" / name).read_bytes(), name


async def first_port(process: asyncio.subprocess.Process, pattern: str) -> int:
    """The port that a kubectl says it listens on."""
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    found = re.search(pattern, line)
    assert found, f"expected /{pattern}/ in {line!r}"
    return int(found[1])


async def forwarded(session: Session) -> None:
    """Three connections to a server that echoes, one to a web page by way of a service."""
    forwarding = await session.start(f"port-forward pod/web :{ECHO_PORT}")
    try:
        port = await first_port(forwarding, r"Forwarding from 127\.0\.0\.1:(\d+) -> 7000")
        for size in (3, 100_000, 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x" * size)
            assert len(await asyncio.wait_for(reader.readexactly(size), 20)) == size
            writer.close()
            await writer.wait_closed()
    finally:
        await ended(forwarding)
    forwarding = await session.start("port-forward svc/web :80")
    try:
        port = await first_port(forwarding, rf"Forwarding from 127\.0\.0\.1:(\d+) -> {WEB_PORT}")
        assert await page(f"http://127.0.0.1:{port}/") == "the page\n"
    finally:
        await ended(forwarding)


async def page(url: str) -> str:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as http, http.get(url) as answer:
        assert answer.status == 200, (url, answer.status, await answer.text())
        return await answer.text()


async def proxied(session: Session) -> None:
    proxy = await session.start("proxy --port=0")
    try:
        port = await first_port(proxy, r"Starting to serve on 127\.0\.0\.1:(\d+)")
        found = await page(f"http://127.0.0.1:{port}/api/v1/namespaces/{session.ns}/pods/web")
        assert '"name":"web"' in found.replace(": ", ":")
        assert await page(f"http://127.0.0.1:{port}/healthz") == "ok"
    finally:
        await ended(proxy)


async def attached(session: Session) -> None:
    """What is typed comes back; the pod ends with its stdin."""
    await session.until("pods/{ns}/echo", "/status/phase", "Running")
    process = await session.start("attach -i echo", stdin=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(b"hello\n")
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"hello\n"
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        await ended(process)
    await session.until("pods/{ns}/echo", "/status/phase", "Succeeded")


async def followed(session: Session) -> None:
    """logs -f prints what is there, waits, and ends with the container."""
    await session.until("pods/{ns}/web", "/status/phase", "Running")
    following = await session.start("logs -f web")
    assert following.stdout is not None
    try:
        lines = [await asyncio.wait_for(following.stdout.readline(), 20) for _ in range(2)]
        assert lines == [b"up\n", b"ready\n"], lines
        assert following.returncode is None, "logs -f ended before the container"
        session.lab.runtime.exit(f"{session.ns}/web", "c")
        assert await asyncio.wait_for(following.wait(), 20) == 0
    finally:
        await ended(following)


async def copied_by_debug(session: Session) -> None:
    """kubectl 1.32 and later send the whole pod as protobuf; what is stored of the copy is what the pod has."""
    await session.run("debug full --copy-to=copy --set-image=c=redis --same-node --share-processes=false")
    pods = [await session.lab.stored(session.fill(f"pods/{{ns}}/{name}")) for name in ("full", "copy")]
    specs = [{name: value for name, value in pod["spec"].items() if name != "nodeName"} for pod in pods]
    assert specs[0] == specs[1]


FULL = pod(
    "full", "a", "b",
    volumes=[
        {"name": "e", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}},
        {"name": "h", "hostPath": {"path": "/x"}},
        {"name": "n", "nfs": {"server": "s", "path": "/p", "readOnly": True}},
        {"name": "s", "secret": {"secretName": "q", "items": [{"key": "k", "path": "p"}], "optional": True}},
        {"name": "c", "configMap": {"name": "m", "defaultMode": 256}},
        {"name": "g", "gitRepo": {"repository": "git://x"}},
        {"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
        {"name": "d", "downwardAPI": {"items": [
            {"path": "p", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}}]}},
    ],
    nodeSelector={"no": "where"}, restartPolicy="Never", terminationGracePeriodSeconds=0, activeDeadlineSeconds=50,
    hostPID=True, hostname="h", serviceAccountName="a", automountServiceAccountToken=False,
    shareProcessNamespace=False, imagePullSecrets=[{"name": "i"}],
)  # fmt: skip
FULL["spec"]["containers"][0] |= {
    "args": ["x"], "workingDir": "/w", "ports": [{"name": "p", "containerPort": 80, "protocol": "UDP"}],
    "env": [
        {"name": "A", "value": "b"},
        {"name": "F", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}},
    ],
    "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m", "optional": True}}],
    "resources": {"limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}},
    "volumeMounts": [{"name": "e", "mountPath": "/e", "readOnly": True}],
    "lifecycle": {"postStart": {"exec": {"command": ["l"]}}, "preStop": {"httpGet": {"path": "/", "port": "p"}}},
    "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}, "runAsUser": 0, "privileged": False},
    "stdin": True, "stdinOnce": True, "tty": True,
}  # fmt: skip
DEBUG = (
    Row("debug POD (no ephemeral containers: refused)", (
        Call("debug web --image=redis", says=("ephemeral containers are disabled for this cluster",), code=1),
    ), given=(pod("web"),), until="1.32"),
    Row("debug node", (
        RUNS,
        Call("debug node/{node} --image=redis", says=(r"Creating debugging pod node-debugger-agent1-\w{5} with",)),
        Call("get pods -o jsonpath='{.items[*].spec.nodeName}{.items[*].spec.hostPID}'", prints="agent1 agent1true"),
    ), given=(pod("web"),)),
    Row("debug --copy-to", (copied_by_debug,), given=(FULL,)),
)  # fmt: skip
RUN = "run once -i --rm --image=redis --restart=Never --quiet"
ROWS = (
    *DEBUG,
    Row("logs", (
        RUNS,
        Call("logs web", prints="up\nready\n"),
        Call("logs web -c c --tail=1", prints="ready\n"),
        Call("logs web --timestamps", says=(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z up$",)),
        Call("logs web --since=1h --limit-bytes=2", prints="up"),
        Call("logs web -c nope", says=("container nope is not valid for pod web",), code=1),
        Call("logs nope", says=('pods "nope" not found',), code=1),
    ), given=(pod("web"),)),
    Row("logs -l", (
        RUNS, Stored("pods/{ns}/two", "/status/phase", "Running"),
        Call("logs -l colour=red", prints="up\nready\nup\nready\n"),
        Call("logs -l colour=red --prefix --tail=1", says=(r"^\[pod/web/c\] ready$", r"^\[pod/two/c\] ready$")),
        Call("logs web --all-containers", prints="up\nready\n"),
    ), given=(pod("web"), pod("two"))),
    Row("logs -f", (followed,), given=(pod("web", restartPolicy="Never"),)),
    Row("logs --previous", (
        RUNS,
        Call("logs web --previous", says=("previous terminated container .* not found",), code=1),
    ), given=(pod("web"),)),
    Row("exec", (
        RUNS,
        Call("exec web -- echo hello there", prints="hello there\n"),
        Call("exec web -- sh -c 'echo out; echo err >&2; exit 3'", says=("^out$", "^err$", "exit code 3"), code=3),
        Call("exec -i web -c c -- tr a-z A-Z", prints="LOUD\n", input="loud\n"),
        Call("exec -i web -- sh -c 'wc -c'", says=(r"^\s*300000$",), input="x" * 300_000),
        Call("exec web -c nope -- ls", says=("nope",), code=1),
    ), given=(pod("web"),)),
    Row("attach", (attached,), given=(pod("echo", "cat", restartPolicy="Never"),)),
    Row("cp", (RUNS, copied), given=(pod("web"),)),
    Row("port-forward", (RUNS, forwarded), given=(pod("web"), service("web", {"colour": "red"}))),
    Row("proxy", (proxied,), given=(pod("web"),)),
    Row("run -i --rm", (
        Call(f"{RUN} -- cat", says=("^typed$",), input="typed\n"),
        Stored("pods/{ns}/once"),
    ), env=(("1.22", "KUBECTL_COMMAND_HEADERS", "false"),)),  # else it hangs up to 1.22.2: kubernetes/kubectl#1098
)  # fmt: skip
