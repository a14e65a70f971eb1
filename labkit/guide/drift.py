"""Has what a command prints changed since it was recorded, other than in what changes every time? Pure.

Ages, times, durations, drawn names, addresses of pods, ports that were free, uids, revisions, hashes: each is
replaced by a word for what it is before two outputs are compared, line by line.
"""

import difflib
import re

# In this order: what a later pattern would take apart comes first.
_CHANGING = [
    (r"(?<=\.)[0-9a-f]{8}_\S*", "HASH"),  # of a container's spec, in its name, with its pod behind it
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UID"),
    (r"\b\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?)?", "TIME"),
    (r"\b[A-Z][a-z]{2},? +(\d{1,2} +)?[A-Z]?[a-z]* *\d{1,2}( \d{4})? \d{2}:\d{2}:\d{2}( [A-Z]{3}| \d{4})?\b", "TIME"),
    (r"\b\d{1,2}:\d{2}:\d{2}(\.\d+)?\b", "TIME"),
    (r"\b\d{2,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", "IP"),
    (r"\b[0-9a-f]{12,64}\b", "HASH"),
    (r"(?<=\bKUBE-S[EV][PC]-)[A-Z2-7]{16}\b|(?<=\bendpoint-)[A-Z2-7]{8}\b", "HASH"),  # chains are named by what they do
    (r"(?<=-)[a-z0-9]{5}\b", "NAME"),
    (r"\bagent\d+\b", "AGENT"),
    (r"<invalid>|\b(\d+d)?(\d+h)?(\d+m)?\d+(\.\d+)?(s|ms|us|µs|m|h|d)\b", "AGE"),
    (r"\b\d+(\.\d+)? (milliseconds?|seconds?|minutes?)\b", "AGE"),
    (r"\d+(\.\d+)?", "N"),
]
_PATTERNS = [(re.compile(pattern), word) for pattern, word in _CHANGING]
# What a pod goes through within the second in which it is looked at.
_PHASES = re.compile(r"\b[01]/1 +(Pending|ContainerCreating|Running|Terminating)\b|<none>|\bNone\b")


def settled(text: str) -> list[str]:
    """The lines of an output, without what changes every time."""
    return [_settled(line) for line in text.splitlines() if line.strip()]


def _settled(line: str) -> str:
    line = _PHASES.sub("STATE", line)
    for pattern, word in _PATTERNS:
        line = pattern.sub(word, line)
    return re.sub(r"(STATE|IP)\b", "STATE", re.sub(r"\s+", " ", line)).strip()


def drift(recorded: str, printed: str) -> list[str]:
    """The lines that differ (`- recorded`, `+ printed`), as they stand in the two; empty when nothing of note does.
    The same lines in another order are the same: components write at the same time."""
    if sorted(settled(recorded)) == sorted(settled(printed)):
        return []
    old, new = (text.splitlines() for text in (recorded, printed))
    old, new = ([line for line in lines if line.strip()] for lines in (old, new))
    matcher = difflib.SequenceMatcher(None, settled(recorded), settled(printed), autojunk=False)
    found = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            found += [*(f"- {line.rstrip()}" for line in old[a:b]), *(f"+ {line.rstrip()}" for line in new[c:d])]
    return found
