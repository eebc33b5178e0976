"""A whole shift beside the line, and what the node knows afterwards."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.kit.line_node import LineNode, Lot
from tests.kit.line_shift import Shift, in_one_go, truth, with_cuts

SHIFT = Shift(bags=2_000)


def lot_of(shift: Shift) -> Lot:
    return Lot("88.118.7/L1", shift.units, shift.units_per_case, shift.cases_per_pallet)


def test_a_shift_that_was_cut_ends_as_one_in_one_go(tmp_path: Path, seed: int) -> None:
    """Killed twice, torn, uploaded in two halves and again: same states, same parents, and the counts agree."""
    chance = random.Random(seed)
    with LineNode(tmp_path / "a", lot_of(SHIFT)) as whole, LineNode(tmp_path / "b", lot_of(SHIFT)) as cut:
        told, account = in_one_go(tmp_path / "one" / "works", whole, SHIFT)
        assert with_cuts(tmp_path / "two" / "works", cut, SHIFT, chance)[1]["counts"] == account["counts"]
        assert cut.state() == whole.state()
    assert account["balanced"]
    assert account["node"]["unit"]["commissioned"] == SHIFT.bags
    assert account["counts"]["case"]["commissioned"] == SHIFT.cases
    expected = list(truth(told, whole.lot.size))
    for index, (state, parent) in enumerate(expected):
        assert whole.lot.states[index] == state, index
        assert state != "commissioned" or whole.lot.parent(index) == parent or whole.lot.kind(index) == "pallet", index


@pytest.mark.parametrize("fault", ["before", "after", "busy", "broken"])
def test_a_connection_that_is_cut_doubles_nothing(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Every other request: cut before or after it was done, answered as busy or by half."""
    monkeypatch.setattr("core.clock.pause", lambda _: None)
    shift = Shift(bags=600, cases_per_pallet=4)
    with LineNode(tmp_path / "a", lot_of(shift)) as whole, LineNode(tmp_path / "b", lot_of(shift)) as cut:
        _, account = in_one_go(tmp_path / "one" / "works", whole, shift)
        cut.fault = lambda number, method, path: fault if number % 2 else ""
        assert with_cuts(tmp_path / "two" / "works", cut, shift, random.Random(seed))[1] == account
        assert cut.state() == whole.state()
        assert cut.lot.blocks == whole.lot.blocks
