"""Two documents joined, and a document without some of its fields. The documents that are given stay as they are."""

from typing import Any

from labkit.api.ownership.paths import Path, Paths, named
from labkit.api.ownership.shapes import Shape, element, member


def joined(live: Any, config: Any, shape: Shape) -> Any:
    """`live` with what `config` says; a null says nothing."""
    if shape.kind in ("struct", "map") and isinstance(live, dict) and isinstance(config, dict):
        said = {name: inner for name, inner in config.items() if inner is not None}
        return {**live, **{name: joined(live.get(name), inner, member(shape, name)) for name, inner in said.items()}}
    if shape.kind in ("struct", "map") and isinstance(config, dict):
        return joined({}, config, shape)
    if shape.kind == "keyed" and isinstance(config, list):
        return _joined_list(live if isinstance(live, list) else [], config, shape)
    if shape.kind == "set" and isinstance(config, list) and isinstance(live, list):
        return live + [value for value in config if value not in live]
    return config


def _joined_list(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    """In the order of `config`; elements that only `live` has stay before the ones that they stood before."""
    there = dict(named(live, shape))
    said = {step: joined(there.get(step), one, element(shape)) for step, one in named(config, shape)}
    result: list[Any] = []
    waiting = list(there)
    for step, one in said.items():
        if step in there:
            while waiting and waiting[0] != step and waiting[0] not in said:
                result.append(there[waiting.pop(0)])
            waiting = [other for other in waiting if other != step]
        result.append(one)
    return result + [there[step] for step in waiting if step not in said]


def without(document: Any, gone: Paths, kept: Paths, shape: Shape) -> Any:
    """The document without the fields `gone`. An element or a member below which something is `kept` stays, and loses
    only what is named."""
    holding = {path[:length] for path in kept for length in range(1, len(path) + 1)}
    return _without(document, gone, holding, shape, ())


def _without(value: Any, gone: Paths, holding: set[Path], shape: Shape, path: Path) -> Any:
    def stays(step: str) -> bool:
        return (*path, step) not in gone or (*path, step) in holding

    if shape.kind in ("struct", "map") and isinstance(value, dict):
        return {name: _without(inner, gone, holding, member(shape, name), (*path, f"f:{name}"))
                for name, inner in value.items() if stays(f"f:{name}")}  # fmt: skip
    if shape.kind in ("keyed", "set") and isinstance(value, list):
        kept = [(step, one) for step, one in named(value, shape) if stays(step)]
        if shape.kind == "set":
            return [one for _, one in kept]
        return [_without(one, gone, holding, element(shape), (*path, step)) for step, one in kept]
    return value
