"""How a row of the table is played: objects are posted, kubectl is called, its words and the store are checked.

A row is data: a name, the objects that must be there, and steps. A step is a `Call` of kubectl, a look into the store
(`Stored`), or a coroutine function for what needs two processes at once. Each row has a namespace of its own, so that
rows can be played side by side.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.api.kinds import by_kind_name
from labkit.testing.eventually import eventually
from tests.kubectl.cluster import NODE, Cluster

CALL_SECONDS = 40
STORED_SECONDS = 10
AT_ONCE = 4  # rows


@dataclass(frozen=True)
class Call:
    """One command line, and what must come of it.

    In `line` and in all expectations {ns}, {node}, {dir} and {manifests} stand for the row's namespace, the node, a
    directory of the row and the one with the manifests. says: regular expressions, each found in what it prints.
    never: found nowhere in it. table: the whole output line by line, cell by cell; `*` is any cell, `*word` any that
    ends so, `word*` one that begins so. prints: the whole output. Every call needs one of them.
    """

    line: str
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    prints: str | None = None
    code: int = 0
    input: str = ""


@dataclass(frozen=True)
class Stored:
    """The object at `path` below /registry has, within some seconds, this value in `field` (a JSON pointer); None: it
    has no such field, or with field "" there is no such object."""

    path: str
    field: str = ""
    equals: Any = None


@dataclass(frozen=True)
class Row:
    """since, until: the versions of kubectl that have the command (both included). env: (version, name, value), for a
    version that needs it."""

    name: str
    steps: tuple[Call | Stored | Play, ...]
    given: tuple[dict[str, Any], ...] = ()
    env: tuple[tuple[str, str, str], ...] = ()
    since: str = "1.20"
    until: str = "1.99"

    def is_for(self, version: str) -> bool:
        return number(self.since) <= number(version) <= number(self.until)


@dataclass(frozen=True)
class Result:
    """reason: why it failed, "" when it passed."""

    row: str
    version: str
    reason: str
    seconds: float


class Session:
    """One row with one kubectl."""

    def __init__(self, lab: Cluster, binary: Path, home: Path, namespace: str) -> None:
        self.lab = lab
        self.ns = namespace
        self.folder = lab.folder / "rows" / namespace
        self.folder.mkdir(parents=True)
        self._binary = binary
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(self._kubeconfig()),
            "KUBE_EDITOR": "sed -i s/red$/blue/",
        }  # fmt: skip

    def _kubeconfig(self) -> Path:
        """The administrator's, with the row's namespace as the one of the context."""
        document = json.loads(self.lab.kubeconfig.read_text())
        document["contexts"][0]["context"]["namespace"] = self.ns
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(document))
        return path

    def fill(self, text: str) -> str:
        for name, value in (("ns", self.ns), ("node", NODE), ("dir", str(self.folder)), ("manifests", str(MANIFESTS))):
            text = text.replace("{" + name + "}", value)
        return text

    async def start(self, line: str, *, stdin: bool = False) -> asyncio.subprocess.Process:
        """A kubectl that runs on; to be ended with `ended`."""
        return await asyncio.create_subprocess_exec(
            str(self._binary), *shlex.split(self.fill(line)), env=self.env, cwd=self.folder,
            stdin=PIPE if stdin else asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip

    async def run(self, line: str, input: str = "", code: int = 0) -> tuple[str, str]:
        """(stdout, stderr); AssertionError for another exit code."""
        process = await self.start(line, stdin=bool(input))
        try:
            async with asyncio.timeout(CALL_SECONDS):
                out, err = await process.communicate(input.encode() if input else None)
        except TimeoutError:
            raise AssertionError(f"kubectl {line}: not done after {CALL_SECONDS} s") from None
        finally:
            await ended(process)
        text = f"{out.decode(errors='replace')}{err.decode(errors='replace')}".strip()
        assert process.returncode == code, f"kubectl {line}: exit code {process.returncode}, expected {code}: {text}"
        return out.decode(errors="replace"), err.decode(errors="replace")

    async def until(self, path: str, field: str, equals: Any) -> None:
        """Wait for a state of the store."""
        path = self.fill(path)

        async def reached() -> bool:
            found = at(await self.lab.stored(path), field)
            assert found == equals, f"/registry/{path} {field} is {found!r}, expected {equals!r}"
            return True

        await eventually(reached, within=STORED_SECONDS, every=0.05)


Play = Callable[[Session], Awaitable[None]]
MANIFESTS = Path(__file__).parent / "manifests"


async def ended(process: asyncio.subprocess.Process) -> None:
    """End a kubectl that still runs, and close its pipes."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    process._transport.close()  # type: ignore[attr-defined]  # else its pipes wait for the garbage collector


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def at(document: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901), None when there is none."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(name)] if int(name) < len(document) else None
        else:
            document = (document or {}).get(name)
    return document


def check(call: Call, out: str, err: str, fill: Callable[[str], str]) -> None:
    """AssertionError when a call did not say what it had to."""
    assert call.says or call.table or call.prints is not None, f"kubectl {call.line}: a call without an expectation"
    both = f"{out}{err}"
    for pattern in map(fill, call.says):
        assert re.search(pattern, both, re.MULTILINE), f"kubectl {call.line}: expected /{pattern}/ in: {both.strip()}"
    for pattern in map(fill, call.never):
        assert not re.search(pattern, both, re.MULTILINE), f"kubectl {call.line}: /{pattern}/ in: {both.strip()}"
    if call.prints is not None:
        assert out == fill(call.prints), f"kubectl {call.line}: expected {fill(call.prints)!r}, it printed {both!r}"
    if call.table:
        expected = [fill(line).split() for line in call.table]
        shown = [line.split() for line in out.splitlines()]
        same = len(shown) == len(expected) and all(map(_same_cells, shown, expected))
        assert same, f"kubectl {call.line}: expected the table {list(call.table)}, it printed:\n{both.strip()}"


def _same_cells(shown: Sequence[str], expected: Sequence[str]) -> bool:
    patterns = [re.escape(cell).replace(r"\*", ".*") for cell in expected]
    return len(shown) == len(expected) and all(map(re.fullmatch, patterns, shown))


async def play(session: Session, row: Row) -> None:
    """Raises AssertionError with what was not as expected."""
    await session.lab.post("/api/v1/namespaces", {"metadata": {"name": session.ns}})
    for manifest in row.given:
        kind = by_kind_name(manifest["kind"])
        assert kind is not None, manifest
        scope = f"namespaces/{session.ns}/" if kind.namespaced else ""
        await session.lab.post(f"{kind.root}/{scope}{kind.resource}", json.loads(session.fill(json.dumps(manifest))))
    for step in row.steps:
        if isinstance(step, Call):
            check(step, *await session.run(step.line, session.fill(step.input), step.code), session.fill)
        elif isinstance(step, Stored):
            await session.until(step.path, step.field, step.equals)
        else:
            await step(session)


async def play_all(lab: Cluster, version: str, binary: Path, rows: Sequence[Row]) -> list[Result]:
    """The rows that this version has, some at a time; the first call alone, it fills the cache of discovery."""
    home = lab.folder / "homes" / version
    home.mkdir(parents=True)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(row: Row) -> Result:
        async with turns:
            started = time.monotonic()
            words = re.sub("[^a-z0-9]+", "-", row.name.lower()).strip("-")
            session = Session(lab, binary, home, f"v{version.replace('.', '-')}-{words}"[:63].rstrip("-"))
            session.env |= {name: value for only, name, value in row.env if only == version}
            try:
                await play(session, row)
                reason = ""
            except Exception as error:
                reason = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            return Result(row.name, version, reason, time.monotonic() - started)

    warm = Session(lab, binary, home, f"v{version.replace('.', '-')}-warm-up")
    await warm.run("api-resources")
    return await asyncio.gather(*(one(row) for row in rows if row.is_for(version)))
