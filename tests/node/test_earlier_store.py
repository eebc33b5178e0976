"""A store that an earlier version made: every command that reads works on it, and none takes a torn one for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lmdb
import pytest

from core.config import load
from core.errors import StoreError
from core.store import lmdb_engine
from core.store.engine import Table
from core.store.journal_rows import LAST_ENTRY_KEY
from core.store.party_rows import LAST_KEY
from node import wiring
from tests.kit.node import Node, saltern

PREFIX = "88.118"
LATER = (
    Table.PARTIES, Table.PARTY_NUMBERS, Table.APPLICATIONS, Table.BEARERS, Table.JOURNAL, Table.TRANSFERS, Table.HISTORY
)  # fmt: skip
READING = (
    ("record", "get", f"0.NA/{PREFIX}"), ("record", "export", "-"), ("prefix", "list"), ("party", "list"),
    ("token", "list"), ("journal",), ("changes",), ("doctor",), ("doctor", "--deep"),
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node(tmp_path_factory.mktemp("earlier") / "node", PREFIX)


@pytest.fixture
def node(made: Node) -> Node:
    drop(made, *LATER)
    return made


def drop(node: Node, *tables: Table) -> None:
    """Take tables out of the store, and the numbers of their last rows, as an earlier version did not make them."""
    environment = lmdb.open(str(node.folder / "data" / "store"), max_dbs=20)
    with environment.begin(write=True) as transaction:
        for table in tables:
            transaction.drop(environment.open_db(table.value.encode(), transaction))
        for number in (LAST_KEY, LAST_ENTRY_KEY):
            transaction.delete(number, db=environment.open_db(Table.META.value.encode(), transaction))
    environment.close()


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_every_command_that_reads_completes_it(node: Node, command: tuple[str, ...]) -> None:
    """Nothing has to be opened for writing before."""
    assert saltern(*command, "--config", str(node.config)).returncode == 0


def test_who_may_not_write_is_told_what_to_do(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both languages: start the node, or be its owner."""
    opened = lmdb.open

    def refuse_writers(*arguments: Any, readonly: bool, **options: Any) -> Any:
        if not readonly:
            raise lmdb.Error("Permission denied")
        return opened(*arguments, readonly=readonly, **options)

    monkeypatch.setattr(lmdb_engine.lmdb, "open", refuse_writers)
    with pytest.raises(StoreError, match=r"请启动节点.*start the node, or run this command as its owner"):
        wiring.open_store(load(node.config), read_only=True)


def test_a_store_without_one_of_the_first_tables_stays_incomplete(tmp_path: Path) -> None:
    """It is not completed: what was lost is in a backup."""
    node = Node(tmp_path / "node", PREFIX)
    drop(node, *LATER, Table.COUNTERS)
    for _ in range(2):
        done = saltern("prefix", "list", "--config", str(node.config), check=False)
        assert (done.returncode, b"incomplete" in done.stderr) == (1, True)
