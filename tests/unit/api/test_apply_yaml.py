"""Bodies of server-side apply: what YAML means, and that no text of it is a bomb."""

import time
from typing import Any

import pytest

from labkit.api.errors import BadRequest
from labkit.api.patch.apply_yaml import MOST_BYTES, load


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("a:\n- 1\n- ~\n", {"a": [1, None]}),
        ("{a: b}", {"a": "b"}),
        ("created: 2015-06-01T00:00:00Z\nport: 22:22\n", {"created": "2015-06-01T00:00:00Z", "port": "22:22"}),
        ("mode: 0644\nhex: 0x1f\nhalf: .5\ntext: '5'\n80: on\n", {
            "mode": 420, "hex": 31, "half": 0.5, "text": "5", "80": True}),
        ("a: &x {b: c}\nd: {<<: *x, e: f}\n", {"a": {"b": "c"}, "d": {"b": "c", "e": "f"}}),
        ("text: |\n  one\n  two\n", {"text": "one\ntwo\n"}),
        ("data: !!binary aGk=\n", {"data": "aGk="}),
        ("", None),
    ],
)  # fmt: skip
def test_what_it_means(text: str, means: Any) -> None:
    assert load(text.encode()) == means


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a:\n  b: c\n d: e\n", "yaml: line 3: did not find expected"),
        ("a: b: c\n", "yaml: line 1: mapping values are not allowed"),
        (BOMB, "the document contains excessive aliasing"),
        ("a: &x [*x]", "line 1: the document contains excessive aliasing"),
        ("a: *nobody", "line 1: the document contains excessive aliasing"),
        ("- " * 10_000, "line 1: deeper than 64 levels"),
        ("[" * 60_000, "line 1: deeper than 64 levels"),
        ("a: b\n---\nc: d\n", "line 2: a second document: expected one object"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor"),
        ("a: !mine {b: c}", "line 1: could not determine a constructor"),
        ("? [a, b]\n: c", "line 1: found un"),
        ("a: " + "9" * 6000, "integer string conversion"),
        ("a: \x00", "yaml: "),
        ("x" * (MOST_BYTES + 1), f"bytes of YAML: expected {MOST_BYTES} at most"),
    ],
    ids=range(14),
)
def test_what_is_refused(text: str, says: str) -> None:
    started = time.process_time()
    with pytest.raises(BadRequest) as refused:
        load(text.encode())
    assert says in refused.value.message
    assert refused.value.message.startswith("error decoding YAML: error converting YAML to JSON: ")
    assert time.process_time() - started < 5


def test_no_utf8() -> None:
    with pytest.raises(BadRequest, match="can't decode byte 0xff in position 3"):
        load(b"a: \xff")
