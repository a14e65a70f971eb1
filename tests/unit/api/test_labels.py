import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.api.errors import BadRequest
from labkit.api.labels import EVERYTHING, parse_selector

# The pods of the recorded requests: p1 {app: a, tier: fe}, p2 {app: b, tier: be}, p3 {app: c}, nk without labels.
PODS = {"p1": {"app": "a", "tier": "fe"}, "p2": {"app": "b", "tier": "be"}, "p3": {"app": "c"}, "nk": {}}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", ["p1", "p2", "p3", "nk"]),
        ("app=a", ["p1"]),
        ("app==a", ["p1"]),
        ("app!=a", ["p2", "p3", "nk"]),
        ("app in (a,b)", ["p1", "p2"]),
        ("app notin (a,b)", ["p3", "nk"]),
        ("app", ["p1", "p2", "p3"]),
        ("!app", ["nk"]),
        ("app,!tier", ["p3"]),
        ("app=a,tier=fe", ["p1"]),
        ("app in (a),tier notin (x)", ["p1"]),
        ("app in ()", []),
        ("app in (a, b), tier", ["p1", "p2"]),
        (" app = a ", ["p1"]),
        ("app=nope", []),
        ("app=", []),  # kubectl takes it; 1.0 did not
        ("app!=,tier", ["p1", "p2"]),
        ("in in (in)", []),
    ],
)
def test_selects(selector: str, selected: list[str]) -> None:
    parsed = parse_selector(selector)
    assert [name for name, labels in PODS.items() if parsed.matches(labels)] == selected


@pytest.mark.parametrize(
    ("selector", "error"),
    [
        ("app==,", "found '', expected: identifier after ','"),
        ("app=)", "unable to parse requiremnt: found ')', expected: identifier"),
        ("app in (a", "unable to parse requiremnt: found '', expected: ',' or ')'"),
        ("=a", "found '=', expected: identifier or 'end of string'"),
        ("a b", "unable to parse requiremnt: found 'b', expected: '=', '!=', '==', 'in', notin'"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a in b", "unable to parse requiremnt: found 'b' expected: '('"),
        ("!", "unable to parse requiremnt: found '', expected: identifier"),
    ],
)
def test_says_what_it_expected(selector: str, error: str) -> None:
    with pytest.raises(BadRequest) as raised:
        parse_selector(selector)
    assert raised.value.message == error


def test_a_label_that_nothing_can_have_is_an_error() -> None:
    with pytest.raises(BadRequest, match="label key must be a qualified name"):
        parse_selector("-a=b")
    with pytest.raises(BadRequest, match="label value must have at most 63 characters"):
        parse_selector("a=" + "b" * 64)


def test_everything_is_what_is_asked_without_a_selector() -> None:
    assert parse_selector("") == EVERYTHING
    assert EVERYTHING.everything
    assert not parse_selector("a").everything


word = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
requirement = st.one_of(
    word,
    word.map("!{}".format),
    st.builds("{}{}{}".format, word, st.sampled_from(["=", "==", "!="]), word),
    st.builds(
        lambda key, operator, values: f"{key} {operator} ({', '.join(values)})",
        word,
        st.sampled_from(["in", "notin"]),
        st.lists(word, max_size=3),
    ),
)


@given(st.lists(requirement, max_size=4).map(",".join), st.dictionaries(word, word, max_size=4))
def test_its_text_means_the_same(text: str, labels: dict[str, str]) -> None:
    selector = parse_selector(text)
    assert parse_selector(str(selector)).matches(labels) == selector.matches(labels)


@given(st.text(alphabet="ab!=(), innotin\t\u00e9", max_size=30))
def test_any_text_is_a_selector_or_a_bad_request(text: str) -> None:
    try:
        parse_selector(text)
    except BadRequest as exc:
        assert exc.message  # noqa: PT017  (both outcomes are fine)
