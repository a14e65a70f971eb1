"""Questions that the server answers and forgets: who am I, may I, what may I; and how its neighbours are."""

from typing import ClassVar

from labkit.api.types.metadata import Object
from labkit.api.types.part import Part, shown

# -- may I? ----------------------------------------------------------------------------------------------------------


class ResourceAttributes(Part):
    namespace: str = ""
    verb: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""


class NonResourceAttributes(Part):
    path: str = ""
    verb: str = ""


class SelfSubjectAccessReviewSpec(Part):
    resource_attributes: ResourceAttributes | None = None
    non_resource_attributes: NonResourceAttributes | None = None


class SubjectAccessReviewStatus(Part):
    allowed: bool = shown(False)
    denied: bool = False
    reason: str = ""
    evaluation_error: str = ""


class SelfSubjectAccessReview(Object):
    KIND: ClassVar[str] = "SelfSubjectAccessReview"
    api_version: str = shown("authorization.k8s.io/v1")
    spec: SelfSubjectAccessReviewSpec = shown(None)
    status: SubjectAccessReviewStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or SelfSubjectAccessReviewSpec()
        self.status = self.status or SubjectAccessReviewStatus()


# -- what may I? -----------------------------------------------------------------------------------------------------


class ResourceRule(Part):
    verbs: list[str] = shown(None)
    api_groups: list[str] = []
    resources: list[str] = []
    resource_names: list[str] = []

    def __post_init__(self) -> None:
        self.verbs = self.verbs or []


class NonResourceRule(Part):
    verbs: list[str] = shown(None)
    non_resource_urls: list[str] = []

    def __post_init__(self) -> None:
        self.verbs = self.verbs or []


class SelfSubjectRulesReviewSpec(Part):
    namespace: str = ""


class SubjectRulesReviewStatus(Part):
    resource_rules: list[ResourceRule] = shown(None)
    non_resource_rules: list[NonResourceRule] = shown(None)
    incomplete: bool = shown(False)
    evaluation_error: str = ""

    def __post_init__(self) -> None:
        self.resource_rules = self.resource_rules or []
        self.non_resource_rules = self.non_resource_rules or []


class SelfSubjectRulesReview(Object):
    KIND: ClassVar[str] = "SelfSubjectRulesReview"
    api_version: str = shown("authorization.k8s.io/v1")
    spec: SelfSubjectRulesReviewSpec = shown(None)
    status: SubjectRulesReviewStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or SelfSubjectRulesReviewSpec()
        self.status = self.status or SubjectRulesReviewStatus()


# -- who am I? -------------------------------------------------------------------------------------------------------


class UserInfo(Part):
    username: str = ""
    uid: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class SelfSubjectReviewStatus(Part):
    user_info: UserInfo = shown(None)

    def __post_init__(self) -> None:
        self.user_info = self.user_info or UserInfo()


class SelfSubjectReview(Object):
    KIND: ClassVar[str] = "SelfSubjectReview"
    api_version: str = shown("authentication.k8s.io/v1")
    status: SelfSubjectReviewStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.status = self.status or SelfSubjectReviewStatus()


class SelfSubjectReviewV1beta1(SelfSubjectReview):
    """The same before it was final, as kubectl 1.27 asks."""

    api_version: str = shown("authentication.k8s.io/v1beta1")


# -- whose token is this? --------------------------------------------------------------------------------------------


class TokenReviewSpec(Part):
    token: str = ""
    audiences: list[str] = []


class TokenReviewStatus(Part):
    authenticated: bool = False
    user: UserInfo = shown(None)
    audiences: list[str] = []
    error: str = ""

    def __post_init__(self) -> None:
        self.user = self.user or UserInfo()


class TokenReview(Object):
    KIND: ClassVar[str] = "TokenReview"
    api_version: str = shown("authentication.k8s.io/v1")
    spec: TokenReviewSpec = shown(None)
    status: TokenReviewStatus = shown(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = self.spec or TokenReviewSpec()
        self.status = self.status or TokenReviewStatus()


# -- how are the server's neighbours? --------------------------------------------------------------------------------


class ComponentCondition(Part):
    type: str = shown("")
    status: str = shown("")
    message: str = ""
    error: str = ""


class ComponentStatus(Object):
    KIND: ClassVar[str] = "ComponentStatus"
    conditions: list[ComponentCondition] = []
