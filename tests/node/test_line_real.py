"""A whole shift beside the line, and what a real node knows afterwards."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.kit.line_real import RealLot
from tests.kit.line_shift import Shift, in_one_go, truth, with_cuts
from tests.kit.node import Node

SHIFT = Shift(bags=600, cases_per_pallet=4)


def test_a_real_node_knows_the_same_of_a_shift_that_was_cut(tmp_path: Path, seed: int) -> None:
    """Killed twice, torn, uploaded in two halves and again: states and parents are those of one go, and of the day."""
    with Node(tmp_path / "node", "88.118.7") as node:
        whole = RealLot(node, tmp_path / "one", "88.118.7/L1", SHIFT)
        cut = RealLot(node, tmp_path / "two", "88.118.7/L2", SHIFT)
        told, account = in_one_go(tmp_path / "one" / "works", whole, SHIFT)
        again = with_cuts(tmp_path / "two" / "works", cut, SHIFT, random.Random(seed))[1]
        state = whole.state()
        assert cut.state() == state
    for each in (account, again):
        assert each["balanced"]
        assert each["node"]["unit"]["commissioned"] == SHIFT.bags
    expected = list(truth(told, len(state)))
    codes = {code: index for index, code in enumerate(_codes(tmp_path / "one" / "works"))}
    for index, (kind, parent) in enumerate(expected):
        assert state[index][0] == kind, index
        if parent is not None:
            assert state[index][1] == codes[parent], index


def _codes(site: Path) -> list[str]:
    return [json.loads(line)["identifier"] for line in (site / "blocks" / "0001" / "codes.jsonl").open()]
