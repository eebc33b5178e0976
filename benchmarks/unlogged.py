"""The node without a resolution log, to measure what the log costs: nothing is written, and nothing sequenced."""

from __future__ import annotations

from collections.abc import Sequence

from audit.frame import Row
from audit.spool import Spool
from node.cli.main import cli


def _write(_: Spool, rows: Sequence[Row]) -> bool:
    return True


if __name__ == "__main__":
    Spool.write = _write  # type: ignore[method-assign]
    cli()
