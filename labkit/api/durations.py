"""How long ago, for people: `5s`, `3m10s`, `47m`, `2h5m`, `3d4h`, `120d`.

Timestamps of the API are RFC 3339 text in UTC: `2015-06-05T12:00:00Z`. Source: duration.HumanDuration of apimachinery.
"""

from datetime import UTC, datetime

UNKNOWN = "<unknown>"


def parse_time(text: str | None) -> datetime | None:
    """None for an absent or unreadable timestamp."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def age(timestamp: str | None, now: datetime) -> str:
    moment = parse_time(timestamp)
    return human((now - moment).total_seconds()) if moment else UNKNOWN


def human(seconds: float) -> str:
    """The two largest units, the smaller one only while it matters."""
    if seconds < -1:
        return "<invalid>"
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 8 * 365 else f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
