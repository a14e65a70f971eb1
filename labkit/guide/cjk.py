"""Line breaks in Chinese text, which has no spaces to break at.

rich breaks at spaces only, so a Chinese sentence would leave every second line half empty. Lines are cut here instead,
between any two characters of which one is Chinese; no line begins with a closing sign or ends with an opening one.
"""

import re

from rich.cells import cell_len

_CLOSING = set("，。；：、！？）》」』”’…%)]},.;:!?")
_OPENING = set("（《「『“‘([{")
# What is never cut: a code span, a word of other scripts; and one Chinese character (or sign) at a time.
_PIECE = re.compile(r"`[^`]*`|[^\s`\u2e80-\u9fff\uff00-\uffef\u2018-\u201d\u2026]+|\s+|.")
_CHINESE = re.compile(r"[\u2e80-\u9fff]")
_ITEM = re.compile(r"(\s*(?:[-*]|\d+\.)\s+|\s*)")


def broken(markdown: str, width: int) -> str:
    """The Markdown with hard breaks in lines that hold Chinese text and are wider than `width` cells."""
    result, fenced = [], False
    for line in markdown.splitlines():
        fenced ^= line.lstrip().startswith("```")
        if fenced or line.lstrip().startswith(("|", "#", "```")) or not _CHINESE.search(line):
            result.append(line)
        else:
            result += _cut(line, width)
    return "\n".join(result)


def _cut(line: str, width: int) -> list[str]:
    head = _ITEM.match(line)
    assert head is not None  # it matches nothing at all, too
    indent = " " * len(head[0])
    lines, here = [], head[0]
    for piece in _bound(_PIECE.findall(line[len(head[0]) :])):
        if cell_len(here + piece.rstrip()) > width - 2 and here.strip():
            lines.append(here.rstrip() + "\\")
            here = indent + piece.lstrip()
        else:
            here += piece
    return [*lines, here]


def _bound(pieces: list[str]) -> list[str]:
    """Pieces joined where no line may end between them."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (piece[0] in _CLOSING or joined[-1][-1] in _OPENING or piece.isspace()):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined
