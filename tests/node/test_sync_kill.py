"""SIGKILL between commit and send, and between send and acknowledgement: both sides become equal, without gaps."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.sync_kills import endure_sync_kills

ROUNDS = 6


def test_whoever_is_killed_every_change_is_above_once(tmp_path: Path, seed: int) -> None:
    """Six rounds against a top node that misbehaves; SALTERN_SEED repeats them."""
    endured = endure_sync_kills(tmp_path, ROUNDS, random.Random(seed))
    assert endured.killed.total() == ROUNDS
    assert len(endured.killed) == ROUNDS, "each round is another moment, or another is killed"
    assert endured.changes > ROUNDS
