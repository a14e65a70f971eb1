"""A registry of images that asks who you are: just enough of the registry's HTTP API v2 for docker to pull from it."""

import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.node.pod_images import _root_file_system

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@asynccontextmanager
async def private_registry(username: str, password: str) -> AsyncIterator[str]:
    """`127.0.0.1:PORT/app:1` inside the block, a busybox for whoever logs in so."""
    wanted = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    manifest, blobs = _image()

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != wanted:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="labkit test"'})
        match request.path.strip("/").split("/"):
            case ["v2"]:
                return web.json_response({})
            case ["v2", "app", "manifests", _]:
                headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": _digest(manifest)}
                return web.Response(body=manifest, headers=headers)
            case ["v2", "app", "blobs", digest] if digest in blobs:
                return web.Response(body=blobs[digest], headers={"Docker-Content-Digest": digest})
        return web.Response(status=404)

    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", answer)  # and HEAD
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}/app:1"
    finally:
        await runner.cleanup()


def _image() -> tuple[bytes, dict[str, bytes]]:
    """Its manifest, and its blobs by digest."""
    archive = _root_file_system()
    layer = gzip.compress(archive, mtime=0)
    rootfs = {"type": "layers", "diff_ids": [_digest(archive)]}
    about = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]}, "rootfs": rootfs}
    config = json.dumps(about).encode()
    entries = {kind: {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}
               for kind, blob in ((CONFIG, config), (LAYER, layer))}  # fmt: skip
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": entries[CONFIG], "layers": [entries[LAYER]]}
    return json.dumps(manifest).encode(), {_digest(blob): blob for blob in (config, layer)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()
