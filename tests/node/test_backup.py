"""The drill: a node under write load is backed up, put back, started, and answers as the original does."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.backup_drill import drill


def test_a_node_that_was_put_back_answers_as_the_original(tmp_path: Path, seed: int) -> None:
    """400 answers one by one, in a browser, too; 10 000 random ones by UDP, TCP and HTTP; SALTERN_SEED repeats them."""
    seen = drill(tmp_path, 400, random.Random(seed), many=10_000)
    assert set(seen.compared) == {"http", "page", "udp", "kept"}
    assert seen.compared.total() == 400
    assert seen.same == dict.fromkeys(("udp", "tcp", "http"), 10_000)
    assert {"200", "404"} <= seen.outcomes.keys()
    assert seen.behind > 0, "it was written to behind the backup"
    assert seen.between > 0, "and between two"
