"""Legal holds of logs, decided by the registrar: placed and released by order, one row a log."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from core.errors import Outcome, StoreError
from core.store.engine import Table
from core.store.hold_rows import Hold, Order, pack_hold
from core.store.log_hold_rows import log_holds, unpack_log_hold
from core.who import Who
from registry.commands import HoldLog, ReleaseLog
from registry.log_holds import dump_log_hold
from tests.kit.governance import ANNA, Office

LOG = "resolution/2026-03"
ORDERS = st.lists(
    st.builds(Order, st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.just("r"), st.just(False),
              st.integers(0, 2**32).map(Millis), st.just(Who("local", "a"))),
    min_size=1, max_size=3,
).map(tuple)  # fmt: skip


def held(office: Office) -> dict[str, list[str]]:
    with office.store.snapshot() as snapshot:
        return {log: [order.number for order in hold.orders] for log, hold in log_holds(snapshot)}


def test_a_hold_is_a_row_and_an_entry() -> None:
    """With the order, why, when and by whom; the same order again changes nothing, with another reason is refused."""
    office = Office()
    placed = office.ask(HoldLog(LOG, "令  1 ", "调查取证"))
    assert placed.outcome is Outcome.CREATED
    entry = office.journal()[-1]
    assert (entry.action, entry.object, entry.reason) == ("log.hold", LOG, "令  1 : 调查取证")
    (listed,) = [dump_log_hold(log, hold.orders) for log, hold in log_holds(office.store.snapshot())]
    assert listed["log"] == LOG
    (order,) = listed["orders"]
    assert (order["order"], order["reason"]) == ("令 1", "调查取证")
    assert "anna" in order["placed_by"]
    before = office.dump(Table.JOURNAL, Table.META)
    assert office.ask(HoldLog(LOG, "令 1", "调查取证")).outcome is Outcome.OK
    assert office.ask(HoldLog(LOG, "令 1", "其他")).rule == "hold-known"
    assert office.dump(Table.JOURNAL, Table.META) == before


def test_one_order_releases_no_other() -> None:
    """Two courts hold a month: it goes when both have released it. What is free is not released."""
    office = Office()
    for order in ("1", "2"):
        office.do(HoldLog(LOG, order, "because"))
    office.do(HoldLog("change/2026-03", "1", "because"))
    assert office.ask(ReleaseLog(LOG, "3")).rule == "hold-order"
    office.do(ReleaseLog(LOG, "1"))
    assert held(office) == {LOG: ["2"], "change/2026-03": ["1"]}
    office.do(ReleaseLog(LOG, "3"))  # by an order of its own: one alone holds it
    assert held(office) == {"change/2026-03": ["1"]}
    assert office.ask(ReleaseLog(LOG, "2")).rule == "log-free"


def test_one_group_sees_what_it_staged() -> None:
    office = Office()
    results = office.run(HoldLog(LOG, "1", "x"), HoldLog(LOG, "2", "x"), ReleaseLog(LOG, "1"), ReleaseLog(LOG, "2"))
    assert all(result.done for result in results)
    assert held(office) == {}


@pytest.mark.parametrize(
    "log", ["", "change", "change/", "change/2026-13", "change/2026-3", "Change/2026-03", "x/2026-03"]
)
def test_what_is_no_log_is_refused(log: str) -> None:
    result = Office().ask(HoldLog(log, "1", "x"), ANNA)
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, "log-name")


def test_bounds() -> None:
    """So many orders on a log, so many logs on hold: with what one group brings, too."""
    office = Office()
    results = office.run(*(HoldLog(LOG, str(number), "x") for number in range(limits.HOLD_ORDERS_MAX + 1)))
    assert [result.rule for result in results] == [""] * limits.HOLD_ORDERS_MAX + ["hold-orders"]
    with mock.patch.object(limits, "LOG_HOLDS_MAX", 3):
        results = office.run(*(HoldLog(f"change/2026-0{number}", "1", "x") for number in (1, 2, 3)))
        assert [result.rule for result in results] == ["", "", "hold-count"]
        assert office.ask(HoldLog("change/2026-01", "2", "x")).done


@given(ORDERS, st.binary(max_size=30))
def test_rows_are_read_or_refused(orders: tuple[Order, ...], octets: bytes) -> None:
    """What was written is read; whatever else lies there is a StoreError, also under another key."""
    row = pack_hold(Hold(LOG.encode(), orders))
    assert unpack_log_hold(LOG.encode(), row).orders == orders
    for key, damaged in ((LOG.encode(), octets), (LOG.encode(), row[:-1]), (octets, row)):
        if (key, damaged) != (LOG.encode(), row):
            with pytest.raises(StoreError):
                unpack_log_hold(key, damaged)


def test_they_are_told_in_order() -> None:
    office = Office()
    for log in ("resolution/2026-04", "change/2026-05", LOG):
        office.do(HoldLog(log, "1", "x"))
    with office.store.snapshot() as snapshot:
        assert [name for name, _ in log_holds(snapshot)] == ["change/2026-05", LOG, "resolution/2026-04"]
