"""What somebody asks about himself: may I, what may I, who am I? (kubectl auth can-i, can-i --list, whoami)

Source: authorization.k8s.io/v1 and authentication.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Sequence

from labkit.api.errors import BadRequest
from labkit.api.kinds import KINDS
from labkit.api.types import (
    NonResourceRule,
    ResourceRule,
    SelfSubjectAccessReview,
    SelfSubjectReview,
    SelfSubjectRulesReview,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
    UserInfo,
)
from labkit.components.kube_apiserver import authz
from labkit.components.kube_apiserver.authorization import Authorization
from labkit.components.kube_apiserver.authz import READING, Attributes, Rule
from labkit.components.kube_apiserver.messages import User
from labkit.components.kube_apiserver.routes import NAMED_ONLY

_ANYTHING = ResourceRule(verbs=["*"], api_groups=["*"], resources=["*"])


def wish_of(review: SelfSubjectAccessReview, user: User) -> Attributes:
    """What is asked about. Raises BadRequest."""
    asked, path = review.spec.resource_attributes, review.spec.non_resource_attributes
    if asked is not None and path is None:
        resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        return Attributes(user, asked.verb, asked.namespace, resource, "", asked.name)
    if path is not None and asked is None:
        return Attributes(user, path.verb, "", "", path.path)
    raise BadRequest("expected exactly one of spec.resourceAttributes and spec.nonResourceAttributes")


async def may_i(review: SelfSubjectAccessReview, user: User, authorization: Authorization) -> None:
    """Fills in the status."""
    allowed = await authorization.allows(wish_of(review, user))
    review.status = SubjectAccessReviewStatus(allowed=allowed, reason="" if allowed else "No policy matched.")


def what_may_i(review: SelfSubjectRulesReview, user: User, authorization: Authorization) -> None:
    """Fills in the status; a node is told that the Node authorizer's part of it cannot be written as rules."""
    everything = authz.MASTERS in user.groups or "AlwaysAllow" in authorization.names
    rules = [_ANYTHING] if everything else rules_of(user, review.spec.namespace, authorization.rules)
    paths = NonResourceRule(verbs=["*"] if everything else ["get"], non_resource_urls=["*"])
    is_node = "Node" in authorization.names and "system:nodes" in user.groups
    review.status = SubjectRulesReviewStatus(
        resource_rules=rules, non_resource_rules=[paths], incomplete=is_node,
        evaluation_error="the Node authorizer does not list its rules" if is_node else "",
    )  # fmt: skip


def rules_of(user: User, namespace: str, rules: Sequence[Rule]) -> list[ResourceRule]:
    """The lines of the policy that are this user's in this namespace."""
    return [
        ResourceRule(
            verbs=rule.verbs or (sorted(READING) if rule.readonly else ["*"]),
            api_groups=[""],
            resources=_resources(rule.resource),
        )
        for rule in rules
        if (not rule.user or rule.user == user.name)
        and (not rule.group or rule.group in user.groups)
        and (not rule.namespace or rule.namespace == namespace)
    ]


def _resources(resource: str) -> list[str]:
    """What a line for this resource covers."""
    if not resource:
        return ["*"]
    below = KINDS[resource].subresources if resource in KINDS else ()
    return [resource, *(f"{resource}/{name}" for name in sorted(set(below) - NAMED_ONLY))]


def who_am_i(review: SelfSubjectReview, user: User) -> None:
    """Fills in the status."""
    review.status.user_info = UserInfo(username=user.name, groups=list(user.groups))
