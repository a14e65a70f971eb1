"""A figure and how it is kept: one row of a benchmark's table and of its bench/results/NAME.json."""

import json
import os
import platform
from pathlib import Path
from typing import Any, Literal

import msgspec

RESULTS = Path(__file__).resolve().parent / "results"


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One measured figure.

    name says what was measured, unit is the value's ("s", "MB", "1/s", "ms"). better says which direction is good, goal
    is the bound that an issue set (None: no issue named one), beside holds peers or physical limits of the same run.
    """

    name: str
    value: float
    unit: str
    better: Literal["lower", "higher"]
    goal: float | None = None
    beside: dict[str, float] = {}
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def host() -> dict[str, Any]:
    """The machine that the figures were taken on."""
    memory_kb = next(
        (
            int(line.split()[1])
            for line in Path("/proc/meminfo").read_text().splitlines()
            if line.startswith("MemTotal")
        ),
        0,
    )
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memoryGB": round(memory_kb / 2**20),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def write(name: str, rows: list[Row]) -> Path:
    """Keep the rows as bench/results/NAME.json; answers the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"benchmark": name, "host": host(), "rows": msgspec.to_builtins(rows)}
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path
