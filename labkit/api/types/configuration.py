"""What pods are told and trusted with, kept beside their images: Secret, ConfigMap, ServiceAccount."""

from typing import ClassVar

from labkit.api.types.metadata import LocalObjectReference, Object, ObjectReference


class Secret(Object):
    """Values are bytes here and base64 in JSON."""

    KIND: ClassVar[str] = "Secret"
    data: dict[str, bytes] = {}
    string_data: dict[str, str] = {}
    type: str = ""


class ConfigMap(Object):
    KIND: ClassVar[str] = "ConfigMap"
    data: dict[str, str] = {}
    binary_data: dict[str, bytes] = {}


class ServiceAccount(Object):
    KIND: ClassVar[str] = "ServiceAccount"
    secrets: list[ObjectReference] = []
    image_pull_secrets: list[LocalObjectReference] = []
    automount_service_account_token: bool | None = None
