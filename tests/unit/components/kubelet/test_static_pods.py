"""Static pods: manifests in, pods and their mirrors out."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from labkit.api.errors import NotFound
from labkit.api.types import Event, Pod, copy
from labkit.client.rest import Client
from labkit.components.kubelet.fake import FakeRuntime
from labkit.components.kubelet.kubelet import Kubelet, Settings
from labkit.components.kubelet.manifests import ManifestFailure, parse
from labkit.components.kubelet.static_pods import MIRROR
from labkit.components.kubelet.static_sources import SourceAway, read_files, read_url
from labkit.testing.eventually import eventually
from tests.unit.components.kubelet.one_node import OneNode, one_node

WEB = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: c
    image: {image}
"""


class TestParse:
    def test_yaml_json_and_lists(self) -> None:
        (pod,) = parse(WEB.format(image="nginx").encode(), "f")
        assert (pod.metadata.namespace, pod.spec.restart_policy, pod.spec.containers[0].image) == (
            "default", "Always", "nginx",
        )  # fmt: skip
        of_json = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[%s]}}'
        of_json %= b'{"name":"c","image":"i"}'
        assert [p.metadata.name for p in parse(of_json, "f")] == ["web"]
        several = "---\n".join([WEB.format(image="a"), "", WEB.format(image="b").replace("web", "other")])
        assert [p.metadata.name for p in parse(several.encode(), "f")] == ["web", "other"]
        of_list = b'{"apiVersion":"v1","kind":"PodList","items":[' + of_json + b"]}"
        assert [p.metadata.name for p in parse(of_list, "f")] == ["web"]
        assert parse(b"", "f") == []

    @pytest.mark.parametrize(
        ("text", "line", "says"),
        [
            (WEB.replace("  name: web", " \tname: web"), 4, "found character '\\t'"),
            (WEB.replace("image: {image}", "image: [1, 2"), 9, "YAML is indented with spaces"),
            (WEB.replace("    image: {image}\n", ""), 7, "spec.containers[0].image: required value"),
            (WEB.replace("name: c", "name: 'No Name'"), 7, "spec.containers[0].name: invalid value"),
            (WEB.replace("  name: web", "  name: 7"), 4, "cannot unmarshal number"),
            (WEB.replace("kind: Pod", "kind: Service"), 1, "begins with `apiVersion: v1` and `kind: Pod`"),
            ("just text", 1, "not a pod"),
            (WEB + "---\nkind: 5\n", 10, "not a pod"),
            (WEB + "  restartPolicy: Sometimes\n", 9, "spec.restartPolicy: unsupported value 'Sometimes'"),
            ("a: &a [*a]", 1, ""),
            ("\x00", 1, "neither YAML nor JSON"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_with_which_line(self, text: str, line: int, says: str) -> None:
        with pytest.raises(ManifestFailure) as caught:
            parse(text.replace("{image}", "nginx").encode(), "/etc/m/web.yaml")
        where, _, what = str(caught.value).partition(": ")
        assert where == f"/etc/m/web.yaml:{line}"
        assert says in what

    def test_bytes_that_are_no_text(self) -> None:
        with pytest.raises(ManifestFailure, match="f:1: neither YAML nor JSON"):
            parse(b"\xff\xfe\x00\xd8", "f")


class TestSources:
    def test_files(self, tmp_path: Path) -> None:
        (tmp_path / "b.yaml").write_text("b")
        (tmp_path / ".b.yaml.swp").write_text("hidden")
        (tmp_path / "sub").mkdir()
        assert read_files(tmp_path) == {str(tmp_path / "b.yaml"): b"b"}
        assert read_files(tmp_path / "b.yaml") == {str(tmp_path / "b.yaml"): b"b"}
        with pytest.raises(SourceAway, match="is not there: make the directory"):
            read_files(tmp_path / "none")

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "nonsense"])
    async def test_a_url_that_does_not_answer(self, url: str) -> None:
        with pytest.raises(SourceAway, match=f"--manifest-url: {url}"):
            await read_url(url)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    directory = tmp_path / "manifests"
    directory.mkdir()
    (directory / "web.yaml").write_text(WEB.format(image="nginx:1"))
    return directory


@pytest.fixture
async def node(tmp_path: Path, manifests: Path) -> AsyncIterator[OneNode]:
    settings = {"manifests": manifests, "file_check_seconds": 0.1}
    async with one_node(FakeRuntime("n1"), tmp_path / "root", **settings) as node:
        yield node


async def mirror(node: OneNode, image: str = "nginx:1") -> Pod:
    async def look() -> Pod | None:
        try:
            pod = await node.client.get(Pod, "web-n1", "default")
        except NotFound:
            return None
        runs = pod.status.phase == "Running" and pod.spec.containers[0].image == image
        return pod if runs and not pod.metadata.deletion_timestamp else None

    return await eventually(look, within=5)


class TestStaticPods:
    async def test_it_runs_and_is_mirrored(self, node: OneNode) -> None:
        pod = await mirror(node)
        (container,) = await node.containers("c")
        assert (
            pod.metadata.annotations[MIRROR]
            == container.pod_uid
            == pod.metadata.annotations["kubernetes.io/config.hash"]
        )
        assert pod.metadata.annotations["kubernetes.io/config.source"] == "file"
        assert pod.metadata.uid != container.pod_uid
        assert pod.spec.node_name == "n1"
        assert pod.status.pod_ip == next(c.ip for c in await node.containers("POD"))

    async def test_a_mirror_is_only_a_picture(self, node: OneNode) -> None:
        """Deleting it, or changing it, changes nothing of the pod."""
        first = await mirror(node)
        before = {c.id for c in await node.runtime.containers()}
        await node.client.delete(Pod, "web-n1", "default")

        async def another() -> bool:
            return (await mirror(node)).metadata.uid != first.metadata.uid

        await eventually(another)
        assert {c.id for c in await node.runtime.containers()} == before

    async def test_a_changed_manifest_is_another_pod(self, node: OneNode, manifests: Path) -> None:
        before = await mirror(node)
        (manifests / "web.yaml").write_text(WEB.format(image="nginx:2"))
        after = await mirror(node, "nginx:2")
        assert after.metadata.annotations[MIRROR] != before.metadata.annotations[MIRROR]
        await eventually(lambda: len(node.kubelet.workers) == 1)

    async def test_its_end_is_that_of_its_file(self, node: OneNode, manifests: Path) -> None:
        await mirror(node)
        (manifests / "web.yaml").unlink()
        await node.gone("web-n1")
        await eventually(lambda: not node.kubelet.workers)

    async def test_a_file_that_is_not_understood_harms_nobody(self, node: OneNode, manifests: Path) -> None:
        pod = await mirror(node)
        (manifests / "bad.yaml").write_text(WEB.format(image="nginx:1").replace("name: web", "name: 7"))
        (manifests / "web.yaml").write_text("oops: [")

        async def told() -> bool:
            events = [e for e in (await node.client.list(Event)).items if e.reason == "invalidManifest"]
            texts = sorted(e.message.removeprefix(f"{manifests}/").split(" ")[0] for e in events)
            return texts == ["bad.yaml:4:", "web.yaml:1:"] and events[0].involved_object.kind == "Node"

        await eventually(told)
        assert (await mirror(node)).metadata.uid == pod.metadata.uid

    async def test_a_name_that_is_taken(self, node: OneNode, manifests: Path) -> None:
        await mirror(node)
        (manifests / "zz.yaml").write_text(WEB.format(image="other"))

        async def told() -> bool:
            return any("zz.yaml: pod default/web-n1 is already made by" in m for _, _, m in await node.events("n1"))

        await eventually(told)
        assert len(await node.containers("c")) == 1

    async def test_a_kubelet_that_comes_back_knows_its_containers(self, node: OneNode, manifests: Path) -> None:
        await mirror(node)
        before = {c.id for c in await node.runtime.containers()}
        await node.end_kubelet()
        node.start_kubelet()
        await eventually(lambda: len(node.kubelet.workers) == 1)
        await mirror(node)
        assert {c.id for c in await node.runtime.containers()} == before
        await node.end_kubelet()  # and what was removed meanwhile goes, with its mirror
        (manifests / "web.yaml").unlink()
        node.start_kubelet()
        await node.gone("web-n1")

    async def test_no_source_no_orphans(self, node: OneNode, manifests: Path, tmp_path: Path) -> None:
        """While the directory is away, nobody knows to whom its containers belong: they stay."""
        await mirror(node)
        await node.end_kubelet()
        manifests.rename(tmp_path / "away")
        node.start_kubelet()
        await eventually(lambda: node.kubelet.pods.store)
        await asyncio.sleep(1.2)  # two relists
        assert all(c.running for c in await node.runtime.containers())
        (tmp_path / "away").rename(manifests)
        await eventually(lambda: len(node.kubelet.workers) == 1)

    async def test_a_finished_mirror_status_is_written_on_the_mirror_only(self, node: OneNode) -> None:
        pod = await mirror(node)
        wrong = copy(pod)
        wrong.status.pod_ip = "192.0.2.1"
        await node.client.update_status(wrong)

        async def right() -> bool:
            return (await mirror(node)).status.pod_ip.startswith("10.244.")

        await eventually(right)


async def test_without_an_api_server(tmp_path: Path, manifests: Path) -> None:
    """They run all the same."""
    fake = FakeRuntime("n1")
    settings = Settings(node="n1", root_dir=tmp_path / "root", manifests=manifests)
    async with Client("http://127.0.0.1:1") as client:
        task = asyncio.create_task(Kubelet(client, fake, settings).run())

        async def both_run() -> bool:
            return [c.state for c in await fake.containers()] == ["running", "running"]

        await eventually(both_run)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await fake.close()


async def test_from_a_url(tmp_path: Path) -> None:
    said = {"text": WEB.format(image="nginx:1"), "status": 200}

    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=str(said["text"]), status=int(said["status"]))

    app = web.Application()
    app.router.add_get("/pods", tell)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/pods"
    try:
        async with one_node(FakeRuntime("n1"), tmp_path, manifest_url=url, http_check_seconds=0.1) as node:
            pod = await mirror(node)
            assert pod.metadata.annotations["kubernetes.io/config.source"] == "http"
            said["status"] = 500

            async def told() -> bool:
                return any("answers 500" in message for _, _, message in await node.events("n1"))

            await eventually(told)
            assert (await mirror(node)).metadata.uid == pod.metadata.uid
            said |= {"status": 200, "text": ""}
            await node.gone("web-n1")
    finally:
        await runner.cleanup()
