"""`make matrix`: all versions of kubectl, all rows, and docs/kubectl-matrix.md.

python -m tests.kubectl                     everything
python -m tests.kubectl 1.20 1.37           these versions; the page is left as it is
python -m tests.kubectl --row describe      rows with this in their name
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.kubectl import report
from tests.kubectl.cluster import cluster
from tests.kubectl.play import Result, Row, play_all
from tests.kubectl.rows import ROWS
from tests.kubectl.versions import VERSIONS, NotToBeHad, fetched

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "kubectl-matrix.md"


async def played(version: str, rows: list[Row]) -> list[Result]:
    """One version on a cluster of its own. Raises NotToBeHad."""
    binary = fetched(version)
    with tempfile.TemporaryDirectory(prefix="labkit-matrix-") as folder:
        async with cluster(Path(folder)) as lab:
            return await play_all(lab, version, binary, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", choices=[[], *VERSIONS], metavar="VERSION")
    parser.add_argument("--row", default="", help="only rows with this in their name")
    given = parser.parse_args()
    rows = [row for row in ROWS if given.row in row.name]
    results: list[Result] = []
    versions, console = [], Console()
    for version in given.versions or VERSIONS:
        try:
            found = asyncio.run(played(version, rows))
        except NotToBeHad as reason:
            console.print(f"not played: {reason}", markup=False)
            continue
        versions.append(version)
        results += found
        seconds = sum(one.seconds for one in found)
        console.print(f"kubectl {version}: {report.summary([version], found)}, {seconds:.0f} s in all rows")
        for line in report.failures(found):
            console.print(f"    {line}", markup=False, soft_wrap=True)
    console.print(report.table(rows, versions, results))
    console.print(report.summary(versions, results))
    if versions == list(VERSIONS) and rows == list(ROWS):
        PAGE.write_text(report.markdown(rows, versions, results))
    return 1 if report.failures(results) or not results else 0


if __name__ == "__main__":
    sys.exit(main())
