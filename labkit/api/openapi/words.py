"""What the schema says in words: words.txt, read when somebody asks for a schema.

Pod: Containers that are started together ...        a type
  spec*: What is wanted.                             a field of it; the star: it must be given
"""

from importlib import resources
from typing import NamedTuple

from labkit.api.types import Part


class TypeWords(NamedTuple):
    """The sentence about a type, those about its fields, and the names of the fields that must be given."""

    text: str
    fields: dict[str, str]
    required: set[str]


def read() -> dict[str, TypeWords]:
    """Everything, by the type's name."""
    text = resources.files(__package__).joinpath("words.txt").read_text(encoding="utf-8")
    words: dict[str, TypeWords] = {}
    current = TypeWords("", {}, set())
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, sentence = line.strip().partition(": ")
        if not line.startswith(" "):
            current = words[name] = TypeWords(sentence, {}, set())
            continue
        current.fields[name.rstrip("*")] = sentence
        if name.endswith("*"):
            current.required.add(name.rstrip("*"))
    return words


def words_of(what: type[Part], words: dict[str, TypeWords]) -> TypeWords:
    """Of a type, with what it has from the types that it is made from; its own words win."""
    lines = [words[one.__name__] for one in reversed(what.__mro__) if one.__name__ in words]
    fields = {name: text for line in lines for name, text in line.fields.items()}
    return TypeWords(lines[-1].text, fields, set().union(*(line.required for line in lines)))
