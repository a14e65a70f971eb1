"""Times as the API and docker write them: RFC 3339 in UTC, seconds since 1970 inside."""

import re
from datetime import UTC, datetime

_FRACTION = re.compile(r"\.(\d+)")


def stamp(seconds: float) -> str:
    """1763806030.9 -> `2025-11-22T10:07:10Z`, as the API writes it (whole seconds)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str | None) -> float:
    """The reverse, of docker's nanosecond times too; 0 for no time (docker writes year 1)."""
    if not text or text.startswith("0001-"):
        return 0.0
    # datetime reads at most microseconds
    text = _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), text)
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
