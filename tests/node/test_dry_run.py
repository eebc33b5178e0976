"""A dry run of any act says that it was one, in text and as JSON, and leaves nothing behind."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.node import Node, saltern

ROWS = list(csv.DictReader((Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8")))
PREFIX = "88.118.7"
NOTE = "（演练，未写入 dry run, nothing written）"
INCIDENT = (
    "--title", "解析中断", "--description", "主机断电", "--kind", "system", "--severity", "major",
    "--occurred", "2026-11-21T08:00",
)  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("dry-run") / "node", "88.118") as running:
        act(running, "party", "add", "--file", "-", form=ROWS[0])
        act(running, "prefix", "apply", PREFIX, "--party", "P000001")
        act(running, "incident", "open", *INCIDENT)
        yield running


def act(node: Node, *arguments: str, form: object = None) -> str:
    stdin = b"" if form is None else json.dumps(form).encode()
    return saltern(*arguments, "--config", str(node.config), stdin=stdin).stdout.decode()


def written(node: Node) -> Any:
    return [json.loads(act(node, name, "--after", "0", "--json")) for name in ("changes", "journal")]


ACTS: list[tuple[tuple[str, ...], object]] = [
    (("party", "add", "--file", "-"), ROWS[1]),
    (("party", "amend", "P000001", "--file", "-"), {"address": "新址1号"}),
    (("party", "verify", "P000001", "--method", "offline", "--actor", "李审核"), None),
    (("prefix", "apply", "88.118.8", "--party", "P000001"), None),
    (("prefix", "suspend", "88.118", "--reason", "x", "--evidence", __file__), None),
    (("incident", "open", *INCIDENT), None),
    (("incident", "update", "I000001", "--cause", "供电故障"), None),
    (("record", "put", "88.118/D", "--url", "https://a.example"), None),
]


@pytest.mark.parametrize(("command", "form"), ACTS, ids=[" ".join(act[0][:2]) for act in ACTS])
def test_a_dry_run_says_that_nothing_was_written(node: Node, command: tuple[str, ...], form: object) -> None:
    """What would be done is told, and beside it that it was not."""
    before = written(node)
    assert NOTE in act(node, *command, "--dry-run", form=form)
    assert json.loads(act(node, *command, "--dry-run", "--json", form=form))["dry_run"] is True
    assert written(node) == before


def test_what_was_done_has_no_word_of_a_dry_run(node: Node) -> None:
    """Neither in text nor as JSON."""
    assert "dry run" not in act(node, "incident", "update", "I000001", "--affected", PREFIX)
    told = json.loads(act(node, "incident", "update", "I000001", "--cause", "供电故障", "--json"))
    assert "dry_run" not in told
