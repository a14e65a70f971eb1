"""Resources that are worked out for each request: component statuses, reviews, figures of usage, slices of Endpoints.

They are the rows of labkit.api.computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from labkit.api import codec, printing
from labkit.api.computed import Place
from labkit.api.errors import MethodNotAllowed, NotFound
from labkit.api.fields import parse_field_selector
from labkit.api.kinds import KINDS
from labkit.api.labels import parse_selector
from labkit.api.types import (
    ComponentStatus,
    EndpointSlice,
    NodeMetrics,
    Object,
    PodMetrics,
    SelfSubjectAccessReview,
    SelfSubjectReview,
    SelfSubjectRulesReview,
    TokenReview,
)
from labkit.components.kube_apiserver import answers, bodies, reviews
from labkit.components.kube_apiserver.authorization import Authorization
from labkit.components.kube_apiserver.authz import Attributes
from labkit.components.kube_apiserver.component_statuses import Check, statuses
from labkit.components.kube_apiserver.messages import Answer, Request, Stream
from labkit.components.kube_apiserver.resources import selection_of
from labkit.components.kube_apiserver.routes import Route
from labkit.components.kube_apiserver.slices import Slices, Wanted
from labkit.components.kube_apiserver.token_reviews import TokenReviewer
from labkit.components.kube_apiserver.usage import Usage


class Computed:
    """Their handler."""

    def __init__(
        self,
        authorization: Authorization,
        checks: Mapping[str, Check],
        usage: Usage,
        slices: Slices,
        reviewer: TokenReviewer,
    ) -> None:
        self._authorization = authorization
        self._checks = checks
        self._usage = usage
        self._slices = slices
        self._reviewer = reviewer

    async def answer(self, request: Request, place: Place) -> Answer | Stream:
        """Raises MethodNotAllowed, NotFound, Forbidden, BadRequest."""
        if place.resource.type is ComponentStatus:
            return await self._component_statuses(request, place)
        if place.resource.type in (NodeMetrics, PodMetrics):
            return await self._metrics(request, place)
        if place.resource.type is EndpointSlice:
            return await self._endpoint_slices(request, place)
        if request.method != "POST" or place.name:
            raise MethodNotAllowed.here()
        return await self._review(request, place)

    async def _review(self, request: Request, place: Place) -> Answer:
        """Every user may ask about himself, about tokens only who is allowed to."""
        if place.resource.type is TokenReview:
            wish = Attributes(request.user, "create", "", place.resource.resource, request.path)
            await self._authorization.check(wish)
        review = bodies.read(request, place.resource.type)[0]
        if isinstance(review, SelfSubjectAccessReview):
            await reviews.may_i(review, request.user, self._authorization)
        elif isinstance(review, SelfSubjectRulesReview):
            reviews.what_may_i(review, request.user, self._authorization)
        elif isinstance(review, SelfSubjectReview):
            reviews.who_am_i(review, request.user)
        elif isinstance(review, TokenReview):
            self._reviewer.review(review)
        return answers.answer(request, codec.encode(review), 201)

    async def _component_statuses(self, request: Request, place: Place) -> Answer:
        await self._check(request, place)
        if place.name and place.name not in self._checks:
            raise NotFound.of("componentstatus", place.name)
        asked = {place.name: self._checks[place.name]} if place.name else self._checks
        return _shown(request, place, await statuses(asked))

    async def _metrics(self, request: Request, place: Place) -> Answer:
        """Who may read nodes and pods may read what they use."""
        await self._check(request, place)
        kind = KINDS[place.resource.resource]
        selection = selection_of(request, Route(kind.resource, kind, place.namespace, place.name), kind)
        found = await (self._usage.nodes if place.resource.type is NodeMetrics else self._usage.pods)(selection)
        if place.name and not found:
            name = f"{place.namespace}/{place.name}" if place.namespace else place.name
            raise NotFound.of(f"{place.resource.kind.lower()}.{place.resource.group}", name)
        return _shown(request, place, found)

    async def _endpoint_slices(self, request: Request, place: Place) -> Answer | Stream:
        await self._check(request, place)
        labels = parse_selector(request.query.get("labelSelector", ""))
        fields = parse_field_selector(place.resource, request.query.get("fieldSelector", ""))
        wanted = Wanted(place.namespace, labels, fields)
        if request.flag("watch"):
            if place.name:
                raise MethodNotAllowed.here()
            return await self._slices.watch(request, place.resource, wanted)
        found, revision = await self._slices.select(wanted)
        if place.name:
            found = [one for one in found if one.metadata.name == place.name]
        if place.name and not found:
            raise NotFound.of("endpointslices.discovery.k8s.io", place.name)
        return _shown(request, place, found, revision)

    async def _check(self, request: Request, place: Place) -> None:
        """It can only be read, and not by everybody."""
        watching = request.flag("watch")
        if request.method != "GET" or (watching and "watch" not in place.resource.verbs):
            raise MethodNotAllowed.here()
        verb = "watch" if watching else "get" if place.name else "list"
        wish = Attributes(request.user, verb, place.namespace, place.resource.resource, request.path, place.name)
        await self._authorization.check(wish)


def _shown(request: Request, place: Place, found: Sequence[Object], revision: int | None = None) -> Answer:
    """A list, the one object that was named, or the Table of either; of what has revisions the list says which."""
    said = {} if revision is None else {"resourceVersion": str(revision)}
    if answers.wants_table(request):
        table = printing.table(place.resource, found) | {"metadata": said}
        return answers.answer(request, msgspec.json.encode(table))
    if place.name:
        return answers.answer(request, codec.encode(found[0]))
    row = place.resource
    listing = {"kind": row.list_kind, "apiVersion": row.api_version, "metadata": {"selfLink": request.path} | said}
    return answers.answer(request, msgspec.json.encode(listing | {"items": found}))
