"""Code shown in a page is taken from the source when it is shown.

    ```python from=labkit/components/kube_scheduler/scheduler.py:schedule     a function, class or Class.method
    ```yaml from=redis-master-service.yaml                                    a file of the lab's own folder

The copy in the page is for readers on a forge; `python -m labkit.guide.record` refreshes it and a test compares.
"""

import ast
import textwrap
from pathlib import Path

from labkit.cluster import find
from labkit.guide.format import Code, LabError


def source_of(code: Code, page: Path) -> str:
    """The text that `code` names, ending in a newline. Raises LabError."""
    file_name, _, name = code.source.partition(":")
    path = next((found for found in (page.parent / file_name, find(file_name)) if found.is_file()), None)
    if path is None:
        raise LabError(page, code.line, f"from={code.source}: no such file", "a path from the repository's root")
    text = path.read_text(encoding="utf-8")
    if not name:
        return text
    found = definition(text, name)
    if found is None:
        raise LabError(page, code.line, f"from={code.source}: {file_name} has no {name}", "a function, class or method")
    return found


def definition(text: str, name: str) -> str | None:
    """The lines of the function, class, `Class.method` or constant `name`, with decorators, without indentation."""
    body: list[ast.stmt] = ast.parse(text).body
    found: ast.stmt | None = None
    for word in name.split("."):
        found = next((node for node in body if word in _names(node)), None)
        if found is None:
            return None
        body = getattr(found, "body", [])
    assert found is not None
    assert found.end_lineno is not None
    first = min([found.lineno, *(d.lineno for d in getattr(found, "decorator_list", []))])
    return textwrap.dedent("\n".join(text.splitlines()[first - 1 : found.end_lineno])) + "\n"


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
