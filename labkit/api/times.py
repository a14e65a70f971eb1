"""Timestamps as clients write them: RFC 3339, `2015-06-05T14:00:00.5+02:00`, kept as `2015-06-05T12:00:00Z`.

What is no time is told in the words of Go's parser, which names the rest that it could not read and the element of its
layout that it had expected there. Source: RFC 3339; time.Parse of Go; the type Time of API v1.
"""

import json
import re
from datetime import UTC, datetime
from functools import lru_cache

_LAYOUT = "2006-01-02T15:04:05Z07:00"
_TWO = r"\d\d"
_ELEMENTS = [
    (element, re.compile(pattern, re.ASCII))
    for element, pattern in (
        ("2006", r"\d{4}"), ("-", "-"), ("01", _TWO), ("-", "-"), ("02", _TWO), ("T", "T"), ("15", _TWO), (":", ":"),
        ("04", _TWO), (":", ":"), ("05", rf"{_TWO}(?:[.,]\d+)?"), ("Z07:00", r"Z|[+-]\d\d:\d\d"),
    )
]  # fmt: skip
_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_ZERO = datetime(1, 1, 1, tzinfo=UTC)


class TimeError(ValueError):
    """Not a time; the text is what the original says."""


@lru_cache(maxsize=4096)
def canonical(text: str) -> str | None:
    """To the second, in UTC; None for Go's zero time, which is how its clients may write "absent"."""
    moment = _moment(text)
    return None if moment == _ZERO else moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def canonical_micro(text: str) -> str | None:
    """The same to the microsecond: `2015-06-05T12:00:00.500000Z`."""
    moment = _moment(text)
    return None if moment == _ZERO else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def _moment(text: str) -> datetime:
    if not _CANONICAL.fullmatch(text):
        _check_layout(text)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TimeError(f"parsing time {_quoted(text)}: {_out_of_range(error)} out of range") from error


def _check_layout(text: str) -> None:
    rest = text
    for element, pattern in _ELEMENTS:
        found = pattern.match(rest)
        if not found:
            said = f"cannot parse {_quoted(rest)} as {_quoted(element)}"
            raise TimeError(f"parsing time {_quoted(text)} as {_quoted(_LAYOUT)}: {said}")
        rest = rest[found.end() :]
    if rest:
        raise TimeError(f"parsing time {_quoted(text)}: extra text: {_quoted(rest)}")


def _out_of_range(error: Exception) -> str:
    """Which element Python found impossible: "month must be in 1..12" -> month."""
    word = str(error).partition(" ")[0]
    return word if word in ("year", "month", "day", "hour", "minute", "second") else "time"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
