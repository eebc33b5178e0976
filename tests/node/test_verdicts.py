"""Verdicts of the national review, brought to the registrar of a running node and of one that is stopped."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.config import Config, load
from core.errors import NodeError, Outcome
from core.signature import key_id
from node import wiring
from node.lock import DataLock
from node.verdicts import tell_verdict
from node.writing import writer
from registry.commands import OPERATOR, Request, Result
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream
from sync.messages import Review, Verdict
from sync.reviews import waiting
from tests.kit.node import Node, saltern

ROWS = list(csv.DictReader((Path(__file__).parent.parent / "vectors" / "parties.csv").open(encoding="utf-8")))
TOP = key_id(bytes(32))
APPROVED = Verdict("approved", "同意", ())


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that is not running, connected to a top node; its party is verified."""
    made = Node(tmp_path_factory.mktemp("verdicts") / "node", "88.118")
    act(made, "party", "add", "--file", "-", "--actor", "张经办", form=ROWS[0])
    for reviewer in ("李审核", "王审核"):
        papers = ("--evidence", str(Path(__file__)), "--actor", reviewer)
        act(made, "party", "verify", "P000001", "--method", "manual", *papers)
    with writer(load(made.config)) as write:
        assert write(Request(ConnectUpstream("http://127.0.0.1:9", bytes(32)), OPERATOR)).done
    yield made
    made.stop()


def act(node: Node, *arguments: str, form: object = None) -> str:
    stdin = b"" if form is None else json.dumps(form).encode()
    return saltern(*arguments, "--config", str(node.config), stdin=stdin).stdout.decode()


def file_one(node: Node, prefix: str) -> tuple[Config, Review, str]:
    """Apply for a prefix and approve it; return what is to be asked, and what the reviewer read."""
    act(node, "prefix", "apply", prefix, "--party", "P000001", "--actor", "张经办")
    told = act(node, "prefix", "review", prefix, "--approve", "--actor", "李审核")
    config = load(node.config)
    store = wiring.open_store(config, read_only=True)
    try:
        with store.snapshot() as snapshot:
            (review,) = waiting(snapshot)
    finally:
        store.close()
    assert (review.prefix, review.party, review.hosting) == (prefix, "P000001", "hosted")
    return config, review, told


def tell(config: Config, review: Review, verdict: Verdict) -> Result:
    """Tell a verdict by whatever way there is."""
    with writer(config) as write:
        return tell_verdict(write, review, verdict, TOP)


def shown(node: Node, prefix: str) -> Any:
    return json.loads(act(node, "prefix", "show", prefix, "--json"))


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_a_verdict_is_told(node: Node, running: bool) -> None:
    """By the same call: each kind does what it says, and twice does nothing more."""
    if running:
        node.start()
    try:
        for number, (said, state) in enumerate(
            (("approved", "homed"), ("rejected", "rejected"), ("asked", "needs-correction"))
        ):
            prefix = f"88.118.{10 * running + number + 1}"
            config, review, told = file_one(node, prefix)
            assert "国家节点审核中 national-review" in told
            assert "等待国家顶级节点审核" in told
            assert "waits for the review of the national node" in told
            assert "national-review" in act(node, "prefix", "list")
            verdict = Verdict(said, "不合规\n", (("address", ""),))
            result = tell(config, review, verdict)
            assert result.outcome is Outcome.OK, result
            document = shown(node, prefix)
            assert document["state"] == state
            assert [each["path"] for each in document["corrections"]] == (["address"] if said == "asked" else [])
            assert f"upstream:{TOP} (uid " in document["steps"][-1]["who"]
            again = tell(config, review, verdict)
            assert (again.outcome, again.rule) == (Outcome.CONFLICT, "transition")
    finally:
        node.stop()


def test_what_was_disconnected_says_nothing(node: Node) -> None:
    """The prefix waits; a reviewer lets it go on."""
    config, review, _ = file_one(node, "88.118.30")
    with writer(config) as write:
        assert write(Request(DisconnectUpstream(TOP), OPERATOR)).done
    late = tell(config, review, APPROVED)
    assert (late.outcome, late.rule) == (Outcome.NOT_FOUND, "upstream-not-found")
    assert shown(node, "88.118.30")["state"] == "national-review"
    assert "homed" in act(node, "prefix", "review", "88.118.30", "--approve", "--actor", "李审核")


def test_while_another_process_holds_the_data_it_is_an_error(node: Node) -> None:
    """A node that starts or ends: nobody writes beside it, and it is told again later."""
    config = load(node.config)
    lock = DataLock(config.data)
    try:
        with pytest.raises(NodeError):
            tell(config, Review("88.118.30", "P000001", "hosted", 1), APPROVED)
    finally:
        lock.close()
