"""A running node whose disk is nearly full: registration stops first, then resolution; both say so."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from core.limits import DISK_BYTES_MAX
from tests.kit.handle_node import record
from tests.kit.node import Node, Reply, saltern

PREFIX = "88.118.7"
MORE_THAN_ANY_DISK = DISK_BYTES_MAX


def metrics(node: Node) -> str:
    address = f"http://127.0.0.1:{node.ready['management']}/metrics"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return str(answer.read().decode())


def guarded(tmp_path: Path, *, reserve: int) -> Node:
    """Return a node with a record, whose disk has less room than registration needs."""
    node = Node(tmp_path / "node", PREFIX)
    with node:
        assert node.put(f"{PREFIX}/A", record(node, "https://a.example")).status == 201
        assert 'saltern_log_disk_stopped{what="registration"} 0.0' in metrics(node)
    return Node(node.folder, PREFIX, log__disk_stop=MORE_THAN_ANY_DISK, log__disk_reserve=reserve, http__rate_limit=0)


def doctor(node: Node, *settings: str) -> list[str]:
    options = [option for each in settings for option in ("--set", each)]
    told = saltern("doctor", "--json", "--config", str(node.config), *options, check=False)
    return [f"{each['level']}: {each['message']}" for each in json.loads(told.stdout) if each["check"] == "disk"]


def test_registration_stops_and_resolution_goes_on(tmp_path: Path) -> None:
    """503 with the rule, in every interface that writes; an order of the regulator is carried out all the same."""
    with guarded(tmp_path, reserve=0) as node:
        refused: Reply = node.put(f"{PREFIX}/B", record(node, "https://b.example"))
        assert refused.status == 503
        assert "磁盘剩余空间不足" in refused.json["message"]
        batch = [{"handle": f"{PREFIX}/B", "values": [{"index": 1, "type": "X", "data": "x"}]}]
        reply = node.ask("POST", "/v1/records:batch", batch, node.admin())
        assert (reply.status, reply.json["outcome"], reply.json["rule"]) == (503, "store-full", "disk")
        assert node.get(f"{PREFIX}/A").status == 200
        assert node.get(f"{PREFIX}/B").status == 404
        assert node.ask("GET", "/readyz").status == 200
        saltern("hold", "place", f"{PREFIX}/A", "--order", "1", "--reason", "x", "--config", str(node.config))
        assert node.get(f"{PREFIX}/A").status == 404
        told = metrics(node)
        assert 'saltern_log_disk_stopped{what="registration"} 1.0' in told
        assert 'saltern_log_disk_stopped{what="resolution"} 0.0' in told
        assert "saltern_log_disk_free_bytes" in told
    (found,) = doctor(node, f"log.disk_stop={MORE_THAN_ANY_DISK}")
    assert found.startswith("error: ")
    assert "nothing is registered" in found


def test_below_the_reserve_nothing_is_resolved(tmp_path: Path) -> None:
    """503 with a word of the log; the node is not ready and lives."""
    with guarded(tmp_path, reserve=MORE_THAN_ANY_DISK - 1) as node:
        for _ in range(2):  # the first may find the log as it was
            refused = node.get(f"{PREFIX}/A", "?index=1")
        assert refused.status == 503
        assert b"a.example" not in refused.body
        assert [node.ask("GET", path).status for path in ("/readyz", "/healthz")] == [503, 200]
        assert 'saltern_log_disk_stopped{what="resolution"} 1.0' in metrics(node)
        assert "log.disk_reserve" in node.log()
    stopped = (f"log.disk_stop={MORE_THAN_ANY_DISK}", f"log.disk_reserve={MORE_THAN_ANY_DISK - 1}")
    (found,) = doctor(node, *stopped)
    assert "nothing is resolved" in found


def test_a_command_without_a_running_node_keeps_to_it_too(tmp_path: Path) -> None:
    """The same registrar decides."""
    node = Node(tmp_path / "node", PREFIX)
    told = saltern(
        "record", "put", f"{PREFIX}/B", "--url", "https://b.example", "--config", str(node.config),
        "--set", f"log.disk_stop={MORE_THAN_ANY_DISK}", "--set", "log.disk_reserve=0", check=False,
    )  # fmt: skip
    assert told.returncode == 1
    assert "磁盘剩余空间不足" in (told.stderr + told.stdout).decode()
