"""Workers that are killed under load: only who was on them notices, and what was answered is in the log."""

from __future__ import annotations

import random
import urllib.request
from pathlib import Path

import pytest

from tests.kit.node import Node
from tests.kit.spools import entries_by_worker
from tests.kit.worker_kills import PREFIX, endure_kills

ROUNDS = 4
EVERY_S = 0.7  # oftener than the second that is promised
BACK_S = 1.5


@pytest.mark.parametrize("newest", [False, True], ids=["any", "newest"])
def test_a_killed_worker_takes_no_answer_and_no_other_connection_with_it(
    tmp_path: Path, seed: int, newest: bool
) -> None:
    """One of four workers is killed again and again: any of them, or always the one that was started last.

    No connection to another worker ends, no source port goes deaf, every answer is in the spool once,
    every client is soon served again, and nothing else was started again.
    """
    with Node(tmp_path / "node", PREFIX, resolver__workers=4) as node:
        endured = endure_kills(node, ROUNDS, random.Random(seed), EVERY_S, newest=newest)
        assert endured.answers > 100 * ROUNDS
        assert endured.back_s_max < BACK_S
        assert len(entries_by_worker(node)) == 4
        assert node.log().count("(signal 9)") == node.log().count("is ready again") == ROUNDS
        assert f"saltern_process_restarts_total {ROUNDS}.0" in metrics(node)


def metrics(node: Node) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.ready['management']}/metrics") as answer:
        text: str = answer.read().decode()
    return text
