"""Deposits go up whole through whatever happens; whoever lies, on either side, gains nothing."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.files import Files
from core import limits
from core.clock import Millis
from core.errors import WireError
from sync import form, messages
from sync.escrow.deposit import HEAD, open_items
from sync.escrow.faults import DepositError
from sync.escrow.item import Head, Item
from sync.escrow.sealing import X25519Recipient
from sync.escrow.sending import DepositSent
from sync.link import RefusalError, UpstreamError
from sync.topnode.deposits import DepositDesk
from tests.kit import deposits as kit
from tests.kit.deposits import Sender

PART = 30  # octets of a message, so that a volume of 100 takes several
RECIPIENT = (kit.OPENER.algorithm, kit.OPENER.key_id)


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "UPSTREAM_PART_BYTES", PART)
        yield


class Top:
    """The top node's side. ``told``: deposits that it said to be complete; ``accepts``: it judges at once."""

    def __init__(self, data: Path, files: Files | None = None, *, accepts: bool = True, free: int = 1 << 40) -> None:
        self.data, self.accepts, self.free = data, accepts, free
        self.told: list[str] = []
        self.heard: list[messages.Question] = []
        self.restart(files)

    def restart(self, files: Files | None = None) -> None:
        self.desk = DepositDesk(self.data, RECIPIENT, self._tell, files=files, free=lambda _: self.free)

    def _tell(self, node: str, deposit: str) -> None:
        self.told.append(deposit)
        if self.accepts:
            self.judge(node, deposit)

    def judge(self, node: str, deposit: str) -> None:
        try:
            list(open_items(self.desk.folder(node, deposit), kit.OPENER, node))
        except DepositError as error:
            self.desk.set_verdict(node, deposit, accepted=False, zh="不行", en=error.rule)
        else:
            self.desk.set_verdict(node, deposit, accepted=True, zh="好", en="good")

    def ask(self, question: messages.Question) -> messages.Answer:
        """As octets, both ways."""
        question = form.decode(form.encode(question))  # type: ignore[assignment]
        self.heard.append(question)
        return form.decode(form.encode(self.answer(question)))  # type: ignore[return-value]

    def answer(self, question: messages.Question) -> messages.Answer:
        match question:
            case messages.Deposit():
                return self.desk.deposit(kit.NODE, kit.PREFIX, question)
            case messages.DepositFile():
                return self.desk.deposit_file(kit.NODE, question)
            case messages.DepositAsk():
                return self.desk.ask(kit.NODE, question)
        raise AssertionError(question)

    @property
    def folder(self) -> Path:
        return self.data / "deposits" / kit.NODE

    def here(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir() and path.name[0] != ".")


def same(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    return names == sorted(path.name for path in other.iterdir()) and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names
    )


@pytest.fixture
def week(tmp_path: Path) -> list[tuple[Path, Head]]:
    return kit.week(tmp_path / "out")


@pytest.fixture
def top(tmp_path: Path) -> Top:
    return Top(tmp_path / "top")


# --- what goes well ---
def test_deposits_go_up_in_order_and_are_accepted(week: list[tuple[Path, Head]], top: Top) -> None:
    """Octet by octet; each is told of once; then nothing is said any more."""
    paths = [path for path, _ in week]
    sender = Sender(*reversed(paths))
    sender.run(top.ask)
    assert sender.stages() == ["accepted"] * 4
    assert sender.kept[paths[0].name] == DepositSent("accepted", "好", "good")
    assert all(same(path, top.folder / path.name) for path in paths)
    assert top.told == [path.name for path in paths]
    assert {len(each.data) for each in top.heard if isinstance(each, messages.DepositFile)} > {PART}
    said = len(top.heard)
    sender.restart()
    sender.run(top.ask)
    assert len(top.heard) == said
    assert not top.desk.waiting()


def test_a_verdict_is_waited_for_and_kept(week: list[tuple[Path, Head]], top: Top) -> None:
    """Asked for once a minute, over restarts of both; rejected with the words, and what was rejected is removed."""
    top.accepts = False
    path = week[0][0]
    sender = Sender(path)
    sender.run(top.ask)
    assert sender.stages() == ["waiting"]
    said = len(top.heard)
    sender.run(top.ask)
    assert len(top.heard) == said
    sender.restart()
    top.restart()
    assert top.desk.waiting() == [(kit.NODE, path.name)]
    top.desk.set_verdict(kit.NODE, path.name, accepted=False, zh="不" * 900, en="no\n")
    with pytest.raises(KeyError):
        top.desk.set_verdict(kit.NODE, path.name, accepted=True, zh="", en="")
    sender.later(limits.ESCROW_ASK_MS)
    sender.run(top.ask)
    assert sender.kept[path.name] == DepositSent("rejected", "不" * 500, "no")
    assert not top.desk.waiting()
    assert top.here() == []
    assert top.ask(messages.Deposit((path / HEAD).read_bytes())) == messages.Wanted(True, "", 0, "")


def test_older_fulls_are_removed(tmp_path: Path, week: list[tuple[Path, Head]], top: Top) -> None:
    """Two FULLs and what builds on them stay; verdicts of the others too."""
    more = [kit.write(tmp_path / "out", kit.full(200 + days, days=days))[0] for days in (7, 14)]
    for path in [*(path for path, _ in week), *more]:
        Sender(path).run(top.ask)
    assert top.here() == sorted(path.name for path in more)
    assert top.desk.ask(kit.NODE, messages.DepositAsk(week[1][0].name)).verdict == "accepted"


def test_a_newer_full_goes_first(tmp_path: Path, week: list[tuple[Path, Head]], top: Top) -> None:
    """What a DIFF that cannot be read kept waiting is overtaken by the next FULL."""
    (week[1][0] / "0001.vol").unlink()
    sender = Sender(*(path for path, _ in week))
    sender.run(top.ask)
    assert top.here() == [week[0][0].name]
    assert "0001.vol" in sender.kept[week[1][0].name].fault
    assert len(sender.kept) == 2
    newest = kit.write(tmp_path / "out", kit.full(200, days=7))[0]
    sender.folders[newest.name] = newest
    sender.run(top.ask)
    assert top.here() == [week[0][0].name, newest.name]


# --- cut, damaged, full ---
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.1, 0.5]))
@settings(max_examples=12, deadline=None)
def test_it_goes_on_wherever_it_is_cut(seed: int, loss: float) -> None:
    """Questions and answers are lost, both sides restart: it arrives whole, and nothing is sent that is there."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        top = Top(Path(name) / "top")
        path, head = kit.write(Path(name) / "out", kit.full())
        sender = Sender(path)

        def ask(question: messages.Question) -> messages.Answer:
            if chance.random() < loss / 2:
                raise UpstreamError("lost on its way")
            answer = top.ask(question)
            if chance.random() < loss / 2:
                raise UpstreamError("its answer was lost")
            return answer

        for _ in range(2_000):
            try:
                if not sender.courier.step(ask, sender.now):
                    break
            except UpstreamError:
                if chance.random() < 0.3:
                    sender.restart()
                if chance.random() < 0.3:
                    top.restart()
        assert sender.stages() == ["accepted"]
        assert same(path, top.folder / path.name)
        parts = [(each.path, each.offset) for each in top.heard if isinstance(each, messages.DepositFile)]
        assert len(set(parts)) == sum(-(-volume.octets // PART) for volume in head.volumes)


class Failing(Files):
    """Each operation fails once, at a count: before it is done, or after."""

    def __init__(self, calls: int, *, after: bool) -> None:
        self.calls, self.after = calls, after

    @contextmanager
    def _one(self) -> Iterator[None]:
        self.calls -= 1
        if self.calls == -1 and not self.after:
            raise OSError("to fail")
        yield
        if self.calls == -1:
            raise OSError("to fail")

    def rename(self, beside: Path, path: Path) -> None:
        with self._one():
            super().rename(beside, path)

    def sync_folder(self, folder: Path) -> None:
        with self._one():
            super().sync_folder(folder)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        with self._one():
            super().write_at(path, offset, data)


@pytest.mark.parametrize("after", [False, True])
def test_a_disk_that_fails_loses_nothing(tmp_path: Path, after: bool) -> None:
    """Each operation of the top node fails once; it is started anew, and the deposit arrives whole."""
    path, _ = kit.write(tmp_path / "out", kit.full())
    for calls in range(100):
        top = Top(tmp_path / f"top{calls}", Failing(calls, after=after), accepts=False)
        sender, failed = Sender(path), False
        for _ in range(200):
            try:
                if not sender.courier.step(top.ask, sender.now):
                    break
            except OSError:
                failed = True
                top.restart()
                sender.restart()
        top.restart()
        assert top.desk.waiting() == [(kit.NODE, path.name)]
        assert same(path, top.folder / path.name)
        if not failed:
            assert calls > 10
            return
    raise AssertionError


def test_a_damaged_volume_is_thrown_away_and_named(week: list[tuple[Path, Head]], top: Top) -> None:
    """It does not arrive as it was signed; put right, it does."""
    path = week[0][0]
    volume = path / "0001.vol"
    octets = volume.read_bytes()
    volume.write_bytes(octets[:-1] + bytes((octets[-1] ^ 1,)))
    sender = Sender(path)
    sender.run(top.ask)
    assert "0001.vol" in sender.kept[path.name].fault
    assert not list(top.folder.glob(".part/*.file"))
    volume.write_bytes(octets)
    sender.run(top.ask)
    assert sender.stages() == [""]
    sender.later()
    sender.run(top.ask)
    assert sender.stages() == ["accepted"]


def test_room_is_bounded(tmp_path: Path, week: list[tuple[Path, Head]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Number, octets, disk: the deposit waits with its fault, and goes when there is room."""
    for setting, value, free in (
        ("ESCROW_NODE_DEPOSITS_MAX", 0, 1 << 40), ("ESCROW_NODE_BYTES_MAX", 50, 1 << 40), ("ESCROW_TRIES", 8, 50)
    ):  # fmt: skip
        top = Top(tmp_path / setting, free=free)
        sender = Sender(week[0][0])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, setting, value)
            sender.run(top.ask)
            assert sender.kept[week[0][0].name].fault
            assert not top.folder.exists()
        top.free = 1 << 40
        sender.courier.hurry()
        sender.run(top.ask)
        assert sender.stages() == ["accepted"]
    monkeypatch.setattr(limits, "ESCROW_VERDICTS_MAX", 2)
    for days in range(20, 26):
        head = kit.diff(week[0][1]._replace(deposit="20200101T000000Z-full"), 200, days=days)
        Sender(kit.write(tmp_path / "out", head)[0]).run(top.ask)
    assert len(list(top.folder.glob("*.verdict"))) == 3  # and that of what is here


# --- whoever lies ---
def test_what_can_never_be_used_is_rejected_before_it_is_sent(tmp_path: Path, top: Top) -> None:
    """A DIFF without its FULL; a deposit for another key."""
    other = X25519Recipient(kit.OTHER_SECRET.public_key())
    for path, word in (
        (kit.week(tmp_path / "out")[1][0], "send a FULL"),
        (kit.write(tmp_path / "other", kit.full(), recipient=other)[0], "not encrypted for the key"),
    ):
        sender = Sender(path)
        sender.run(top.ask)
        assert sender.stages() == ["rejected"]
        assert word in sender.kept[path.name].en
    assert not [each for each in top.heard if isinstance(each, messages.DepositFile)]
    assert not top.told


def test_a_head_that_is_not_the_node_s_is_refused(tmp_path: Path, week: list[tuple[Path, Head]], top: Top) -> None:
    """Another signer, another prefix, altered, none; another deposit under an id that is known."""
    path = week[0][0]
    octets = (path / HEAD).read_bytes()
    Sender(path).run(top.ask)
    wrong = {
        "another node": (kit.write(tmp_path / "x", kit.full(), signer=kit.OTHER_SIGNER)[0] / HEAD).read_bytes(),
        "There was another": (kit.write(tmp_path / "y", kit.full(7))[0] / HEAD).read_bytes(),
        "no good signature": octets.replace(b'"watermark":100', b'"watermark":101'),
        "cannot be read": b"",
        "larger": bytes(limits.ESCROW_HEAD_BYTES_MAX + 1),
    }
    for word, head in wrong.items():
        answer = top.ask(messages.Deposit(head))
        assert isinstance(answer, messages.Wanted)
        assert not answer.have
        assert word in answer.fault
    answer = top.desk.deposit(kit.NODE, "88.119", messages.Deposit(octets))
    assert "not the prefix" in answer.fault
    assert top.here() == [path.name]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_sender_that_lies_gains_nothing(data: st.DataObject) -> None:
    """Any parts in any order: nothing is taken but what was signed, nothing lies elsewhere, and the rest goes on."""
    with tempfile.TemporaryDirectory() as name:
        top = Top(Path(name) / "top", accepts=False)
        path, head = kit.write(Path(name) / "out", kit.full())
        ids = st.sampled_from([head.deposit, "../../x", "", "20200101T000000Z-full"])
        paths = st.sampled_from(["0001.vol", "0002.vol", HEAD, "../x.vol", "/etc/passwd", ".file", "9999.vol"])
        lies = st.builds(
            messages.DepositFile, ids, paths, st.sampled_from([0, 1, PART, 2 * PART, 2**62]),
            st.binary(max_size=PART + 5), st.booleans(),
        )  # fmt: skip
        top.ask(messages.Deposit((path / HEAD).read_bytes()))
        for lie in data.draw(st.lists(st.one_of(lies, st.builds(messages.DepositAsk, ids)), max_size=12)):
            answer = top.ask(lie)
            assert not (isinstance(answer, messages.Wanted) and answer.have)
        outside = [each for each in Path(name).rglob("*") if each.is_file() and path not in each.parents]
        assert all(each.parent == top.folder / ".part" for each in outside)
        sender = Sender(path)
        sender.run(top.ask)
        sender.later()
        sender.run(top.ask)
        assert sender.stages() == ["waiting"]
        assert same(path, top.folder / head.deposit)


@given(answers=st.lists(st.one_of(
    st.builds(messages.Wanted, st.booleans(), st.sampled_from(["", "0001.vol", "0009.vol", HEAD, "../../k"]),
              st.integers(0, 2**63 - 1) | st.integers(0, 120), st.sampled_from(["", "a fault"])),
    st.builds(messages.DepositVerdict, st.sampled_from(["unknown", "waiting", "rejected", "?"]), st.text(), st.text()),
), min_size=1, max_size=6))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_top_node_that_lies_is_left_alone(answers: list[messages.Answer]) -> None:
    """Whatever it says, over and over: it ends, and nothing but volumes of the deposit is ever sent."""
    with tempfile.TemporaryDirectory() as name:
        path, _ = kit.write(Path(name), kit.full())
        octets = {each.name: each.read_bytes() for each in path.glob("*.vol")}
        sender = Sender(path)
        count = 0

        def ask(question: messages.Question) -> messages.Answer:
            nonlocal count
            count += 1
            if isinstance(question, messages.DepositFile):
                end = question.offset + len(question.data)
                assert octets[question.path][question.offset : end] == question.data
            return answers[count % len(answers)]

        for _ in range(200):
            try:
                if not sender.courier.step(ask, sender.now):
                    break
            except WireError:
                break
        else:
            raise AssertionError("it never ends")


def test_nothing_but_volumes_is_read(week: list[tuple[Path, Head]]) -> None:
    """A top node that asks for another file gets none."""
    sender = Sender(week[0][0])
    heard: list[messages.Question] = []

    def ask(question: messages.Question) -> messages.Answer:
        heard.append(question)
        return messages.Wanted(False, HEAD, 0, "")

    sender.run(ask)
    assert [type(each) for each in heard] == [messages.Deposit]
    assert HEAD in sender.kept[week[0][0].name].fault


def test_refusals_of_a_deposit_are_its_fault(week: list[tuple[Path, Head]]) -> None:
    """A top node without an escrow key: named, tried again in an hour. One that does not know the node: told on."""
    sender = Sender(week[0][0])

    def without_key(_: messages.Question) -> messages.Answer:
        raise RefusalError("no key", rule="no-escrow-key")

    def unknown(_: messages.Question) -> messages.Answer:
        raise RefusalError("who", rule="not-enrolled")

    with pytest.raises(RefusalError):
        sender.run(unknown)
    sender.run(without_key)
    assert sender.kept[week[0][0].name] == DepositSent(
        fault="no key", next_ms=Millis(kit.START + limits.ESCROW_RETRY_MS)
    )


def test_a_deposit_whose_content_is_wrong_is_rejected(tmp_path: Path, top: Top) -> None:
    """What the node signed and sent, but that does not open."""
    path, _ = kit.write(tmp_path / "out", kit.full(), [Item("x", b"", kit.noise(200))])
    volume = path / "0001.vol"
    volume.write_bytes(bytes(len(volume.read_bytes())))
    kit.sign_again(path)
    sender = Sender(path)
    sender.run(top.ask)
    assert sender.kept[path.name] == DepositSent("rejected", "不行", "altered")
