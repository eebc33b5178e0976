"""``saltern doctor`` about top nodes: silent without one, one line of one that is well, else what to do."""

from __future__ import annotations

from pathlib import Path

from core.clock import Millis
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.store.upstream_rows import LogSent, logs_key, pack_logs, pack_table_state, table_key
from node.cli.doctor_upstream import look_at_upstreams
from registry.commands import Put
from registry.upstream_commands import ConnectUpstream
from tests.kit.governance import OPERATOR, Office
from tests.kit.upstream import Sending, Top


def test_what_a_person_has_to_know(tmp_path: Path) -> None:
    """Each trouble is a line of its own; what keeps something from being sent is an error, what passes a warning."""
    office, top = Office(), Top(tmp_path)
    node = Sending(office.store, top, top.carry)

    def found() -> list[tuple[str, str]]:
        with office.store.snapshot() as snapshot:
            lines = list(look_at_upstreams(snapshot, node.sources, Millis(node.now)))
        assert {check for _, check, _ in lines} <= {"upstream"}
        return [(level, message) for level, _, message in lines]

    def put(table: Table, key: bytes, row: bytes) -> None:
        batch = Batch()
        batch.put(table, key, row)
        office.store.commit(batch)

    assert found() == []
    office.do(ConnectUpstream("https://top.example.cn", top.signer.public_key, "top"))
    node.settle()
    [(level, message)] = found()
    assert level == "ok"
    assert message.startswith("https://top.example.cn：2026-") and message.endswith(" 0 行待报 rows wait")

    office.do(Put("88.118/S1", (HandleValue(1, "NAME", b"salt"),)), OPERATOR)
    top.refuse = lambda: True
    node.round()
    [(level, message)] = found()
    assert (level, "T9: 1 行被拒收" in message, "saltern sync status" in message) == ("warning", True, True)

    top.refuse = lambda: False
    node.settle()
    top.away = True
    office.do(Put("88.118/S2", (HandleValue(1, "NAME", b"salt"),)), OPERATOR)
    node.round()
    node.now = Millis(office.now + 7_000)
    [(level, message)] = found()
    assert (level, "waits for 7 s, nothing local waits" in message, message.endswith(": away")) == (
        "warning",
        True,
        True,
    )

    top.away = False
    node.settle()
    state = node.state("T9")._replace(fault="T9 的故障 a fault")
    put(Table.SYNC_TABLES, table_key(node.upstream, "T9"), pack_table_state(state))
    put(Table.SYNC_TABLES, logs_key(node.upstream), pack_logs({"change/2026-11": LogSent(fault="分叉 a fork")}))
    assert found() == [("error", "T9: T9 的故障 a fault"), ("error", "change/2026-11: 分叉 a fork")]
