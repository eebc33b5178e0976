"""The store of the reference top node: what it opens, what it seals, and that a change is whole or not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Outcome, SealError, StoreError
from sync.tables import TABLES
from sync.topnode.rows import (
    Held,
    Node,
    ReviewRow,
    pack,
    unpack_held,
    unpack_node,
    unpack_review,
)
from sync.topnode.store import TopStore
from tests.kit.topnode import MAP_BYTES, STORE_KEY, Peer, Top, signer

KEY = signer("a").public_key
T6, T9 = TABLES["T6"], TABLES["T9"]


def test_only_a_folder_is_opened(tmp_path: Path) -> None:
    """Not one that is none, and not another store."""
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    with lmdb.open(str(tmp_path / "other"), max_dbs=2) as other:
        other.open_db(b"records")
    (tmp_path / "empty").mkdir()
    for name in ("none", "file", "other"):
        with pytest.raises(StoreError):
            TopStore(tmp_path / name, STORE_KEY, map_size_bytes=MAP_BYTES)
    with pytest.raises(StoreError):
        TopStore(tmp_path / "empty", STORE_KEY, read_only=True, map_size_bytes=MAP_BYTES)


def test_it_opens_with_its_own_key_alone(tmp_path: Path) -> None:
    """And may be read by others meanwhile."""
    Top(tmp_path / "store").close()
    with pytest.raises(SealError):
        TopStore(tmp_path / "store", bytes(32), map_size_bytes=MAP_BYTES)
    with pytest.raises(ValueError, match="16 octets"):
        TopStore(tmp_path / "store", bytes(16), map_size_bytes=MAP_BYTES)
    reader = TopStore(tmp_path / "store", STORE_KEY, read_only=True, map_size_bytes=MAP_BYTES)
    assert (reader.nodes(), reader.reviews(), reader.route(b"88.118")) == ([], [], None)
    with pytest.raises(StoreError):
        reader.enrol("0" * 32)
    reader.close()


def test_a_sealed_row_opens_only_where_it_was_put(tmp_path: Path) -> None:
    """Copied under another key of the same table it is as good as altered."""
    top = Top(tmp_path / "store")
    peer = Peer(top)
    peer.connect()
    peer.piece("T6", 1, b"", None, {b"P1": b"\x91\x01"})
    top.close()
    with lmdb.open(str(top.folder), max_dbs=9, map_size=MAP_BYTES) as raw:
        rows = raw.open_db(b"rows")
        with raw.begin(write=True, db=rows) as transaction:
            ((place, row),) = list(transaction.cursor())
            transaction.put(place[:-1] + b"2", row)
    store = TopStore(top.folder, STORE_KEY, map_size_bytes=MAP_BYTES)
    assert store.rows(peer.node_id, T6, b"", 1) == [(b"P1", b"\x91\x01")]
    with pytest.raises(SealError):
        store.rows(peer.node_id, T6, b"P1", 1)
    store.close()


def test_a_change_that_fails_is_not_there(tmp_path: Path) -> None:
    """Neither rows nor history nor numbers, where the map is full in the middle of a message."""
    top = Top(tmp_path / "store")
    peer = Peer(top)
    peer.connect()
    top.close()
    top.store = TopStore(top.folder, STORE_KEY, map_size_bytes=1 << 20)
    top.desk._store = top.store
    with pytest.raises(StoreError) as error:
        peer.piece("T9", 1, b"", None, {b"K%d" % place: bytes(3_000) for place in range(500)})
    assert error.value.ended is Outcome.STORE_FULL
    node = top.store.node(peer.node_id)
    assert node is not None
    assert node.number == peer.number - 1
    assert peer.held_rows("T9") == {}
    assert peer.piece("T9", 1, b"", None, {b"A": b"\x90"}).why == "applied"
    top.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from sync.tables import TABLES
from sync.topnode.store import Change
from tests.kit.topnode import Peer, Top
from sync.messages import Item
top = Top(Path(sys.argv[1]))
peer = Peer(top)
peer.connect()
peer.delta("T9", 0, 1, Item(1, 1, b"A", b"\\x90"))
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
Change.put_held = die
peer.delta("T9", 1, 2, Item(2, 3, b"A", b"\\x91\\x01"))
"""


def test_a_process_that_is_killed_leaves_the_last_message_whole(tmp_path: Path) -> None:
    """Killed behind the rows and the history of a message, before its end: nothing of it is there; then it goes on."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "store")], env=os.environ | {"PYTHONPATH": os.getcwd()},
        timeout=60, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    top = Top(tmp_path / "store")
    peer = Peer(top)
    peer.number = 2
    assert peer.held_rows("T9") == {b"A": b"\x90"}
    assert [told.serial for told in top.store.history(peer.node_id, 0, 9)] == [1]
    holding = next(each for each in peer.connect().holdings if each.table == "T9")
    assert holding.serial == 1
    top.close()


def test_two_processes_write_one_store(tmp_path: Path) -> None:
    """What one wrote the other sees; the number of a message counts for both."""
    top = Top(tmp_path / "store")
    peer = Peer(top)
    peer.connect()
    told = (
        "from sync.topnode.store import TopStore; from tests.kit.topnode import *; import sys; from pathlib import Path"
    )
    done = subprocess.run(
        [
            sys.executable, "-c",
            f"{told}; TopStore(Path(sys.argv[1]), STORE_KEY, map_size_bytes=MAP_BYTES).reject(sys.argv[2])",
            str(top.folder), peer.node_id,
        ],
        env=os.environ | {"PYTHONPATH": os.getcwd()}, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert peer.connect().enrolment == "rejected"
    top.close()


def test_a_page_of_rows_begins_behind_a_key(tmp_path: Path) -> None:
    """And ends where the table does."""
    top = Top(tmp_path / "store")
    peer = Peer(top)
    peer.connect()
    rows = dict.fromkeys((b"A", b"A\x00", b"B", b"C"), b"\x90")
    peer.piece("T9", 1, b"", None, rows)
    peer.piece("T10", 1, b"", None, {b"Z": b"\x90"})
    assert [key for key, _ in top.store.rows(peer.node_id, T9, b"A", 2)] == [b"A\0", b"B"]
    assert [key for key, _ in top.store.rows(peer.node_id, T9, b"B", 9)] == [b"C"]
    top.close()


number = st.integers(0, 2**63 - 1)
time = st.integers(0, 4_000_000_000_000)
texts = st.tuples(*[st.text(max_size=9)] * 6)
pairs = st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3).map(tuple)
rows = st.one_of(
    st.builds(
        lambda of, since, last, count: Node(KEY, of[0], of[:2], *of[1:], since, last, count),
        texts, time, time, number,
    ),
    st.builds(
        lambda counts, start, at: Held(*counts[:2], start, *counts[2:], at),
        st.tuples(*[number] * 7), st.binary(max_size=9), time,
    ),
    st.builds(
        lambda of, filed, fields, at, by: ReviewRow(*of[:4], filed, *of[4:], fields, at, by),
        texts, number, pairs, time, st.text(max_size=9),
    ),
)  # fmt: skip
READERS = {Node: unpack_node, Held: unpack_held, ReviewRow: unpack_review}


@given(rows)
def test_rows_are_read_as_they_were_written(row: Node | Held | ReviewRow) -> None:
    """All three kinds."""
    assert READERS[type(row)](pack(row)) == row


@given(st.binary(max_size=40) | rows.map(pack).flatmap(lambda row: st.integers(0, len(row)).map(lambda end: row[:end])))
def test_any_octets_are_a_row_or_a_store_error(octets: bytes) -> None:
    """Cut rows, rows of another kind, noise."""
    for read in READERS.values():
        try:
            read(octets)
        except StoreError:
            continue
    assert unpack_held(None) == Held()
