"""A store that cannot grow: writes are refused clearly, reads go on, nothing acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

from tests.kit.node import Node, admin_value

PREFIX = "88.118.7"


def test_a_full_disk_refuses_writes_and_loses_nothing(tmp_path: Path) -> None:
    """The system's own limit on file size stands for the disk; the node runs on, and recovers with space."""
    node = Node(tmp_path / "node", PREFIX)
    acknowledged: list[str] = []
    limit = (node.folder / "data" / "store" / "data.mdb").stat().st_size + (1 << 20)
    with node.limited(file_bytes_max=limit):
        refusal = None
        for number in range(2_000):
            handle = f"{PREFIX}/F{number}"
            reply = node.put(handle, [{"index": 1, "type": "X", "data": "x" * 20_000}, admin_value(f"0.NA/{PREFIX}")])
            if reply.status != 201:
                refusal = reply
                break
            acknowledged.append(handle)
        assert refusal is not None
        assert (refusal.status, refusal.json["responseCode"]) == (503, 3)
        assert "disk is full" in refusal.json["message"]
        assert acknowledged
        for handle in acknowledged:
            assert node.get(handle).status == 200, "reads go on"
        batch = [{"handle": f"{PREFIX}/B", "values": [{"index": 1, "type": "X", "data": "x" * 100_000}]}]
        reply = node.ask("POST", "/v1/records:batch", batch, node.admin())
        assert (reply.status, reply.json["outcome"]) == (503, "store-full")
        assert node.get(f"{PREFIX}/B").status == 404
    with node:
        assert node.put(f"{PREFIX}/AFTER", [{"index": 1, "type": "X", "data": "x" * 20_000}]).status == 201
        assert all(node.get(handle).status == 200 for handle in acknowledged)
    assert "every row is right" in node.fsck()
