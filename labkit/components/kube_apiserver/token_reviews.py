"""POST /apis/authentication.k8s.io/v1/tokenreviews: whose is this bearer token, and is it for me?

    spec {token: eyJ..., audiences: [https://vault]}  ->  status {authenticated: true, user: {username: system:
                                                          serviceaccount:team:robot, groups}, audiences: [...]}

A program that is shown a token by somebody else asks this (the kubelet of later versions, a registry, a vault). It
needs a right: who may ask can try tokens. Source: authentication.k8s.io/v1, pkg/registry/authentication/tokenreview of
Kubernetes 1.20.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from labkit.api.errors import BadRequest
from labkit.api.types import TokenReview, TokenReviewStatus, UserInfo
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_apiserver.tokens import Authenticate


class TokenReviewer:
    """Asks those who know tokens. own_audiences: this server's."""

    def __init__(self, known: Sequence[Authenticate], own_audiences: Collection[str]) -> None:
        self._known = known
        self._own_audiences = own_audiences

    def review(self, review: TokenReview) -> None:
        """Fills in the status. Raises BadRequest."""
        if review.metadata.namespace:
            raise BadRequest(f'namespace is not allowed on this type: "{review.metadata.namespace}"')
        if not review.spec.token:
            raise BadRequest("token is required for TokenReview in authentication")
        asked = review.spec.audiences or self._own_audiences
        user = self._user(review.spec.token, asked)
        if not user.name:
            review.status = TokenReviewStatus(error="invalid bearer token")
            return
        review.status = TokenReviewStatus(
            authenticated=True,
            user=UserInfo(username=user.name, groups=list(user.groups)),
            audiences=[one for one in asked if self._user(review.spec.token, [one]).name],
        )

    def _user(self, token: str, audiences: Collection[str]) -> User:
        users = (authenticate(token, audiences) for authenticate in self._known)
        return next((user for user in users if user.name), User())
