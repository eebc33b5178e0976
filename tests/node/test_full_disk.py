"""A store that cannot grow: writes are refused clearly, reads go on, nothing acknowledged is lost."""

from __future__ import annotations

import json
from pathlib import Path

from tests.kit.node import Node, admin_value, saltern

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


def test_an_import_that_the_disk_stops_says_how_far_it_came(tmp_path: Path) -> None:
    """What was done is counted, in text and as JSON; with room again the same import goes on."""
    node = Node(tmp_path / "node", PREFIX)
    file = tmp_path / "records.jsonl"
    values = [{"index": 1, "type": "X", "data": "x" * 1_000}, admin_value(f"0.NA/{PREFIX}")]
    lines = [json.dumps({"handle": f"{PREFIX}/I{number}", "values": values}) for number in range(6_000)]
    file.write_text("\n".join(lines))
    command = ("record", "import", str(file), "--config", str(node.config))
    limit = (node.folder / "data" / "store" / "data.mdb").stat().st_size + (8 << 20)
    with node.limited(file_bytes_max=limit):
        first = saltern(*command, "--json", check=False)
        told = json.loads(first.stdout)
        assert (first.returncode, told["outcome"]) == (1, "store-full")
        created = told["counts"]["created"]
        assert 0 < created < len(lines)
        assert f"第 {created + 1} 行" in told["reason"]
        assert f"{created} created" in told["reason"]
        assert "run it again" in first.stderr.decode()
        again = saltern(*command, check=False)
        assert (again.returncode, f"已导入，未完 imported so far: {created} ok" in again.stdout.decode()) == (1, True)
    with node:
        counts = json.loads(saltern(*command, "--json").stdout)["counts"]
        assert counts["ok"] >= created
        assert counts["ok"] + counts["created"] == len(lines)
