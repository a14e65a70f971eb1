"""Quantities: "250m" of a CPU, "64Mi" of memory, "3" pods, as exact numbers.

A number with an optional exponent (`1e3`) or suffix: m (thousandths), k M G T P E (10^3 ... 10^18), Ki Mi Gi Ti Pi Ei
(2^10 ... 2^60). Rounding is always up, so that what was asked for is there. Nothing is smaller than a thousandth or
larger than 2^63 - 1. Source: pkg/api/resource of Kubernetes 1.0.
"""

import re
from decimal import ROUND_CEILING, ROUND_UP, Decimal, InvalidOperation, localcontext
from functools import lru_cache

_PATTERN = re.compile(r"([+-]?[0-9.]+)([eEimkKMGTP]*[-+]?[0-9]*)")
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]{1,3})")

_SUFFIXES = {"m": Decimal("0.001"), "": Decimal(1)}
_SUFFIXES |= {suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)}
_SUFFIXES |= {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}
_DECIMAL = ["m", "", "k", "M", "G", "T", "P", "E"]  # each a thousand of the one before
_BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
_LARGEST = Decimal(2**63 - 1)


class QuantityError(ValueError):
    """Not a quantity; the text is what the original says."""


@lru_cache(maxsize=4096)
def parse(quantity: str | int | float) -> Decimal:
    """The exact number, rounded up to a thousandth; QuantityError when the text is not a quantity."""
    number, suffix = _parts(str(quantity))
    factor = _SUFFIXES.get(suffix)
    if factor is None:
        exponent = _EXPONENT.fullmatch(suffix)
        if not exponent:
            raise QuantityError("unable to parse quantity's suffix")
        factor = Decimal(10) ** int(exponent[1])
    with localcontext() as context:
        context.prec = 60
        try:
            amount = max(-_LARGEST, min(_LARGEST, Decimal(number) * factor))
        except InvalidOperation as exc:
            raise QuantityError("unable to parse numeric part of quantity") from exc
        return amount.quantize(Decimal("0.001"), ROUND_UP)


def value(quantity: str | int | float) -> int:
    """In whole units, rounded up: bytes of memory, pods; "1500m" -> 2."""
    return int(parse(quantity).to_integral_value(ROUND_CEILING))


def milli_value(quantity: str | int | float) -> int:
    """In thousandths, rounded up: a CPU has 1000; "0.1" -> 100, "2" -> 2000."""
    return int(parse(quantity) * 1000)


@lru_cache(maxsize=4096)
def canonical(quantity: str | int | float) -> str:
    """The one way in which this amount is written: "0.5" -> "500m", "1024Mi" -> "1Gi", "1000m" -> "1".

    Binary suffixes stay binary and exponents exponents, as long as the amount is a whole number of them.
    """
    amount, (_, suffix) = parse(quantity), _parts(str(quantity))
    thousandths = int(amount * 1000)
    if suffix.endswith("i") and abs(amount) >= 1024 and thousandths % 1000 == 0:
        return _shortest(thousandths // 1000, 1024, _BINARY)
    if _EXPONENT.fullmatch(suffix):
        return _shortest(thousandths, 1000, ["e-3", "", *(f"e{3 * power}" for power in range(1, 7))])
    return _shortest(thousandths, 1000, _DECIMAL)


def _parts(text: str) -> tuple[str, str]:
    found = _PATTERN.fullmatch(text)
    if not found:
        raise QuantityError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEimkKMGTP]*[-+]?[0-9]*)$'")
    return found[1], found[2]


def _shortest(count: int, step: int, suffixes: list[str]) -> str:
    """count of the first unit, in the largest unit of which it is a whole number."""
    if count == 0:
        return "0"
    unit = 0
    while count % step == 0 and unit < len(suffixes) - 1:
        count, unit = count // step, unit + 1
    return f"{count}{suffixes[unit]}"
