"""The examples of Kubernetes 1.0 are created by `kubectl create -f` as they are, and read back as they were written."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.api.kinds import by_kind_name
from labkit.api.quantity import parse
from tests.kubectl.cluster import Cluster, cluster
from tests.kubectl.play import MANIFESTS, Session
from tests.kubectl.versions import DEBIAN, NEWEST, NotToBeHad, fetched

FILES = sorted(path for path in MANIFESTS.iterdir() if path.suffix in (".yaml", ".json"))


def objects(path: Path) -> list[dict[str, Any]]:
    """The objects in a file, those of a List one by one."""
    documents = list(yaml.safe_load_all(path.read_text()))
    return [one for document in documents for one in document.get("items", [document])]


def lost(sent: Any, stored: Any, path: str = "") -> list[str]:
    """What of `sent` is not in `stored`; defaults that were added are no loss."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return [fault for name in sent for fault in lost(sent[name], stored.get(name), f"{path}.{name}")]
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        pairs = enumerate(zip(sent, stored, strict=True))
        return [fault for number, (one, other) in pairs for fault in lost(one, other, f"{path}[{number}]")]
    same = sent == stored or (isinstance(sent, float) and isinstance(stored, str) and parse(str(sent)) == parse(stored))
    return [] if same else [f"{path}: {sent!r} was sent, {stored!r} is stored"]


def test_what_counts_as_lost() -> None:
    assert lost({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}], "d": 3}) == []
    assert lost({"a": {"b": 1}}, {"a": {}}) == [".a.b: 1 was sent, None is stored"]
    assert lost({"a": [1, 2]}, {"a": [1]}) != []
    assert lost({"cpu": 0.5}, {"cpu": "500m"}) == []  # the canonical form of an amount
    assert lost({"cpu": 0.5}, {"cpu": "400m"}) != []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", [DEBIAN, NEWEST])
async def test_the_examples_of_1_0(version: str, tmp_path: Path) -> None:
    try:
        binary = fetched(version)
    except NotToBeHad as reason:
        pytest.skip(str(reason))
    async with cluster(tmp_path) as lab:
        for path in FILES:
            session = Session(lab, binary, tmp_path, f"examples-{path.stem}")
            await created_and_read_back(lab, session, path)


async def created_and_read_back(lab: Cluster, session: Session, path: Path) -> None:
    await lab.post("/api/v1/namespaces", {"metadata": {"name": session.ns}})
    sent = objects(path)
    out, err = await session.run(f"create -f {path}")
    assert out.count(" created") == len(sent), (out, err)
    assert "arning" not in err, err
    out, _ = await session.run(f"get -f {path} -o json")
    shown = json.loads(out)["items"]
    for manifest, seen in zip(sent, shown, strict=True):
        kind = by_kind_name(manifest["kind"])
        assert kind is not None
        scope = f"{session.ns}/" if kind.namespaced else ""
        stored = await lab.stored(
            f"{kind.storage_prefix.removeprefix('/registry/')}/{scope}{manifest['metadata']['name']}"
        )
        where = f"{path.name}: {manifest['kind']} {manifest['metadata']['name']}"
        assert lost(manifest, stored) == [], where
        assert lost(manifest, seen) == [], where
    # kubectl's own opinion: nothing would change if it were applied
    out, _ = await session.run(f"diff -f {path}")
    assert out == ""
