"""The sending side against a real top node's desk: what it shows is that both sides become equal, whatever happened."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.governance import Office
from tests.kit.upstream import BadLine, Sending, Top


def test_all_tables_are_equal_after_one_round(tmp_path: Path) -> None:
    office = Office()
    office.allocated("88.118.7")
    top = Top(tmp_path)
    sending = Sending(office.store, top, BadLine(top, random.Random(1)))
    done = sending.round()
    assert done is not None and not done.faults, done
    assert sending.differences() == {}
    print({n: c.rows for n, c in sending.compare().items()})
    sending.settle()
