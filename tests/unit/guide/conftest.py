"""Plays on a stand-in never have to wait for a machine that is busy."""

import pytest

from labkit.guide import proof


@pytest.fixture(autouse=True)
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "LOADED", 0)
