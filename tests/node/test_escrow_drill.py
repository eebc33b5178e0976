"""The drill: a node is put back from its deposits alone, and answers as the original does."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.escrow_drill import drill


def test_a_node_that_was_put_back_from_deposits_answers_as_the_original(tmp_path: Path, seed: int) -> None:
    """Ten thousand random answers; half of them units of lots; SALTERN_SEED repeats them."""
    seen = drill(tmp_path, 10_000, 1_000, random.Random(seed))
    assert seen.compared == {"udp": 10_000, "tcp": 10_000, "http": 10_000, "browser": 1_000}
    assert seen.names > 1_500
    assert {200, 302, 404, 410, 451} <= seen.statuses.keys()
