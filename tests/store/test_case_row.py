"""The mode in which the keys of a store were made: kept, switched while nothing depends on it, else refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import Millis
from core.errors import ConfigError, StoreError
from core.ident.handle import HandleRules
from core.ident.unitcode import CHECK_BYTES
from core.lots import Packaging
from core.records import HandleValue
from core.store.case_row import CASE_KEY, adopt_case, require_case, stored_case
from core.store.engine import Batch, Engine, Table
from core.store.fsck import check_store
from core.store.lmdb_engine import LmdbEngine
from core.store.lot_rows import LotRow, pack_lot
from core.store.memory_engine import MemoryEngine
from registry.commands import OPERATOR, Home, Put, Request
from registry.service import Registry

NOW = Millis(1_700_000_000_000)
VALUES = (HandleValue(1, "URL", b"u"),)


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    engine: Engine = MemoryEngine() if request.param == "memory" else LmdbEngine(tmp_path / "store", create=True)
    yield engine
    engine.close()


def row(store: Engine) -> bytes | None:
    with store.snapshot() as snapshot:
        return snapshot.get(Table.META, CASE_KEY)


def register(store: Engine, *handles: str, case_sensitive: bool) -> None:
    registry = Registry(store, HandleRules(case_sensitive=case_sensitive), founding=True)
    requests = [Request(Home("88.1"), OPERATOR), *[Request(Put(each, VALUES), OPERATOR) for each in handles]]
    assert all(result.done for result in registry.run(requests, NOW))


def refused(store: Engine, *, case_sensitive: bool) -> str:
    before = row(store)
    with store.snapshot() as snapshot, pytest.raises(ConfigError) as caught:
        require_case(snapshot, case_sensitive=case_sensitive)
    with pytest.raises(ConfigError):
        adopt_case(store, case_sensitive=case_sensitive)
    assert row(store) == before
    return caught.value.message


def test_the_mode_is_kept_in_one_octet(store: Engine) -> None:
    """No row is folded: a store of before there was a choice."""
    with store.snapshot() as snapshot:
        assert stored_case(snapshot) is False
        require_case(snapshot, case_sensitive=False)
    for case_sensitive, octet in ((False, b"\x00"), (False, b"\x00"), (True, b"\x01"), (False, b"\x00")):
        adopt_case(store, case_sensitive=case_sensitive)
        assert row(store) == octet


@pytest.mark.parametrize("case_sensitive", [False, True])
@pytest.mark.parametrize("handle", ["88.1/x", "88.1/" + "x" * 600])
def test_a_record_outside_0_na_holds_the_mode(store: Engine, handle: str, case_sensitive: bool) -> None:
    """In either direction, with words that say what to do; prefix handles alone do not."""
    rules = HandleRules(length_max=2_048, case_sensitive=case_sensitive)
    adopt_case(store, case_sensitive=case_sensitive)
    registry = Registry(store, rules, founding=True)
    requests = [Request(Home("88.1"), OPERATOR), Request(Put("0.na/88.1", VALUES), OPERATOR)]
    registry.run(requests, NOW)
    adopt_case(store, case_sensitive=not case_sensitive)
    adopt_case(store, case_sensitive=case_sensitive)
    assert registry.run([Request(Put(handle, VALUES), OPERATOR)], NOW)[0].done
    message = refused(store, case_sensitive=not case_sensitive)
    assert f"handle.case_sensitive = {str(not case_sensitive).lower()}" in message
    assert not message.isascii()
    adopt_case(store, case_sensitive=case_sensitive)


@pytest.mark.parametrize("handle", ["0.a/x", "0.nb/x", "99.1/x"])
def test_records_on_either_side_of_0_na_are_seen(store: Engine, handle: str) -> None:
    """Also one whose prefix is not homed any more."""
    batch = Batch()
    batch.put(Table.RECORDS, HandleRules().key(handle), b"row")
    store.commit(batch)
    refused(store, case_sensitive=True)


def test_the_check_of_the_store_goes_by_its_mode(store: Engine) -> None:
    """A key with lower case letters is right in one mode and damage in the other."""
    adopt_case(store, case_sensitive=True)
    register(store, "0.na/88.1", "88.1/Abc", "88.1/ABC", case_sensitive=True)
    with store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
    batch = Batch()
    batch.put(Table.META, CASE_KEY, b"\x00")
    store.commit(batch)
    with store.snapshot() as snapshot:
        assert any("88.1/Abc" in fault for fault in check_store(snapshot))


def test_a_mode_that_cannot_be_read_is_damage(store: Engine) -> None:
    """Found by the check, and by whoever opens the store."""
    batch = Batch()
    batch.put(Table.META, CASE_KEY, b"\x02")
    store.commit(batch)
    with store.snapshot() as snapshot:
        assert any("neither 00 nor 01" in fault for fault in check_store(snapshot))
        with pytest.raises(StoreError):
            require_case(snapshot, case_sensitive=False)


def test_a_lot_keeps_the_mode(store: Engine) -> None:
    """Its row holds the key of its product's handle."""
    batch = Batch()
    batch.put(
        Table.LOTS,
        b"88.1/L1",
        pack_lot(LotRow("88.1/s", b"88.1/S", Packaging(1), "", "", "", 1, 1, bytes(CHECK_BYTES), b"", NOW, bytes(4))),
    )
    store.commit(batch)
    assert "no lot" in refused(store, case_sensitive=True)
