"""Packaging by rule: what is in what, both ways; and the table of states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.ident.unitcode import INDEXES_MAX, UnitCodes
from core.lotcodes import LotCodes
from core.lots import GONE, TRANSITIONS, Level, Packaging, UnitState

PACKAGINGS = st.builds(Packaging, st.integers(1, 3_000), st.integers(0, 60), st.integers(0, 40)).filter(
    lambda packaging: packaging.units_per_case > 0 or packaging.cases_per_pallet == 0
)


@given(PACKAGINGS)
def test_parents_and_children_are_the_same_in_both_directions(packaging: Packaging) -> None:
    found = {child: parent for parent in range(packaging.total) for child in packaging.children(parent)}
    assert found == {i: p for i in range(packaging.total) if (p := packaging.parent(i)) is not None}


@given(PACKAGINGS)
def test_levels_follow_one_another_and_fill_the_space(packaging: Packaging) -> None:
    spans = [packaging.span(level) for level in Level]
    assert [index for span in spans for index in span] == list(range(packaging.total))
    assert all(packaging.level(index) is level for level, span in zip(Level, spans, strict=True) for index in span)


@given(PACKAGINGS)
def test_a_parent_is_one_level_above(packaging: Packaging) -> None:
    for index in range(packaging.total):
        parent = packaging.parent(index)
        packed = (packaging.units_per_case, packaging.cases_per_pallet, 0)[packaging.level(index)]
        assert (parent is not None) == (packed > 0)
        assert parent is None or packaging.level(parent) == packaging.level(index) + 1


def test_a_lot_of_a_million_in_cases_and_pallets_fits() -> None:
    packaging = Packaging(1_000_000, 50, 40)
    assert (packaging.cases, packaging.pallets, packaging.total) == (20_000, 500, 1_020_500)
    assert packaging.fits
    assert not Packaging(1_000_000, 20, 40).fits
    assert Packaging(INDEXES_MAX).fits
    assert not Packaging(INDEXES_MAX + 1).fits
    assert not Packaging(0).fits


def test_final_states_are_those_that_nothing_leads_out_of() -> None:
    assert {state.value for state in GONE} == {"scrapped", "returned", "destroyed"}
    assert TRANSITIONS.keys() == set(UnitState)
    assert not any(UnitState.ALLOCATED in onward for onward in TRANSITIONS.values())


@given(PACKAGINGS, st.data())
def test_codes_in_bulk_name_case_and_pallet(packaging: Packaging, data: st.DataObject) -> None:
    """Any range of indexes, over the borders of levels too."""
    codes = UnitCodes(bytes(16))
    start = data.draw(st.integers(0, packaging.total - 1))
    stop = data.draw(st.integers(start, packaging.total))

    def handle(index: int | None) -> str:
        return "" if index is None else f"88.1/L{codes.serial(index).decode()}"

    for code, index in zip(
        LotCodes("88.1/L", packaging, codes).over(range(start, stop)), range(start, stop), strict=True
    ):
        parent = packaging.parent(index)
        above = None if parent is None else packaging.parent(parent)
        case, pallet = (None, parent) if packaging.level(index) is Level.CASE else (parent, above)
        assert code == (index, handle(index), packaging.level(index), handle(case), handle(pallet))
