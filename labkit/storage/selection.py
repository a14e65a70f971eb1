"""Which objects of a kind a reader wants: a namespace, one name, labels, fields."""

from __future__ import annotations

from typing import NamedTuple

from labkit.api import fields, labels
from labkit.api.fields import FieldSelector
from labkit.api.labels import Selector
from labkit.storage.entry import Entry


class Selection(NamedTuple):
    """All that is given must match; "" and selectors without requirements match anything.

    `scope`: "default/" for what is in the namespace default.
    """

    scope: str = ""
    labels: Selector = labels.EVERYTHING
    fields: FieldSelector = fields.EVERYTHING

    def matches(self, entry: Entry) -> bool:
        if not entry.path.startswith(self.scope):
            return False
        if not self.labels.everything and not self.labels.matches(entry.labels):
            return False
        return self.fields.everything or self.fields.matches(entry.fields)

    @property
    def whole(self) -> bool:
        """Nothing but the scope selects."""
        return self.labels.everything and self.fields.everything
