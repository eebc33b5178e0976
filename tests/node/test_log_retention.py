"""``saltern log retention``, ``hold``, ``release``, and the dropping that the keeper does, on a node's data folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit.retention import Clocks
from core import clock
from core.clock import format_shanghai, month_after, month_start, shanghai_month
from core.config import load
from core.store.log_rows import LogEntry
from core.streams import Stream
from node import wiring
from node.keeping import drop_logs
from tests.kit.log_folders import LogFolder, write_months_key
from tests.kit.node import Node, saltern

PREFIX = "88.118.7"
THIS = shanghai_month(clock.now_ms())
LAST, OLD = month_after(THIS, -1), month_after(THIS, -13)
"""This month, the last one, and the newest of those whose time is over."""


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node that does not run, with logs of the three months."""
    made = Node(tmp_path / "node", PREFIX)
    data = made.folder / "data"
    for stream in Stream:
        before = b""
        for month in (OLD, LAST, THIS):
            before = LogFolder(data / "log", stream, month, before=before).checkpoint
    write_months_key(data, OLD, bytes(32))
    (data / "clients" / OLD / "resolution").write_bytes(bytes(50_000))
    return made


def told(node: Node, *arguments: str) -> Any:
    return json.loads(saltern("log", *arguments, "--json", "--config", str(node.config)).stdout)


def kept(node: Node, *settings: str) -> dict[str, dict[str, Any]]:
    options = [option for each in settings for option in ("--set", each)]
    return {each["log"]: each for each in told(node, "retention", *options)["logs"]}


def test_what_is_kept_and_until_when(node: Node) -> None:
    """Each stream and month, its size, when it may go, and why not."""
    listed = kept(node)
    assert set(listed) == {f"{stream.value}/{month}" for stream in Stream for month in (OLD, LAST, THIS)}
    due = listed[f"resolution/{OLD}"]
    assert (due["due"], due["why"], due["kept_since"]) == (True, None, f"{OLD}-01")
    assert due["may_go"] == f"{THIS}-01"
    assert format_shanghai(month_start(THIS) - 1)[:10] == due["kept_until"]
    assert due["private_bytes"] >= 50_000
    assert due["bytes"] > 0
    later = listed[f"change/{LAST}"]
    assert (later["due"], later["may_go"]) == (False, f"{month_after(LAST, 13)}-01")
    assert later["may_go"] in later["why"]["en"]
    forever = listed[f"maintenance/{OLD}"]
    assert (forever["due"], forever["kept_until"], forever["may_go"]) == (False, None, None)
    assert kept(node, "log.retention=13")[f"change/{OLD}"]["due"] is False
    text = saltern("log", "retention", "--config", str(node.config)).stdout.decode()
    assert "保存 12 个整月" in text
    assert "待删除 to be dropped" in text
    assert "磁盘剩余 Free" in text


def test_fewer_than_six_months_are_refused(node: Node) -> None:
    ended = saltern("log", "retention", "--set", "log.retention=5", "--config", str(node.config), check=False)
    assert ended.returncode == 1
    assert "6 … " in (ended.stdout + ended.stderr).decode()


def test_a_hold_is_placed_told_and_released(node: Node) -> None:
    """By order; of a month that is not here as well, which is said."""
    placed = told(node, "hold", "resolution", OLD, "--order", "令1", "--reason", "取证")
    assert (placed["log"], placed["orders"][0]["order"]) == (f"resolution/{OLD}", "令1")
    told(node, "hold", "change", "2001-01", "--order", "令2", "--reason", "取证")
    ended = saltern(
        "log", "hold", "change", "2001-01", "--order", "令2", "--reason", "取证", "--config", str(node.config)
    )
    assert "没有日志 change/2001-01" in ended.stderr.decode()
    listed = told(node, "retention")
    held = next(each for each in listed["logs"] if each["log"] == f"resolution/{OLD}")
    assert (held["due"], held["orders"][0]["reason"]) == (False, "取证")
    assert "令1" in held["why"]["zh"]
    assert [each["log"] for each in listed["held_elsewhere"]] == ["change/2001-01"]
    assert told(node, "release", "resolution", OLD, "--order", "令1")["orders"] == []
    assert kept(node)[f"resolution/{OLD}"]["due"]
    again = saltern("log", "release", "resolution", OLD, "--order", "令1", "--config", str(node.config), check=False)
    assert (again.returncode, json.loads(again.stdout)["rule"]) == (1, "log-free")


@pytest.mark.parametrize("arguments", [("x", "2026-03"), ("change", "2026-13"), ("change", "March")])
def test_what_is_no_log_is_misuse(node: Node, arguments: tuple[str, str]) -> None:
    ended = saltern(
        "log", "hold", *arguments, "--order", "1", "--reason", "x", "--config", str(node.config), check=False
    )
    assert ended.returncode == 2


def test_what_is_due_is_dropped_and_what_is_held_is_not(node: Node) -> None:
    """As the keeper does: by settings, holds of the store and clocks; of each log there is one entry."""
    told(node, "hold", "registration", OLD, "--order", "令1", "--reason", "取证")
    config, published = load(node.config), list[LogEntry]()
    store = wiring.open_store(config)
    try:
        early = month_start(THIS) - 1
        assert drop_logs(config, store, lambda: Clocks(early, early), published.append).logs == ()
        now_ms = month_start(THIS) + 1
        dropped = drop_logs(config, store, lambda: Clocks(now_ms, now_ms), published.append)
    finally:
        store.close()
    assert dropped == ((f"change/{OLD}", f"resolution/{OLD}"), ())
    assert [(entry.stream, entry.action, entry.object) for entry in published] == [
        ("maintenance", "log.drop", f"{stream}/{OLD}") for stream in ("change", "resolution")
    ]
    assert all(entry.reason.startswith(f"node.example/log/{entry.object} 1 ") for entry in published)
    left = kept(node)
    assert f"change/{OLD}" not in left
    assert left[f"registration/{OLD}"]["orders"][0]["order"] == "令1"
    assert (node.folder / "data" / "clients" / OLD / "key").exists()
