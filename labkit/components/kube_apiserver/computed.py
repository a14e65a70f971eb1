"""Resources that are worked out for each request: component statuses and reviews (the rows of labkit.api.computed)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from labkit.api import codec, printing
from labkit.api.computed import Place
from labkit.api.errors import NotFound
from labkit.api.types import ComponentStatus, SelfSubjectAccessReview, SelfSubjectReview, SelfSubjectRulesReview
from labkit.components.kube_apiserver import answers, bodies, reviews
from labkit.components.kube_apiserver.authorization import Authorization
from labkit.components.kube_apiserver.authz import Attributes
from labkit.components.kube_apiserver.component_statuses import Check, statuses
from labkit.components.kube_apiserver.messages import Answer, Request
from labkit.components.kube_apiserver.subresources import not_allowed


class Computed:
    """Their handler."""

    def __init__(self, authorization: Authorization, checks: Mapping[str, Check]) -> None:
        self._authorization = authorization
        self._checks = checks

    async def answer(self, request: Request, place: Place) -> Answer:
        """Raises MethodNotAllowed, NotFound, Forbidden, BadRequest."""
        if place.resource.type is ComponentStatus:
            return await self._component_statuses(request, place)
        if request.method != "POST" or place.name:
            raise not_allowed()
        return await self._review(request, place)

    async def _review(self, request: Request, place: Place) -> Answer:
        """Every user may ask about himself."""
        review = bodies.read(request, place.resource.type)[0]
        if isinstance(review, SelfSubjectAccessReview):
            await reviews.may_i(review, request.user, self._authorization)
        elif isinstance(review, SelfSubjectRulesReview):
            reviews.what_may_i(review, request.user, self._authorization)
        elif isinstance(review, SelfSubjectReview):
            reviews.who_am_i(review, request.user)
        return answers.answer(request, codec.encode(review), 201)

    async def _component_statuses(self, request: Request, place: Place) -> Answer:
        if request.method != "GET":
            raise not_allowed()
        wish = Attributes(
            request.user, "get" if place.name else "list", "", place.resource.resource, request.path, place.name
        )
        await self._authorization.check(wish)
        if place.name and place.name not in self._checks:
            raise NotFound.of("componentstatus", place.name)
        asked = {place.name: self._checks[place.name]} if place.name else self._checks
        found = await statuses(asked)
        if answers.wants_table(request):
            return answers.answer(request, msgspec.json.encode(printing.table(place.resource, found)))
        if place.name:
            return answers.answer(request, codec.encode(found[0]))
        listing = {"kind": place.resource.list_kind, "apiVersion": "v1", "metadata": {"selfLink": request.path}}
        return answers.answer(request, msgspec.json.encode(listing | {"items": found}))
