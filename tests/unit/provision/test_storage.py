"""A volume over servers that come and go."""

from typing import Any, cast

import pytest

from labkit.provision import storage
from labkit.provision.errors import CommandFailed


class Meeting:
    """A master whose servers meet again after so many tries."""

    def __init__(self, tries: int, says: str = "volume create: held: failed: Host 10.245.1.12 not connected") -> None:
        self.left, self.says = tries, says

    def run(self, command: str, *, timeout: float, what: str) -> None:
        self.left -= 1
        if self.left >= 0:
            raise CommandFailed("master", what, command, 1, self.says)


def test_a_volume_waits_for_servers_that_have_not_met_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.provision.storage.time.sleep", lambda seconds: None)
    storage._create(cast(Any, Meeting(2)), "gluster volume create held", "make the volume held")
    with pytest.raises(CommandFailed, match="already exists"):
        storage._create(cast(Any, Meeting(2, "volume held already exists")), "gluster ...", "make the volume held")
