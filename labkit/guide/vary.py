"""What differs from learner to learner, so that answers cannot be copied.

A page's front matter says what may vary (`varies: {PORT: 8001-8099, SHOP: [web, shop]}`); everywhere in the page and in
the lab's files `$PORT` or `${SHOP}` stands for the value that this learner's seed draws. The page as it is recorded,
printed and read on a forge has the first value of each.
"""

import dataclasses
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.guide.format import Lab

Values = Mapping[str, str]


def draw(lab: Lab, seed: str) -> dict[str, str]:
    """One value per name; the same for the same learner, lab and name. The first of each without a seed. A seed like
    `FAULT=dns,PORT=8003` says what each is to be, for an author who plays every fault."""
    said = dict(pair.split("=", 1) for pair in seed.split(",") if "=" in pair)

    def value(name: str, choices: tuple[str, ...]) -> str:
        if said.get(name) in choices:
            return said[name]
        return random.Random(f"{seed} {lab.name} {name}").choice(choices) if seed else choices[0]

    return {name: value(name, choices) for name, choices in lab.varies.items()}


def filled(text: str, values: Values) -> str:
    """`$NAME` and `${NAME}` replaced for the names that vary; any other is the shell's."""
    if not values:
        return text
    names = "|".join(sorted(values, key=len, reverse=True))
    return re.sub(rf"\$(?:\{{({names})\}}|({names})\b)", lambda found: values[found[1] or found[2]], text)


def varied(lab: Lab, values: Values) -> Lab:
    """The lab as this learner sees it."""
    if not values:
        return lab
    seen: Lab = _everywhere(lab, values)
    return dataclasses.replace(seen, varies=lab.varies, values=values)


def _everywhere(value: Any, values: Values) -> Any:
    if isinstance(value, str):
        return filled(value, values)
    if isinstance(value, tuple):
        return tuple(_everywhere(each, values) for each in value)
    if isinstance(value, dict):
        return {key: _everywhere(each, values) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Path):
        fields = {field.name: _everywhere(getattr(value, field.name), values) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value
