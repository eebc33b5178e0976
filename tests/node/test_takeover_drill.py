"""The drill: a node is killed, the top node stands in for it, and hands back what was registered there."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.takeover_drill import ANSWER_S, PERIOD_S, Drill


def test_who_knows_only_the_top_node_resolves_again_within_three_periods(tmp_path: Path, seed: int) -> None:
    """The top node is killed meanwhile, and the node again amid the hand-back; SALTERN_SEED repeats the names."""
    seen = Drill(tmp_path, random.Random(seed), 800, 30).run(500)
    print(f"{seen.periods:.1f} periods, {seen}")
    assert seen.decided_s <= 3 * PERIOD_S + ANSWER_S
    assert seen.compared["udp"] > 300
