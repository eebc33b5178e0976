"""A node that was put back meets a top node that holds more than its backup: both sides become equal by themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core import clock, limits
from core.config import Config
from core.store.engine import Batch, Table
from core.store.lmdb_engine import LmdbEngine
from core.store.upstream_rows import Upstream, pack_upstream
from node.signing import load_signer
from node.sync_sources import make_sources
from registry.commands import OPERATOR, Delete, Request
from sync.link import UpstreamError
from sync.topnode.logs import LogDesk, LogNode
from tests.kit.backups import PREFIX, assert_verifies, back_up, make_node, opened, put_back, put_lot, put_records
from tests.kit.upstream import Sending, Top


def connect(store: LmdbEngine, top: Top) -> None:
    row = Upstream("https://top.example", top.signer.public_key, "顶级节点", clock.now_ms())
    batch = Batch()
    batch.put(Table.UPSTREAMS, Sending(store, top, top.carry).upstream.encode(), pack_upstream(row))
    store.commit(batch)


def sending(config: Config, store: LmdbEngine, top: Top, carry: Callable[[bytes], bytes] | None = None) -> Sending:
    made = Sending(store, top, carry or top.carry, make_sources(config), load_signer(config))
    made.now = top.now
    made.restart()
    return made


@pytest.mark.parametrize("cut", [False, True], ids=["all-above", "a-snapshot-under-way-above"])
@pytest.mark.parametrize("sent", [True, False], ids=["sent-before", "never-sent-before"])
def test_both_sides_become_equal_and_no_serial_comes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sent: bool, cut: bool
) -> None:
    config = make_node(tmp_path / "node")
    top = Top(tmp_path)
    top.now = clock.now_ms()
    with opened(config) as (store, registry):
        connect(store, top)
        put_records(registry, [f"{PREFIX}/A{number}" for number in range(12)])
        put_lot(registry)
        if sent:
            sending(config, store, top).settle()
    back_up(config, tmp_path / "b")
    with opened(config) as (store, registry):
        put_records(registry, [f"{PREFIX}/B{number}" for number in range(7)], "later")
        put_records(registry, [f"{PREFIX}/A1"], "changed")
        assert registry.run([Request(Delete(f"{PREFIX}/A2"), OPERATOR)], clock.now_ms())[0].done
        former = sending(config, store, top)
        former.settle()
        told = former.history()
        if cut:
            interrupt(former, monkeypatch)
        highest = former.state("T9").serial
    done, restored = put_back(tmp_path / "b", tmp_path / "new")
    with opened(restored) as (store, registry):
        again = sending(restored, store, top)
        again.settle()
        assert again.differences() == {}
        keys = {key.decode() for key, _ in again.rows_above("T9")}
        assert {f"{PREFIX}/A2", f"{PREFIX}/L1"} <= keys
        assert not any("/B" in key for key in keys)
        assert again.history() == told, "what was told is what happened"
        states = [again.state(name) for name in again.sources]
        assert not any(state.ahead or state.fault for state in states)
        put_records(registry, [f"{PREFIX}/C"])
        again.settle()
        assert again.differences() == {}
        (new,) = again.history()[len(told) :]
        assert (new[0], new[2].decode()) == (done.serial + 1, f"{PREFIX}/C")
        assert new[0] > highest


def interrupt(former: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have T9 be sent whole, and the line be cut after two pieces."""
    answers = iter([True] * 2)
    carry = former.link._carry

    def cut(octets: bytes) -> bytes:
        if next(answers, None) is None:
            raise UpstreamError("cut")
        return carry(octets)

    with monkeypatch.context() as patch:
        patch.setattr(limits, "UPSTREAM_BATCH_ITEMS", 3)
        former.courier.send_whole(former.sources["T9"])
        patch.setattr(former.link, "_carry", cut)
        with pytest.raises(UpstreamError):
            former.courier.drain(former.sources["T9"])
    assert former.state("T9").piece_at


def test_a_witness_sees_no_fork(tmp_path: Path) -> None:
    """It holds more of the former logs than the backup has; the new ones are others, and it takes them."""
    from audit.note import ed25519_key
    from core.clock import UnixSeconds
    from node import wiring
    from node.catching_up import publish_waiting
    from sync.checkpoints import question_of, read_current
    from tests.kit.witnesses import KEY, PRIVATE

    config = make_node(tmp_path / "node")
    desk = LogDesk(tmp_path / "top", KEY, PRIVATE.sign)
    with opened(config) as (_, registry):
        put_records(registry, [f"{PREFIX}/A"])
    back_up(config, tmp_path / "b")
    with opened(config) as (_, registry):
        put_records(registry, [f"{PREFIX}/B"])
    publish_waiting(config)
    _, restored = put_back(tmp_path / "b", tmp_path / "new")
    with opened(restored) as (_, registry):
        put_records(registry, [f"{PREFIX}/C"])
    publish_waiting(restored)
    public = load_signer(config).public_key
    month = clock.shanghai_month(clock.now_ms())
    for each in (config, restored):
        host = wiring.log_host(each)
        node = LogNode("0" * 32, host, (ed25519_key(f"{host}/log", public).vkey,))
        for stream in ("registration", "change", "maintenance"):
            folder = each.data / "log" / stream / month
            current = read_current(folder)
            assert current is not None
            answer = desk.checkpoint(node, question_of(folder, current, 0), UnixSeconds(1_800_000_000))
            assert answer.status == 200, answer
    assert_verifies(restored.data / "log")
