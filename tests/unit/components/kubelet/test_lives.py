"""The recorded lives of pods, on the twin of docker."""

from pathlib import Path

import pytest

from labkit.api.types import Pod, PodStatus
from labkit.components.kubelet.fake import FakeRuntime
from labkit.testing.eventually import eventually
from tests import lives
from tests.lives import ABSENT, LIVES, Life
from tests.unit.components.kubelet.one_node import one_node


@pytest.mark.parametrize("life", [life for life in LIVES if life.on_fake], ids=lambda life: life.name)
async def test_a_life(life: Life, tmp_path: Path) -> None:
    fake = FakeRuntime("n1", program=lives.program)
    fake.absent = {ABSENT}
    async with one_node(fake, tmp_path, within=15) as node:
        pod = lives.pod_of(life, "n1", "busybox:1")
        await node.create(*pod["spec"].pop("containers"), name=life.name, **pod["spec"])

        def become(status: PodStatus) -> bool:
            assert lives.seen_of(Pod(status=status)) == list(life.becomes)
            return True

        await node.status(become, life.name)

        if life.deleted:
            await node.client.delete(Pod, life.name, "default")

        async def told() -> bool:
            assert lives.told(await node.events(life.name)) == life.all_events
            return True

        await eventually(told, within=15)
