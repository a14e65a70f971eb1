"""One request's way: who asks, what is meant, may they, then the verb's function.

Request -> authn (a user or 401) -> routes.route -> authorization (or 403)
        -> Resources or a subresource -> Answer | Stream | Tunnel
"""

from __future__ import annotations

import msgspec

from labkit import trace
from labkit.api.computed import place_of
from labkit.api.errors import ApiError, InsufficientStorage, MethodNotAllowed, NotFound, ServerUnavailable, Unauthorized
from labkit.components.kube_apiserver import answers, connections, eviction, proxy, subresources, token_requests
from labkit.components.kube_apiserver.authorization import Authorization
from labkit.components.kube_apiserver.authz import Attributes
from labkit.components.kube_apiserver.computed import Computed
from labkit.components.kube_apiserver.kubelets import Kubelets
from labkit.components.kube_apiserver.messages import Answer, Request, Stream, Tunnel
from labkit.components.kube_apiserver.pages import Pages
from labkit.components.kube_apiserver.resources import Resources
from labkit.components.kube_apiserver.routes import Route, route, verb_of
from labkit.storage.protocol import StorageError, StorageFull

_COLLECTION_VERBS = frozenset(("list", "watch", "create", "deletecollection"))
_WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection"))
_OBJECT_VERBS = frozenset(("get", "watch", "update", "patch", "delete"))


class Dispatch:
    """The handler of all requests."""

    def __init__(
        self, resources: Resources, pages: Pages, computed: Computed, kubelets: Kubelets, authorization: Authorization,
        issuer: token_requests.Issuer,
    ) -> None:  # fmt: skip
        self._resources = resources
        self._pages = pages
        self._computed = computed
        self._kubelets = kubelets
        self._authorization = authorization
        self._issuer = issuer

    async def handle(self, request: Request) -> Answer | Stream | Tunnel:
        """What is refused is answered with its Status; raises whatever is a bug."""
        try:
            return await self._answer(request)
        except ApiError as error:
            refusal = error
        except StorageFull as error:
            refusal = InsufficientStorage(f"the store is full: {error}")
        except StorageError as error:
            refusal = ServerUnavailable(f"the store does not answer: {error}")
        return answers.answer(request, msgspec.json.encode(refusal.status()), refusal.code)

    async def _answer(self, request: Request) -> Answer | Stream | Tunnel:
        at = request.at = route(request.path)
        if at is None:
            verb = request.verb = "get" if request.method in ("GET", "HEAD") else request.method.lower()
        else:
            verb = request.verb = verb_of(request.method, at, request.flag("watch"))
        if not request.user.name:
            raise Unauthorized("Unauthorized")
        if at is None and (place := place_of(request.path)) is not None:
            return await self._computed.answer(request, place)
        if at is None:
            await self._authorization.check(Attributes(request.user, verb, "", "", request.path))
            return await self._pages.answer(request)
        wish = Attributes(request.user, verb, at.namespace, at.full_resource, request.path, at.name)
        await self._authorization.check(wish)
        if at.subresource or at.kind is None:
            return await self._subresource(request, at)
        possible = verb in (_OBJECT_VERBS if at.name else _COLLECTION_VERBS) and verb in at.kind.verbs
        if not possible or request.method == "HEAD" or (at.watch and verb != "watch"):
            raise MethodNotAllowed.here()
        if verb in _WRITES and at.resource != "events":  # they tell of others, nobody asks for their story
            trace.begin(getattr(Resources, verb))
        answer: Answer | Stream = await getattr(self._resources, verb)(request, at, at.kind)
        return answer

    async def _subresource(self, request: Request, at: Route) -> Answer | Stream | Tunnel:
        registries = self._resources.registries
        if at.kind is None or at.subresource == "binding":
            trace.begin(subresources.bind)
            return await subresources.bind(registries["pods"], request, at)
        registry = registries[at.resource]
        if at.subresource == "status":
            trace.begin(subresources.status)
            return await subresources.status(registry, request, at, at.kind)
        if at.subresource == "scale":
            trace.begin(subresources.scale)
            return await subresources.scale(registry, request, at)
        if at.subresource == "finalize":
            trace.begin(subresources.finalize)
            return await subresources.finalize(registry, request, at)
        if at.subresource == "log":
            return await subresources.log(registry, registries["nodes"], self._kubelets, request, at)
        if at.subresource == "eviction":
            trace.begin(eviction.evict)
            return await eviction.evict(registry, request, at)
        if at.subresource == "token":
            return await token_requests.create(registries, self._issuer, request, at)
        if at.subresource in connections.STREAMS:
            return await connections.stream(registries, self._kubelets, request, at)
        if at.subresource == "proxy":
            return await proxy.proxy(registries, self._kubelets, request, at)
        raise NotFound.nothing_there()
