"""What is no object of its own: the answer Status, and the options of a DELETE."""

from labkit.api.types.metadata import ListMeta
from labkit.api.types.part import Int32, Int64, Part, shown


class StatusCause(Part):
    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(Part):
    name: str = ""
    kind: str = ""
    uid: str = ""
    causes: list[StatusCause] = []
    retry_after_seconds: Int32 | None = None


class Status(Part):
    """The answer to what is not an object: an error, or the success of a deletion."""

    kind: str = shown("Status")
    api_version: str = shown("v1")
    metadata: ListMeta = shown(None)
    status: str = ""
    message: str = ""
    reason: str = ""
    details: StatusDetails | None = None
    code: Int32 = shown(0)

    def __post_init__(self) -> None:
        self.metadata = self.metadata or ListMeta()


class Preconditions(Part):
    uid: str | None = None
    resource_version: str | None = None


class DeleteOptions(Part):
    kind: str = ""
    api_version: str = ""
    grace_period_seconds: Int64 | None = None
    preconditions: Preconditions | None = None
    orphan_dependents: bool | None = None
    propagation_policy: str = ""
    dry_run: list[str] = []
