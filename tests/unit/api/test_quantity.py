from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api.quantity import QuantityError, canonical, milli_value, parse, value


@pytest.mark.parametrize(
    ("text", "units", "thousandths", "written"),
    [
        ("250m", 1, 250, "250m"),
        ("0.5", 1, 500, "500m"),
        ("2", 2, 2000, "2"),
        (3, 3, 3000, "3"),
        (0.1, 1, 100, "100m"),
        ("1000m", 1, 1000, "1"),
        ("64Mi", 64 * 2**20, 64 * 2**20 * 1000, "64Mi"),
        ("1024Mi", 2**30, 2**30 * 1000, "1Gi"),
        ("1.5Gi", 3 * 2**29, 3 * 2**29 * 1000, "1536Mi"),
        ("0.5Ki", 512, 512000, "512"),
        ("1000k", 10**6, 10**9, "1M"),
        ("1e3", 1000, 10**6, "1e3"),
        ("12E", 12 * 10**18 if 12 * 10**18 < 2**63 else 2**63 - 1, (2**63 - 1) * 1000, "9223372036854775807"),
        ("-1500m", -1, -1500, "-1500m"),
        ("0.0001", 1, 1, "1m"),  # nothing is smaller than a thousandth
        ("0", 0, 0, "0"),
    ],
)
def test_reads_and_writes(text: str | int | float, units: int, thousandths: int, written: str) -> None:
    assert (value(text), milli_value(text), canonical(text)) == (units, thousandths, written)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("lots", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEimkKMGTP]*[-+]?[0-9]*)$'"),
        ("", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEimkKMGTP]*[-+]?[0-9]*)$'"),
        ("1 Gi", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEimkKMGTP]*[-+]?[0-9]*)$'"),
        ("1.2.3", "unable to parse numeric part of quantity"),
        ("1mm", "unable to parse quantity's suffix"),
        ("1e", "unable to parse quantity's suffix"),
    ],
)
def test_refuses_in_the_words_of_the_original(text: str, error: str) -> None:
    with pytest.raises(QuantityError) as raised:
        parse(text)
    assert str(raised.value) == error


SUFFIXES = ["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-2"]


@given(st.integers(-(10**6), 10**6), st.integers(0, 999), st.sampled_from(SUFFIXES))
def test_canonical_is_the_same_amount_and_stays(whole: int, fraction: int, suffix: str) -> None:
    written = canonical(f"{whole}.{fraction:03d}{suffix}")
    assert parse(written) == parse(f"{whole}.{fraction:03d}{suffix}")
    assert canonical(written) == written


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_an_error(text: str) -> None:
    try:
        assert isinstance(parse(text), Decimal)
    except QuantityError as exc:
        assert str(exc)  # noqa: PT017  (both outcomes are fine)
