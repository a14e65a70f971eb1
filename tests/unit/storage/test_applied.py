"""What came back through the watch is told, a few lines a second."""

import asyncio
import io
import json

from labkit.storage import applied
from labkit.storage.applied import Applied
from labkit.testing.eventually import eventually
from labkit.trace import Tracer


def work() -> None: ...


async def test_revisions_of_a_while_share_a_line() -> None:
    out = io.StringIO()
    telling = Applied(Tracer("kube-apiserver", out), work)
    task = asyncio.create_task(telling.run())
    telling.add(13, 1000, 1180, 7, test_revisions_of_a_while_share_a_line)
    telling.add(15, 2000, 2010, 1, test_revisions_of_a_while_share_a_line)
    await eventually(out.getvalue, expect="a line")
    telling.add(16, 3000, 3010, 1, work)
    task.cancel()
    await asyncio.wait([task])
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["applied"] == [[13, 1000, 180, 7], [15, 2000, 10, 1]]
    assert first["by"].endswith("test_revisions_of_a_while_share_a_line")
    assert second["applied"] == [[16, 3000, 10, 1]]


async def test_a_line_never_gets_longer_than_a_journal_takes() -> None:
    out = io.StringIO()
    telling = Applied(Tracer("kube-apiserver", out), work)
    for revision in range(applied.MOST + 1):
        telling.add(10**12 + revision, 10**15, 10**15 + 999_999, 10_000, work)
    (line,) = out.getvalue().splitlines()
    assert len(json.loads(line)["applied"]) == applied.MOST
    assert len(line) < 48 * 1024
