"""The reference top node as escrow agent: made with a key, asked by messages, judging what it took."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import limits
from core.config import Config
from core.errors import ConfigError
from core.signature import Signer
from node.topnode_deposits import DepositJudge, Judge, deposit_takers
from node.topnode_init import initialise_topnode
from node.topnode_settings import topnode_data
from sync import messages
from sync.escrow.deposit import open_items
from sync.escrow.faults import DepositError
from sync.escrow.item import Head
from sync.escrow.sealing import X25519Recipient, load_opener, load_recipient
from sync.link import Link
from tests.kit import deposits as kit
from tests.kit import topnode
from tests.kit.deposits import Sender
from tests.kit.topnode import Top


class Node:
    """A node that sends deposits by signed messages to a top node in this process."""

    def __init__(self, folder: Path, judge: DepositJudge | None, signer: Signer = kit.SIGNER) -> None:
        self.top = Top(folder, takers=deposit_takers(judge))
        public = self.top.signer.public_key
        link = Link(signer, public, lambda octets: self.top.desk.answer(octets, topnode.NOW), lambda: 1)
        self.link = link
        hello = messages.Connect(kit.PREFIX, (kit.PREFIX,), "甲", "Saltern", "node.example", "")
        assert link.ask(hello, messages.State).enrolment == "enrolled"

    def ask(self, question: messages.Question) -> messages.Answer:
        asks = isinstance(question, messages.DepositAsk)
        return self.link.ask(question, messages.DepositVerdict if asks else messages.Wanted)  # type: ignore[type-var]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return initialise_topnode(tmp_path / "top", "top.example")


def judge_of(config: Config) -> DepositJudge:
    """Return a judge that reads every item once. Errors: ConfigError."""
    path = config.file("escrow.key")
    assert path is not None
    opener = load_opener(path)

    def read(node: str, folder: Path) -> None:
        for _ in open_items(folder, opener, node):
            pass

    return DepositJudge(topnode_data(config), opener, read)


def recipient(config: Config) -> X25519Recipient:
    path = config.file("escrow.key")
    assert path is not None
    public = load_recipient(path.with_suffix(".pub"))
    assert isinstance(public, X25519Recipient)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public.key_id == load_opener(path).key_id
    return public


def week(out: Path, public: X25519Recipient) -> list[tuple[Path, Head]]:
    first = kit.write(out, kit.full(), recipient=public)
    return [first, kit.write(out, kit.diff(first[1], 101, days=1), recipient=public)]


@pytest.fixture
def judges() -> Iterator[list[DepositJudge]]:
    made: list[DepositJudge] = []
    yield made
    for judge in made:
        judge.close()


def send(node: Node, *paths: Path) -> list[str]:
    """Send deposits until each has a verdict; return those."""
    sender = Sender(*paths)
    for _ in range(2_000):
        if not sender.courier.step(node.ask, sender.now):
            if all(sent.stage in ("accepted", "rejected") for sent in sender.courier.sent.values()):
                return sender.stages()
            sender.later(limits.ESCROW_ASK_MS)
    raise AssertionError(sender.courier.sent)


def test_deposits_are_taken_judged_and_kept(tmp_path: Path, config: Config, judges: list[DepositJudge]) -> None:
    """By messages, as a node sends them: accepted in order; what does not open is rejected with the reason."""
    judge = judge_of(config)
    judges.append(judge)
    node = Node(tmp_path / "store", judge)
    made = week(tmp_path / "out", recipient(config))
    assert send(node, *(path for path, _ in made)) == ["accepted"] * 2
    other = kit.write(tmp_path / "out", kit.full(200, days=7))[0]
    assert send(node, other) == ["rejected"]
    folder = judge.desk.folder(kit.NODE, made[1][1].deposit)
    assert folder.is_relative_to(topnode_data(config))
    assert folder.is_dir()


def test_a_restart_judges_what_waits(
    tmp_path: Path, config: Config, judges: list[DepositJudge], caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be judged, for a disk that failed, waits, and what builds on it; rejected are both then."""
    made = week(tmp_path / "out", recipient(config))
    path = config.file("escrow.key")
    assert path is not None
    opener = load_opener(path)

    def judged_by(judge: Judge) -> DepositJudge:
        judges.append(DepositJudge(topnode_data(config), opener, judge))
        return judges[-1]

    def broken(node: str, folder: Path) -> None:
        raise DepositError("disk", "it failed")

    def strict(node: str, folder: Path) -> None:
        raise DepositError("content", "no prefix of the node")

    first = judged_by(broken)
    node = Node(tmp_path / "store", first)
    sender = Sender(*(path for path, _ in made))
    with caplog.at_level(logging.CRITICAL, "saltern.topnode"):
        sender.run(node.ask)
        first.close()
    assert sender.stages() == ["waiting"] * 2
    assert [deposit for _, deposit in first.desk.waiting()] == [head.deposit for _, head in made]
    second = judged_by(strict)
    second.start()
    node.top.close()
    node = Node(tmp_path / "store", second)
    assert send(node, *(path for path, _ in made)) == ["rejected"] * 2
    answer = second.desk.ask(kit.NODE, messages.DepositAsk(made[1][1].deposit))
    assert made[0][1].deposit in answer.en


def test_a_top_node_without_a_key_takes_none(tmp_path: Path, config: Config) -> None:
    """As one that was made before there was one: named; a key that is none, or that others can read, is told of."""
    path = config.file("escrow.key")
    assert path is not None
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="0600"):
        judge_of(config)
    node = Node(tmp_path / "store", None)
    deposit = kit.write(tmp_path / "out", kit.full())[0]
    sender = Sender(deposit)
    sender.run(node.ask)
    assert "has no escrow key" in sender.kept[deposit.name].fault


def test_a_deposit_of_another_node_is_not_taken(tmp_path: Path, config: Config, judges: list[DepositJudge]) -> None:
    """Whoever carries it: the head is signed by whom it is of."""
    judge = judge_of(config)
    judges.append(judge)
    node = Node(tmp_path / "store", judge, kit.OTHER_SIGNER)
    deposit = kit.write(tmp_path / "out", kit.full(), recipient=recipient(config))[0]
    sender = Sender(deposit)
    sender.run(node.ask)
    assert "signed by another node" in sender.kept[deposit.name].fault
