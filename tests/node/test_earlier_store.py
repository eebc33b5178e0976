"""A store that an earlier version made: every command that reads works on it, and none takes a torn one for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lmdb
import pytest

from core.config import load
from core.errors import StoreError
from core.store import lmdb_engine
from core.store.engine import Table
from core.store.incident_rows import LAST_INCIDENT_KEY
from core.store.journal_rows import LAST_ENTRY_KEY
from core.store.party_rows import LAST_KEY
from node import wiring
from tests.kit.node import Node, saltern

PREFIX = "88.118"
LATER = sorted(lmdb_engine._LATER, key=lambda table: table.value)
READING = (
    ("record", "get", f"0.NA/{PREFIX}"), ("record", "export", "-"), ("prefix", "list"), ("party", "list"),
    ("token", "list"), ("journal",), ("changes",), ("incident", "list"), ("lot", "list"), ("doctor",),
    ("doctor", "--deep"),
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
    environment = lmdb.open(str(node.folder / "data" / "store"), max_dbs=50)
    with environment.begin(write=True) as transaction:
        for table in tables:
            transaction.drop(environment.open_db(table.value.encode(), transaction))
        for number in (LAST_KEY, LAST_ENTRY_KEY, LAST_INCIDENT_KEY):
            transaction.delete(number, db=environment.open_db(Table.META.value.encode(), transaction))
    environment.close()


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_every_command_that_reads_completes_it(node: Node, command: tuple[str, ...]) -> None:
    """Nothing has to be opened for writing before."""
    assert saltern(*command, "--config", str(node.config)).returncode == 0


def test_a_node_of_before_there_were_lots_gets_them(node: Node) -> None:
    """Its store gets the tables, and its operator makes a key file once he is told to; the units resolve."""
    (node.folder / "keys" / "lots.keys").unlink()
    config = ("--config", str(node.config))
    create = ("lot", "create", f"{PREFIX}/L1", "--product", f"{PREFIX}/SALT", "--count", "3", *config)
    with node:
        refused = saltern(*create, check=False)
        assert (refused.returncode, b"saltern lot rekey" in refused.stdout + refused.stderr) == (1, True)
        saltern("lot", "rekey", *config)
        saltern(*create)
        listed = json.loads(saltern("lot", "codes", f"{PREFIX}/L1", *config).stdout.splitlines()[0])
        assert node.get(listed["identifier"]).status == 200
        assert node.get(f"{PREFIX}/L12345678901").status == 404
    assert "every row is right" in node.fsck()


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
