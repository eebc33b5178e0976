"""SIGKILL of workers and keeper under load: every answer is in the log exactly once, no checkpoint is contradicted."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.log_kills import endure_log_kills
from tests.kit.node import Node
from tests.kit.worker_kills import PREFIX

ROUNDS = 6


def test_what_was_answered_is_logged_once_whoever_is_killed(tmp_path: Path, seed: int) -> None:
    """Six rounds, on every protocol; SALTERN_SEED repeats them."""
    with Node(tmp_path / "node", PREFIX, resolver__workers=2) as node:
        endured = endure_log_kills(node, ROUNDS, random.Random(seed))
        assert endured.killed.total() == ROUNDS
        assert min(endured.answers.values()) > ROUNDS
        assert endured.checkpoints > ROUNDS
        assert "Traceback" not in node.log()
