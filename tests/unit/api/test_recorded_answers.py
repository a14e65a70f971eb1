"""What Kubernetes 1.0.7 answered to 130 requests, and what our decoding, defaults and validation answer.

Each row of data/recorded-v1.0.7.jsonl: the step's name, the body, for a PUT the object before, and the recorded answer.
Only Go's printing of whole structures is left out (`invalid value '...'`), there and here.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from labkit.api import codec, types
from labkit.api.errors import ApiError, Invalid
from labkit.api.kinds import by_kind_name
from labkit.api.strategies import strategy_of
from labkit.api.validation import binding as binding_rules

ROWS = [json.loads(line) for line in (Path(__file__).parent / "data/recorded-v1.0.7.jsonl").read_text().splitlines()]


def answer(row: dict[str, Any]) -> dict[str, Any]:
    """What the API server would say, allocation and storage aside."""
    try:
        faulty = put(row) if "old" in row else post(row)
    except ApiError as exc:
        faulty = exc
    if faulty is None:
        return {"code": 200 if "old" in row else 201}
    causes = faulty.details.causes if faulty.details else []
    return {
        "code": faulty.code,
        "reason": faulty.reason,
        "message": without_structures(faulty.message),
        "causes": [[cause.reason, cause.field, without_structures(cause.message)] for cause in causes],
    }


def post(row: dict[str, Any]) -> ApiError | None:
    if row["kind"] == "Binding":
        binding = read(row["body"], types.Binding)
        faults = binding_rules.faults(binding)
        return Invalid.of("binding", binding.metadata.name, faults) if faults else None
    kind = by_kind_name(row["kind"])
    strategy = strategy_of(kind)
    obj = read(row["body"], kind.type)
    strategy.defaults(obj)
    strategy.prepare_for_create(obj)
    faults = strategy.validate(obj)
    return Invalid.of(strategy.invalid_name, obj.metadata.name, faults) if faults else None


def put(row: dict[str, Any]) -> ApiError | None:
    kind = by_kind_name(row["kind"])
    strategy = strategy_of(kind)
    old, new = read(row["old"], kind.type), read(row["body"], kind.type)
    strategy.defaults(old)
    strategy.defaults(new)
    strategy.prepare_for_update(new, old)
    faults = strategy.validate_update(new, old)
    return Invalid.of(strategy.invalid_update_name, new.metadata.name, faults) if faults else None


def read(body: dict[str, Any], what: type[types.AnyObject]) -> types.AnyObject:
    obj = codec.decode(json.dumps(body).encode(), what)
    kind = by_kind_name(what.KIND)
    if kind is None or kind.namespaced:
        obj.metadata.namespace = obj.metadata.namespace or "default"
    return obj


def without_structures(message: str) -> str:
    """`invalid value '{"exec":{...}}': why` -> `invalid value '...': why`."""
    return re.sub(r"invalid value '[{\[].*?[}\]]': (?=exactly|may not)", "invalid value '...': ", message)


# Two whose wording is the Go toolchain's own, not Kubernetes': ours names the same field and the same types; one to
# which ours adds the field. And the keys of a Secret: 1.0 allowed fewer of them.
OURS = {
    "JSON wrong type": "Pod in version v1 cannot be handled as a Pod: json: cannot unmarshal number into field "
    "metadata.name of type string",
    "wrong type replicas string": "ReplicationController in version v1 cannot be handled as a ReplicationController: "
    "json: cannot unmarshal string into field spec.replicas of type int",
    "pod invalid: bad quantity": "Pod in version v1 cannot be handled as a Pod: quantities must match the regular "
    "expression '^([+-]?[0-9.]+)([eEimkKMGTP]*[-+]?[0-9]*)$' (field spec.containers[0].resources.limits[cpu])",
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["step"])
def test_answers_as_recorded(row: dict[str, Any]) -> None:
    recorded, ours = dict(row["answer"]), answer(row)
    if row["step"] in OURS:
        recorded["message"] = OURS[row["step"]]
    if row["step"] == "secret bad key":
        assert recorded["message"].startswith("Secret \"sec2\" is invalid: data[a b]: invalid value 'a b': must have ")
        recorded["message"], recorded["causes"] = ours["message"], [[*recorded["causes"][0][:2], ours["causes"][0][2]]]
    assert ours == recorded


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "json parse error: unexpected end of JSON input"),
        (b"hello", "json parse error: invalid character 'h' looking for beginning of value"),
        (b"kind: Pod\n", "json parse error: invalid character 'k' looking for beginning of value"),
        (b"", "empty input"),
    ],
)
def test_unrecognized_as_recorded(body: bytes, message: str) -> None:
    with pytest.raises(ApiError) as raised:
        codec.decode(body, types.Pod)
    beginning = "the object provided is unrecognized (must be of type Pod): "
    assert raised.value.code == 400
    assert raised.value.message == beginning + ("couldn't get version/kind; " if body else "") + message
