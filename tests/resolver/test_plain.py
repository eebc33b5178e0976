"""The rows that the quick ways read: those of hosted records, in the last committed state, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis
from core.errors import StoreError
from core.ident.handle import HandleRules
from core.ident.sitehash import BY_ALL, ServerChoice
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine, MemorySnapshot
from core.store.prefix_rows import DELEGATED
from core.store.record_rows import record_key
from registry.commands import OPERATOR, Delete, Home, Put, Request, Unhome
from registry.service import Registry
from resolver.plain import PlainReads

VALUES = (HandleValue(1, "URL", b"x"),)
LONG = "88.1/" + "l" * (limits.HANDLE_CHARS - 5)


class Site:
    """A store, and what reads it."""

    def __init__(self, rules: HandleRules | None = None, *handles: str) -> None:
        self.rules = rules or HandleRules()
        self.store = MemoryEngine()
        self.reads = PlainReads(self.store, self.rules)
        self.run(Home("88.1"), *(Put(handle, VALUES) for handle in handles))

    def run(self, *commands: object) -> None:
        requests = [Request(command, OPERATOR) for command in commands]  # type: ignore[arg-type]
        results = Registry(self.store, HandleRules(case_sensitive=self.rules.case_sensitive), founding=True).run(
            requests, Millis(1)
        )
        assert all(result.done for result in results)

    def finds(self, handle: str | bytes, table: Table = Table.RECORDS) -> bool:
        assert self.reads.begin()
        try:
            return self.reads.row(table, handle if isinstance(handle, bytes) else handle.encode()) is not None
        finally:
            self.reads.end()


def test_a_hosted_record_is_found_in_both_forms() -> None:
    """Whatever the case of its letters; its two rows differ."""
    site = Site(None, "88.1/Sku", "88.1/盐")
    for handle in ("88.1/SKU", "88.1/sku", "88.1/盐"):
        assert site.finds(handle)
        assert site.finds(handle, Table.ANSWERS)
    site.reads.begin()
    assert site.reads.row(Table.RECORDS, b"88.1/sku") != site.reads.row(Table.ANSWERS, b"88.1/sku")
    site.reads.end()


@pytest.mark.parametrize("handle", ["88.1/OTHER", "88.1SKU", "88.1", "", "/", "/SKU", "88/SKU", "0.NA/88.1", "88.1/"])
def test_anything_else_needs_a_closer_look(handle: str) -> None:
    """Missing, without "/", below a prefix that is not homed, prefix handles."""
    assert not Site(None, "88.1/SKU", "0.NA/88.1").finds(handle)


def test_each_state_is_seen_and_its_prefixes() -> None:
    """What is remembered of one state is not believed in the next one: also where a prefix goes and comes."""
    site = Site(None, "88.1/SKU")
    assert site.finds("88.1/SKU")
    site.run(Delete("88.1/SKU"))
    assert not site.finds("88.1/SKU")
    site.run(Put("88.1/SKU", VALUES), Unhome("88.1"))
    assert not site.finds("88.1/SKU")
    site.run(Home("88.1", DELEGATED))
    assert not site.finds("88.1/SKU")
    site.run(Home("88.1"))
    assert site.finds("88.1/SKU")


def test_a_begun_state_stays_the_same() -> None:
    """Until it is ended, whatever is written."""
    site = Site(None, "88.1/SKU")
    assert site.reads.begin()
    site.run(Delete("88.1/SKU"))
    assert site.reads.row(Table.RECORDS, b"88.1/SKU") is not None
    site.reads.end()
    assert site.reads.row(Table.RECORDS, b"88.1/SKU") is None


def test_where_case_matters_only_the_prefix_folds() -> None:
    site = Site(HandleRules(case_sensitive=True), "88.1/Sku")
    assert [site.finds(handle) for handle in ("88.1/Sku", "88.1/SKU", "88.1/sku")] == [True, False, False]


def test_handles_of_another_server_of_the_site_are_left_alone() -> None:
    """Exactly those that the grammar's way refuses."""
    handles = [f"88.1/SKU{number}" for number in range(20)]
    choice = ServerChoice(BY_ALL, 2, 0)
    site = Site(HandleRules(server=choice), *handles)
    found = [site.finds(handle) for handle in handles]
    assert found == [choice.takes(handle) for handle in handles]
    assert set(found) == {True, False}


def test_what_the_settings_do_not_allow_any_more_is_left_alone() -> None:
    """Records may be older than a bound."""
    site = Site(None, LONG, "88.1/SKU")
    assert site.finds(LONG)
    for rules in (HandleRules(length_max=len(LONG) - 1), HandleRules(prefix_length_max=3)):
        site.reads = PlainReads(site.store, rules)
        assert not site.finds(LONG)
        assert site.finds("88.1/SKU") == (rules.prefix_length_max > 3)


def test_the_key_of_a_long_record_is_no_handle() -> None:
    """A record whose handle is longer than a key lies under a shortened one, which somebody may compute and ask."""
    rules = HandleRules(length_max=2_000)
    key = record_key(b"88.1/" + b"L" * 600)
    site = Site(rules)
    batch = Batch()
    batch.put(Table.RECORDS, key, b"row")
    site.store.commit(batch)
    assert not site.finds(key)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By prefixes that are homed; any others are not remembered at all."""
    monkeypatch.setattr(limits, "QUICK_PREFIXES_MAX", 3)
    site = Site(None, "88.1/SKU")
    site.run(*(Home(f"88.1.{number}") for number in range(9)))
    site.run(*(Put(f"88.1.{number}/SKU", VALUES) for number in range(9)))
    assert site.reads.begin()
    for number in range(9):
        assert site.reads.row(Table.RECORDS, b"88.1.%d/SKU" % number) is not None
        assert site.reads.row(Table.RECORDS, b"88.2.%d/SKU" % number) is None
        assert len(site.reads._hosted) <= 3


def test_a_store_that_cannot_be_read_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next one that can be does."""
    site = Site(None, "88.1/SKU")

    def broken(_: MemoryEngine) -> MemorySnapshot:
        raise StoreError("no reader slot")

    with monkeypatch.context() as patched:
        patched.setattr(MemoryEngine, "snapshot", broken)
        assert not site.reads.begin()
        site.reads.end()
    assert site.finds("88.1/SKU")


SOME = Site(None, "88.1/SKU")


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=600).map(b"88.1/".__add__)))
def test_row_total_on_any_octets(handle: bytes) -> None:
    """Found is what folds to a key that is there, nothing else, and nothing fails."""
    assert SOME.finds(handle) == (handle.upper() == b"88.1/SKU")
