"""What clients may write into a field, right and wrong: texts, numbers, times, amounts, selectors.

Half of each is a list of what somebody has once sent to an API server; the rest is hypothesis' own.
"""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NUMBERS: list[Any] = [
    0, 1, -1, 2, 80, 443, 8080, 30001, 255, 256, 511, 512, 65535, 65536, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1,
    2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, -0.0, 0.5, 1e300, 3.0,
]  # fmt: skip
TIMES = [
    "2015-06-05T12:00:00Z", "2015-06-05T12:00:00+02:00", "2015-06-05T12:00:00.123456789Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "2015-06-05", "2015-06-05T12:00:00", "2015-06-05 12:00:00Z", "2015-02-30T00:00:00Z",
    "2015-06-05T24:00:00Z", "2015-06-05T12:00:60Z", "2015-06-05t12:00:00z", "2015-06-05T12:00:00+25:00", "now", "",
    "0000-01-01T00:00:00Z", "20150605T120000Z", "2015-W23-5T12:00:00Z", "2015-06-05T12:00Z", "2015-06-05T12:00:00,5Z",
    "-2015-06-05T12:00:00Z", "10000-01-01T00:00:00Z", "2015-06-05T12:00:00-00:00", "٢٠١٥-06-05T12:00:00Z",
]  # fmt: skip
AMOUNTS: list[Any] = [
    "0", "1", "-1", "100m", "64Mi", "1.5Gi", "1e3", "1E3", "1e-3", "1E", "0.0001", "9223372036854775808", "1e999",
    "1e-999", "-9223372036854775809", ".", "..", "1.2.3", "+.5", "-", "m", "1ki", "1mi", "1KI", "5 ", " 5", "5Zi",
    "1e", "1eE", "1Ee3", "0x10", "١", "1_000", "NaN", "Infinity", "", "1" * 400, "0." + "0" * 400 + "1", "1m1", "1e+1",
    1, 0.1, -3, 10**30, 1e300, 5e-324,
]  # fmt: skip
NAMES = [
    "fuzz", "fresh", "a", "a.b", "a" * 63, "a" * 64, "a" * 253, "a" * 254, "A", "a_b", "-a", "a-", "a..b", ".a", "",
    ".", "..", "a/b", "a%2fb", "a b", "a\n", "a\x00", "ä", "１", "kubernetes", "default", "a\u2028", "\ud7ff", "0",
]  # fmt: skip
TEXTS = [
    *NAMES, "TCP", "UDP", "Always", "Never", "ClusterFirst", "None", "ClientIP", "NodePort", "LoadBalancer",
    "ReadWriteOnce", "Recycle", "Opaque", "kubernetes.io/service-account-token", "kubernetes.io/dockercfg", "/", "/a/b",
    "../etc", "10.0.0.1", "10.0.0.77", "127.0.0.1", "256.1.1.1", "0.0.0.0", "::1", "10.0.0.0/16", "v1", "v2", "Pod",
    "true", "5", "a=b", "{}", "$(X)", "\\", '"', "<script>", "\r\n", "x" * 5000, "metadata.name", "status.podIP",
]  # fmt: skip
BYTES = ["", "YQ==", "YQ", "YQ=", "!!", "YWJj\nZGVm", "YQ==YQ==", "=", "ä", "e30="]


def texts() -> SearchStrategy[str]:
    return st.sampled_from(TEXTS) | st.text(max_size=12)


def numbers() -> SearchStrategy[Any]:
    return st.integers(0, 100) | st.sampled_from(NUMBERS) | st.integers(-70000, 70000)


def amounts() -> SearchStrategy[Any]:
    suffixes = ["", "m", "k", "K", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "e-3", "E21", "e"]
    built = st.builds("{}{}{}".format, st.sampled_from(["", "-", "+"]), st.floats(0, 1e20, allow_nan=False).map(
        lambda number: f"{number:.{3 if number < 1e6 else 0}f}"), st.sampled_from(suffixes))  # fmt: skip
    return st.sampled_from(AMOUNTS) | built | texts()


def anything() -> SearchStrategy[Any]:
    """Of a type that was not asked for."""
    return st.sampled_from([None, True, False, {}, [], [[]], [None], {"a": None}, "", 0, -1, 1.5, "x", {"": ""}])


# -- selectors -------------------------------------------------------------------------------------------------------

_KEYS = ["app", "tier", "example.com/role", "a" * 63, "a" * 64, "A.b_c", "in", "notin", "-x", "x/", "/x", "a/b/c", "ä"]
_LABEL_VALUES = ["fuzz", "front", "", "a" * 63, "a" * 64, "in", "notin", "-x", "x y", "ä", "!", "'q'", '"q"']


def label_selectors() -> SearchStrategy[str]:
    """Mostly of the grammar, with spaces where they may be, and with tokens in the wrong places."""
    key, value = st.sampled_from(_KEYS), st.sampled_from(_LABEL_VALUES)
    values = st.lists(value, max_size=3).map(lambda found: f"({', '.join(found)})")
    requirement = st.one_of(
        key,
        key.map("!{}".format),
        st.builds("{}{}{}".format, key, st.sampled_from(["=", "==", "!=", " = ", " ==", "<", ">", "=!", "==="]), value),
        st.builds("{} {} {}".format, key, st.sampled_from(["in", "notin", "IN", "not in", "exists"]), values),
    )
    grammar = st.lists(requirement, min_size=1, max_size=4).map(",".join)
    tokens = st.lists(
        st.sampled_from(["a", "in", "notin", "(", ")", ",", "=", "==", "!=", "!", " ", "\t", "\n", "\x00"])
    )
    return st.one_of(grammar, grammar, tokens.map("".join), texts())


_LABELS = [
    "metadata.name", "metadata.namespace", "spec.nodeName", "spec.host", "status.phase", "type", "spec.unschedulable",
    "involvedObject.kind", "reason", "status.replicas", "spec.nosuch", "", "metadata", "name", "spec.restartPolicy",
]  # fmt: skip


def field_selectors() -> SearchStrategy[str]:
    value = st.sampled_from(["fuzz", "", "a,b", r"a\,b", r"a\=b", "\\", "a=b", "Running", "true", "ä", " "])
    requirement = st.builds(
        "{}{}{}".format, st.sampled_from(_LABELS), st.sampled_from(["=", "==", "!=", "", "!"]), value
    )
    return st.lists(requirement, max_size=3).map(",".join) | texts()


# -- continue tokens -------------------------------------------------------------------------------------------------


def tokens() -> SearchStrategy[str]:
    """As a list gives them, and as nobody does."""
    documents = [
        '{"after":"fuzz/fuzz","revision":5}', '{"after":"","revision":0}', '{"after":"\\u0000","revision":-1}',
        '{"after":"../..","revision":99999999}', '{"after":"zzz","revision":9223372036854775808}', "{}", "[]", "x",
    ]  # fmt: skip
    return st.sampled_from([base64.urlsafe_b64encode(text.encode()).decode() for text in documents]) | texts()
