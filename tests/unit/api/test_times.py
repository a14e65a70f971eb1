"""Timestamps: what is one, how it is kept, and what is said of what is none (the texts are Go's)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api.times import TimeError, canonical

AS = ' as "2006-01-02T15:04:05Z07:00": cannot parse '


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2015-06-05T12:00:00Z", "2015-06-05T12:00:00Z"),
        ("2015-06-05T12:00:00+02:00", "2015-06-05T10:00:00Z"),
        ("2015-06-05T12:00:00.999999999-00:30", "2015-06-05T12:30:00Z"),
        ("2015-06-05T12:00:00,5Z", "2015-06-05T12:00:00Z"),
        ("0099-01-01T00:00:00Z", "0099-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_is_kept_in_utc_to_the_second(text: str, kept: str | None) -> None:
    assert canonical(text) == kept


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", AS + '"" as "2006"'),
        ("yesterday", AS + '"yesterday" as "2006"'),
        ("2015-06-05", AS + '"" as "T"'),
        ("2015-06-05 12:00:00Z", AS + '" 12:00:00Z" as "T"'),
        ("2015-06-05T12:00:00", AS + '"" as "Z07:00"'),
        ("20150605T120000Z", AS + '"0605T120000Z" as "-"'),
        ("2015-06-05T12:00:00Zulu", ': extra text: "ulu"'),
        ("2015-13-05T12:00:00Z", ": month out of range"),
        ("2015-02-30T12:00:00Z", ": day out of range"),
        ("2015-06-05T24:00:00Z", ": hour out of range"),
        ("2015-06-05T12:00:60Z", ": second out of range"),
        ("0000-01-01T00:00:00Z", ": year out of range"),
        ("9999-12-31T23:59:59-01:00", ": time out of range"),
        ("２０15-06-05T12:00:00Z", AS + '"２０15-06-05T12:00:00Z" as "2006"'),
    ],
)
def test_says_what_it_could_not_read(text: str, why: str) -> None:
    with pytest.raises(TimeError) as raised:
        canonical(text)
    assert str(raised.value) == f'parsing time "{text}"{why}'


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.timezones()))
def test_any_moment_is_the_same_moment(moment: datetime) -> None:
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() % 60:
        return  # local mean time, to the second: not RFC 3339
    kept = canonical(moment.isoformat())
    assert kept is not None
    assert datetime.fromisoformat(kept) == moment.astimezone(UTC).replace(microsecond=0)


@given(st.text(alphabet="0123456789-:TZ.+ tz", max_size=30))
def test_any_text_is_a_time_or_an_error(text: str) -> None:
    try:
        kept = canonical(text)
    except TimeError as exc:
        assert str(exc).startswith("parsing time ")  # noqa: PT017  (both outcomes are fine)
        return
    assert kept is None or canonical(kept) == kept
