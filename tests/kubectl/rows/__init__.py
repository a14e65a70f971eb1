"""The table: one row per command of kubectl that API v1 reaches."""

from tests.kubectl.rows import changing, finding, looking, making, nodes, removing, streaming

ROWS = (*finding.ROWS, *looking.ROWS, *making.ROWS, *changing.ROWS, *removing.ROWS, *nodes.ROWS, *streaming.ROWS)
