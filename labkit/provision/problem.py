"""What stands in the way of machines on this host, and what to do about it."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """what: in one line, with the figures. mend: what to type, or to change."""

    what: str
    mend: str
