from datetime import UTC, datetime

import pytest

from labkit.api.durations import age, human


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (599, "9m59s"),
        (47 * 60, "47m"),
        (179 * 60, "179m"),
        (3 * 3600 + 300, "3h5m"),
        (30 * 3600, "30h"),
        (3 * 86400 + 4 * 3600, "3d4h"),
        (120 * 86400, "120d"),
        (800 * 86400, "2y70d"),
        (4000 * 86400, "10y"),
        (-0.5, "0s"),
        (-60, "<invalid>"),
    ],
)
def test_human(seconds: float, text: str) -> None:
    assert human(seconds) == text


def test_age() -> None:
    now = datetime(2015, 6, 5, 12, 0, tzinfo=UTC)
    assert age("2015-06-05T11:59:18Z", now) == "42s"
    assert age("2015-06-05T13:59:18.5+02:00", now) == "41s"
    assert (age(None, now), age("", now), age("yesterday", now)) == ("<unknown>",) * 3
