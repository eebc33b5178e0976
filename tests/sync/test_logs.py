"""Logs go up: checkpoints are witnessed, months arrive whole through whatever happens, and nothing private leaves."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checkpoint import cosignature_time, parse_checkpoint
from audit.files import Files
from audit.note import ed25519_key, open_note, witness_key
from audit.tile import WIDTH, bundle_path, tile_path, tiles_between
from audit.verify import verify
from audit.verify.trust import Keys
from core import limits
from core.clock import Millis, UnixSeconds
from core.errors import WireError
from core.store.upstream_rows import LogSent, pack_logs, unpack_logs
from core.streams import Stream
from sync import form, messages
from sync.logs import LogCourier
from sync.topnode.logs import LogDesk, LogNode
from tests.kit.log_folders import LogFolder, document
from tests.kit.sequencing import HOST, PUBLIC, Rows, Segment, entry_of, run_out, sequencer_of

NODE = "0123456789abcdef" * 2
OTHER = "f" * 32
NOW = Millis(1_790_000_000_000)
TOP = Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
KEY = witness_key("top.example/w", TOP.public_key().public_bytes_raw())
VKEY = ed25519_key(f"{HOST}/log/change/2026-09", PUBLIC).vkey
LOG_NODE = LogNode(NODE, HOST, (VKEY,))
MONTHS = ("2026-09", "2026-10", "2026-11")
LEAVES = 1_300  # of the middle month: five bundles and a part of one
BIG = 20_000  # octets of an entry: a bundle of them takes several parts


class Top:
    """The top node's side of the exchange. ``heard``: all that came."""

    def __init__(self, data: Path, node: LogNode = LOG_NODE, files: Files | None = None) -> None:
        self.data = data
        self.node = node
        self.desk = LogDesk(data, KEY, TOP.sign, files)
        self.heard: list[messages.Question] = []

    def ask(self, question: messages.Question) -> messages.Answer:
        """As octets, both ways: what cannot travel is found."""
        question = form.decode(form.encode(question))  # type: ignore[assignment]
        self.heard.append(question)
        return form.decode(form.encode(self.answer(question)))  # type: ignore[return-value]

    def answer(self, question: messages.Question) -> messages.Answer:
        match question:
            case messages.Checkpoint():
                return self.desk.checkpoint(self.node, question, UnixSeconds(NOW // 1_000))
            case messages.Month():
                return self.desk.month(self.node, question)
            case messages.MonthFile():
                return self.desk.month_file(self.node, question)
        raise AssertionError(question)

    def folder(self, log: str) -> Path:
        return self.data / "months" / NODE / log


class Sender:
    """The node's side: what is kept is the row alone; ``restart`` begins anew with it."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.row: bytes | None = None
        self.now = NOW
        self.restart()

    def restart(self) -> None:
        self.courier = LogCourier(self.log, unpack_logs(self.row), self._keep)

    def _keep(self, sent: object) -> None:
        self.row = pack_logs(sent)  # type: ignore[arg-type]

    @property
    def sent(self) -> dict[str, LogSent]:
        return unpack_logs(self.row)

    @property
    def faults(self) -> dict[str, str]:
        return {log: each.fault for log, each in self.sent.items() if each.fault}

    def run(self, ask: Callable[[messages.Question], messages.Answer]) -> int:
        """Step until nothing is left to say; return how many steps said something."""
        for count in itertools.count():
            assert count < 5_000
            if not self.courier.step(ask, self.now):
                return count
        raise AssertionError

    def later(self, milliseconds: int = limits.UPSTREAM_LOG_RETRY_MS) -> None:
        self.now = Millis(self.now + milliseconds)


def make(log: Path, stream: Stream = Stream.CHANGE, leaves: int = LEAVES) -> dict[str, LogFolder]:
    """Three months of a stream; the last one goes on. In the middle one a bundle takes several parts."""
    made: dict[str, LogFolder] = {}
    before = b""
    for month in MONTHS:
        folder = made[month] = LogFolder(log, stream, month, before=before)
        count = leaves if month == MONTHS[1] else 4
        folder.entries(*(
            document(stream, number, "record.change", f"88.118.7/S{number}" + "x" * (BIG if 300 < number < 420 else 0))
            for number in range(1, count)
        ))  # fmt: skip
        before = folder.checkpoint
    return made


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = tmp_path_factory.mktemp("pattern") / "log"
    make(log)
    return log


@pytest.fixture
def log(pattern: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    shutil.copytree(pattern, tmp_path / "node" / "log")
    return tmp_path / "node" / "log"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def final_files(folder: Path) -> dict[str, bytes]:
    """Return what a month has at its end, without the partial tiles of its earlier days."""
    size = parse_checkpoint(open_note((folder / "checkpoint").read_bytes(), ()).text).size
    names = ["checkpoint", "vkey"]
    for level, number, width in tiles_between(0, size):
        names += [tile_path(level, number, width)] + ([] if level else [bundle_path(number, width)])
    return {name: (folder / name).read_bytes() for name in names}


def assert_arrived(log: Path, top: Top, *names: str) -> None:
    """What is above is what is below, octet by octet, and an auditor with the node's key finds nothing."""
    for name in names:
        assert files_of(top.folder(name)) == final_files(log / name), name
    report = verify(top.data / "months" / NODE, Keys((PUBLIC,)))
    assert report.ok, report.text()
    assert sum(map(len, report.streams.values())) == len(names)
    assert not [path for path in top.data.rglob(".*") if path.name != "."]


# --- checkpoints ---
def test_a_log_that_grows_is_witnessed(tmp_path: Path) -> None:
    """Each new checkpoint, with its proof; not before its time; nothing where there is nothing new."""
    made = LogFolder(tmp_path / "log", Stream.CHANGE, "2026-11")
    top, sender = Top(tmp_path / "top"), Sender(tmp_path / "log")
    for count in (2, 1, 300, 7):
        made.entries(*(document(Stream.CHANGE, at, "record.change", f"88.118.7/S{at}") for at in range(count)))
        assert sender.run(top.ask) == 1
        assert sender.run(top.ask) == 0
        assert sender.sent["change/2026-11"] == LogSent(len(made.leaves), sender.now)
        made.entries(document(Stream.CHANGE, 0, "record.change", "88.118.7/more"))
        assert sender.run(top.ask) == 0
        sender.later(limits.UPSTREAM_CHECKPOINT_MS)
    (held,) = (top.data / "witness").glob("*/checkpoint")
    opened = open_note(held.read_bytes(), [made.key, KEY])
    assert set(opened.signed_by) == {made.key, KEY}
    assert cosignature_time(opened, KEY) == NOW // 1_000


def test_another_history_is_refused_and_told(log: Path, tmp_path: Path) -> None:
    """Of two histories of one log the second is never cosigned, whatever its size; other logs go on."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    sender.run(top.ask)
    for leaves in (3, 4, 9):
        fork = LogFolder(tmp_path / f"fork{leaves}", Stream.CHANGE, "2026-11")
        fork.entries(*(document(Stream.CHANGE, at, "record.delete", "88.118.7/X") for at in range(1, leaves)))
        forked = Sender(tmp_path / f"fork{leaves}")
        forked.run(top.ask)
        assert ("回退" if leaves == 3 else "分叉") in forked.faults["change/2026-11"], leaves
        assert forked.sent["change/2026-11"].size == 0
        heard = len(top.heard)
        assert forked.run(top.ask) == 0  # it waits
        forked.courier.hurry()
        assert forked.run(top.ask)
        assert len(top.heard) > heard
    (rolled_back := Sender(log)).row = pack_logs({"change/2026-11": LogSent(9)})
    rolled_back.restart()
    rolled_back.run(top.ask)
    assert "回退" in rolled_back.faults["change/2026-11"]
    assert rolled_back.sent["change/2026-10"].complete


def test_where_both_sides_differ_about_what_is_held(log: Path, tmp_path: Path) -> None:
    """A sender that forgot goes on from the size that the top node tells; a top node that forgot gets all again."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    sender.run(top.ask)
    full = sender.sent
    sender.row = None
    sender.restart()
    heard = len(top.heard)
    sender.run(top.ask)
    assert sender.sent == full
    assert not [each for each in top.heard[heard:] if isinstance(each, messages.MonthFile)]
    empty = Top(tmp_path / "empty")
    LogFolder.entries(grow(log), document(Stream.CHANGE, 9, "record.change", "88.118.7/S9"))
    sender.later(limits.UPSTREAM_CHECKPOINT_MS)
    sender.run(empty.ask)
    assert not sender.faults
    assert_arrived(log, empty, "change/2026-09", "change/2026-10")


def grow(log: Path) -> LogFolder:
    """Return the newest month as one that can be published on: it is made anew, the same."""
    before = (log / "change/2026-10/checkpoint").read_bytes()
    shutil.rmtree(log / "change/2026-11")
    made = LogFolder(log, Stream.CHANGE, "2026-11", before=before)
    made.entries(*(document(Stream.CHANGE, at, "record.change", f"88.118.7/S{at}") for at in range(1, 4)))
    return made


@pytest.mark.parametrize(
    "node",
    [
        LogNode(NODE, "other.example", (VKEY,)),
        LogNode(NODE, HOST, (ed25519_key("x", bytes(range(32))).vkey,)),
        LogNode(NODE, f"{HOST}/log/change", (VKEY,)),
        LogNode(NODE, "", (VKEY,)),
        LogNode(NODE, HOST, ("nonsense",)),
        LogNode(NODE, HOST, ()),
    ],
)  # fmt: skip
def test_the_logs_of_others_are_none_of_the_node(node: LogNode, log: Path, tmp_path: Path) -> None:
    """A host that the node did not name, a key that is not its own: refused, with a fault; no file is made."""
    top, sender = Top(tmp_path / "top", node), Sender(log)
    sender.run(top.ask)
    assert set(sender.faults) == {f"change/{month}" for month in MONTHS}
    question = messages.Month("change", "2026-09", (log / "change/2026-09/checkpoint").read_bytes())
    answer = top.ask(question)
    assert isinstance(answer, messages.Wanted)
    assert answer.fault and not answer.have and not answer.path
    assert not list((top.data / "witness").iterdir())
    assert not (top.data / "months").exists()


def test_a_host_belongs_to_the_node_that_was_first(log: Path, tmp_path: Path) -> None:
    """Another node that names the same host and key gets no checkpoint and no month taken."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    sender.run(top.ask)
    thief = Sender(log)
    other = Top(tmp_path / "top", LogNode(OTHER, HOST, (VKEY,)))
    thief.run(other.ask)
    assert len(thief.faults) == len(MONTHS)
    answer = other.ask(messages.Month("change", "2026-09", (log / "change/2026-09/checkpoint").read_bytes()))
    assert isinstance(answer, messages.Wanted)
    assert answer.fault
    assert not (top.data / "months" / OTHER).exists()


# --- months ---
def test_a_month_arrives_whole(log: Path, tmp_path: Path) -> None:
    """Those that are over, every file; the one that goes on stays. Parts have at most a MiB. Then there is silence."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    sender.run(top.ask)
    assert not sender.faults
    assert {log: sent.complete for log, sent in sender.sent.items()} == {
        "change/2026-09": True, "change/2026-10": True, "change/2026-11": False,
    }  # fmt: skip
    assert_arrived(log, top, "change/2026-09", "change/2026-10")
    parts = [each for each in top.heard if isinstance(each, messages.MonthFile)]
    assert max(len(each.data) for each in parts) == limits.UPSTREAM_PART_BYTES
    assert sum(not each.last for each in parts) >= 2
    assert len({each.path for each in parts if each.month == "2026-10"}) == len(final_files(log / "change/2026-10")) - 1
    sender.later()
    assert sender.run(top.ask) == 0


@pytest.mark.parametrize("leaves", [1, 2, 255, 256, 257, 511, 512, 65_536, 65_792 + 3])
def test_trees_of_each_shape(leaves: int, tmp_path: Path) -> None:
    """One tile and many, full and partial, two levels and three."""
    log = tmp_path / "log"
    first = LogFolder(log, Stream.CHANGE, "2026-09")
    first.publish(*(b"{}" for _ in range(leaves - 1)))
    LogFolder(log, Stream.CHANGE, "2026-10", before=first.checkpoint)
    top, sender = Top(tmp_path / "top"), Sender(log)
    sender.run(top.ask)
    assert sender.sent["change/2026-09"].complete
    assert files_of(top.folder("change/2026-09")) == final_files(log / "change/2026-09")


class LostError(Exception):
    """Nothing comes back."""


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), bad=st.floats(0, 0.7))
def test_whatever_happens_on_the_way(seed: int, bad: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Questions and answers are lost, come twice or again later, files get torn, both sides end: all arrives."""
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("way")
    make(folder / "log", leaves=chance.choice((1, 200, 256, 700)))
    top, sender = Top(folder / "top"), Sender(folder / "log")
    for _ in range(5_000):
        try:
            if not sender.courier.step(lambda question: unreliable(top, question, chance, bad), sender.now):
                break
        except (LostError, WireError):
            pass
        if chance.random() < bad / 5:
            sender.restart()
        if chance.random() < bad / 5:
            top.desk = LogDesk(top.data, KEY, TOP.sign)
    else:
        raise AssertionError("it does not end")
    sender.courier.hurry()
    sender.run(top.ask)
    assert not sender.faults
    assert_arrived(folder / "log", top, "change/2026-09", "change/2026-10")


def unreliable(top: Top, question: messages.Question, chance: random.Random, bad: float) -> messages.Answer:
    """Ask; or lose, repeat, or send again what was sent before, which the top node of the real protocol would not."""
    if chance.random() >= bad:
        return top.ask(question)
    match chance.randrange(5):
        case 0:
            raise LostError
        case 1:
            top.ask(question)
            raise LostError
        case 2:
            top.ask(question)
        case 3 if top.heard:
            top.ask(chance.choice(top.heard))
        case _ if isinstance(question, messages.MonthFile) and question.data:
            cut = chance.randrange(len(question.data))
            top.ask(question._replace(data=question.data[:cut], last=False))
            raise LostError
    return top.ask(question)


class FailingFiles(Files):
    """The disk, until it fails: before or after one operation, for good."""

    def __init__(self, after: int, done: bool) -> None:
        self.left, self._done = after, done

    def _fail(self, what: Callable[[], object]) -> object:
        self.left -= 1
        if self.left > 0:
            return what()
        if not self.left and self._done:
            what()
        raise OSError("the disk")

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> Path:
        beside = self._fail(lambda: super(FailingFiles, self).write(path, data, mode))
        assert isinstance(beside, Path)
        return beside

    def rename(self, beside: Path, path: Path) -> None:
        self._fail(lambda: super(FailingFiles, self).rename(beside, path))

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        self._fail(lambda: super(FailingFiles, self).write_at(path, offset, data))

    def sync_folder(self, folder: Path) -> None:
        self._fail(lambda: super(FailingFiles, self).sync_folder(folder))


@pytest.mark.parametrize("done", [False, True])
def test_the_disk_above_fails_at_any_step(done: bool, tmp_path: Path) -> None:
    """Before or after each operation on a file; a new top node on what is left takes the rest."""
    log = tmp_path / "log"
    before = LogFolder(log, Stream.CHANGE, "2026-09")
    before.publish(*(b"x" * 6_000 for _ in range(WIDTH)))  # a bundle of two parts, and a part of one
    LogFolder(log, Stream.CHANGE, "2026-10", before=before.checkpoint)
    for after in itertools.count(8):
        top, sender = Top(tmp_path / f"top{after}"), Sender(log)
        top.desk = LogDesk(top.data, KEY, TOP.sign, failing := FailingFiles(after, done))
        try:
            sender.run(top.ask)
        except OSError:
            sender.run(Top(top.data).ask)
        assert not sender.faults, after
        assert files_of(top.folder("change/2026-09")) == final_files(log / "change/2026-09"), after
        if failing.left > 0:
            break
    assert after > 40


PATHS = [
    tile_path(1, 0, 5), tile_path(0, 5, 20), tile_path(0, 0), tile_path(0, 4), bundle_path(0), bundle_path(1),
    bundle_path(5, 20), "vkey",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("how", ["flipped", "cut", "longer", "gone", "empty"])
def test_what_is_damaged_below_is_named_and_goes_once_it_is_repaired(
    path: str, how: str, log: Path, tmp_path: Path
) -> None:
    """The file is named; no octet of it stays above; the other month arrives."""
    place = log / "change/2026-10" / path
    good = place.read_bytes()
    spoilt = {
        "flipped": good[:40] + bytes([good[40] ^ 1]) + good[41:], "cut": good[:-2], "longer": good + b"\0",
        "empty": b"",
    }  # fmt: skip
    place.unlink() if how == "gone" else place.write_bytes(spoilt[how])
    top, sender = Top(tmp_path / "top"), Sender(log)
    sender.run(top.ask)
    edge = path in PATHS[:2]
    assert set(sender.faults) - {"change/2026-09"} == {"change/2026-10"}
    fault = sender.faults["change/2026-10"]
    thrown_away = edge and how == "flipped"  # which file of the edge is wrong, nobody knows
    assert ("丢弃" in fault) is thrown_away
    assert path in fault or thrown_away
    sent = {each.path for each in top.heard if isinstance(each, messages.MonthFile) and each.month == "2026-10"}
    assert not edge or sent <= set(PATHS[:2])  # nothing is taken behind it
    assert ((top.data / "months" / NODE / "change" / ".2026-10.part").exists()) is not thrown_away
    assert not top.folder("change/2026-10").exists()
    first = path == bundle_path(0) and how in ("flipped", "empty")  # it shows that the month before is at its end
    assert sender.sent["change/2026-09"].complete is not first
    place.write_bytes(good)
    assert sender.run(top.ask) == 0  # it waits
    sender.later()
    sender.run(top.ask)
    assert not sender.faults
    assert_arrived(log, top, "change/2026-09", "change/2026-10")


@pytest.mark.parametrize("path", PATHS[:4])
def test_what_is_damaged_above_is_thrown_away_and_comes_again(path: str, log: Path, tmp_path: Path) -> None:
    """A tile that lies above, before the month is complete: nothing is proven by it, and all comes again."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    part = top.data / "months" / NODE / "change" / ".2026-10.part"
    while not (part / bundle_path(1)).exists():
        assert sender.courier.step(top.ask, sender.now)
    octets = (part / path).read_bytes()
    (part / path).write_bytes(octets[:33] + bytes([octets[33] ^ 1]) + octets[34:])
    if path == PATHS[2]:
        (part / bundle_path(0)).unlink()
    if path == PATHS[3]:
        (part / bundle_path(4)).unlink(missing_ok=True)
    sender.run(top.ask)
    assert "重新接收" in sender.faults["change/2026-10"]
    assert not part.exists()
    sender.later()
    sender.run(top.ask)
    assert_arrived(log, top, "change/2026-09", "change/2026-10")


def test_what_comes_is_never_more_than_a_file_can_be(log: Path, tmp_path: Path) -> None:
    """A part beyond the length of its file is refused, one beside what comes next changes nothing."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    while not [each for each in top.heard if isinstance(each, messages.Month)]:
        sender.courier.step(top.ask, sender.now)
    month = next(each for each in top.heard if isinstance(each, messages.Month))
    wanted = top.ask(month)
    assert isinstance(wanted, messages.Wanted)
    part = messages.MonthFile("change", month.month, wanted.path, 0, b"x" * 8_193, False)
    told = top.ask(part)
    assert isinstance(told, messages.Wanted)
    assert told.fault
    for other in (
        part._replace(path="../../../x"), part._replace(path="vkey"), part._replace(offset=5), part._replace(data=b""),
    ):  # fmt: skip
        assert top.ask(other) == wanted
    for nowhere in (part._replace(month="../x"), part._replace(stream="x"), part._replace(stream="registration")):
        assert top.ask(nowhere) == messages.Wanted(False, "", 0, "")
    sender.run(top.ask)
    assert_arrived(log, top, "change/2026-09", "change/2026-10")


def test_a_month_is_taken_with_the_checkpoint_that_was_cosigned(log: Path, tmp_path: Path) -> None:
    """Not before it was, and not with an older one."""
    top = Top(tmp_path / "top")
    made = LogFolder(tmp_path / "log", Stream.CHANGE, "2026-09")
    early = messages.Month("change", "2026-09", made.checkpoint)
    assert "签署" in fault_of(top, early)  # nothing of this host is known
    other = LogFolder(tmp_path / "log", Stream.CHANGE, "2026-10")
    sender = Sender(tmp_path / "log2")
    shutil.copytree(other.folder, tmp_path / "log2/change/2026-10")
    sender.run(top.ask)
    assert "见证" in fault_of(top, early)
    made.entries(document(Stream.CHANGE, 1, "record.change", "88.118.7/S1"))
    shutil.copytree(made.folder, tmp_path / "log2/change/2026-09")
    sender.courier.step(top.ask, sender.now)
    assert sender.sent["change/2026-09"].size == 2
    assert "见证" in fault_of(top, early)
    assert not fault_of(top, messages.Month("change", "2026-09", made.checkpoint))


def fault_of(top: Top, question: messages.Question) -> str:
    """Return what is wrong with it, as the top node says; empty for nothing."""
    answer = top.ask(question)
    assert isinstance(answer, messages.Wanted)
    return answer.fault


def test_throwing_away_may_end_anywhere(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of it is nothing: the month comes anew, whole."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    part = top.data / "months" / NODE / "change" / ".2026-10.part"
    while not (part / bundle_path(1)).exists():
        assert sender.courier.step(top.ask, sender.now)
    (part / tile_path(0, 1)).write_bytes(bytes(8_192))

    def ends(folder: Path) -> None:
        (folder / tile_path(0, 0)).unlink()
        raise OSError("the power")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="the power"):
        patch.setattr(shutil, "rmtree", ends)
        (part / bundle_path(1)).unlink()
        sender.run(top.ask)
    assert part.exists() and not (part / "checkpoint").exists()
    sender.restart()
    sender.run(top.ask)
    assert not sender.faults
    assert_arrived(log, top, "change/2026-09", "change/2026-10")


def test_a_month_that_is_complete_stays_what_it_is(log: Path, tmp_path: Path) -> None:
    """A longer history of it is no part of the log any more; nor is a month that goes on from another end of it."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    sender.run(top.ask)
    shutil.rmtree(log)
    made = make(log)
    made["2026-09"].entries(document(Stream.CHANGE, 1, "record.change", "88.118.7/late"))
    late = LogFolder(tmp_path / "late", Stream.CHANGE, "2026-10", before=made["2026-09"].checkpoint)
    shutil.rmtree(log / "change/2026-10")
    shutil.move(late.folder, log / "change/2026-10")
    forked = Sender(log)
    forked.run(top.ask)
    assert "2026-09 is complete with another checkpoint" in forked.faults["change/2026-09"]
    assert set(forked.faults) == {"change/2026-09", "change/2026-10"}


def test_months_that_do_not_follow_one_another(log: Path, tmp_path: Path) -> None:
    """One that comes disagrees with one that is here, about the end of the earlier one: whichever came first."""
    made = make(tmp_path / "other", leaves=3)
    made["2026-09"].entries(document(Stream.CHANGE, 1, "record.change", "88.118.7/late"))
    longer = tmp_path / "longer"
    shutil.copytree(made["2026-09"].folder, longer / "change/2026-09")
    shutil.copytree(log / "change/2026-11", longer / "change/2026-11")
    shutil.rmtree(log / "change/2026-09")
    for number, (first, second, taken, refused, why) in enumerate((
        (log, longer, "change/2026-10", "change/2026-09", "begins behind another checkpoint"),
        (longer, log, "change/2026-09", "change/2026-10", "is not the checkpoint that 2026-09 is complete with"),
    )):  # fmt: skip
        top = Top(tmp_path / f"top{number}")
        (before := Sender(first)).run(top.ask)
        (after := Sender(second)).run(top.ask)
        assert before.sent[taken].complete
        assert why in after.faults[refused]
        assert not top.folder(refused).exists()


def test_a_month_whose_end_is_not_the_beginning_of_the_next_stays(log: Path, tmp_path: Path) -> None:
    """It is not final; a month that was dropped meanwhile is nobody's business; the rest goes."""
    shutil.rmtree(log / "change/2026-09")
    strange = LogFolder(log, Stream.CHANGE, "2026-09")
    strange.entries(document(Stream.CHANGE, 1, "record.change", "88.118.7/other"))
    top, sender = Top(tmp_path / "top"), Sender(log)
    sender.run(top.ask)
    assert "The first entry of change/2026-10" in sender.faults["change/2026-09"]
    assert sender.sent["change/2026-10"].complete
    shutil.rmtree(log / "change/2026-09")
    sender.later()
    sender.run(top.ask)
    assert set(sender.courier.sent) == {"change/2026-10", "change/2026-11"}


def test_a_month_that_is_dropped_on_its_way(log: Path, tmp_path: Path) -> None:
    """The folder goes between two parts: nothing is said of it any more, and nothing is wrong."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    while not any(isinstance(each, messages.MonthFile) and each.month == "2026-10" for each in top.heard):
        assert sender.courier.step(top.ask, sender.now)
    shutil.rmtree(log / "change/2026-10")
    sender.run(top.ask)
    assert "change/2026-10" not in sender.courier.sent
    assert not sender.faults
    assert not top.folder("change/2026-10").exists()


# --- a top node that is not as it should be ---
@pytest.mark.parametrize(
    "answer",
    [
        messages.Wanted(False, "../../../keys/node.pem", 0, ""),
        messages.Wanted(False, "../2026-11/checkpoint", 0, ""),
        messages.Wanted(False, "/etc/passwd", 0, ""),
        messages.Wanted(False, "", 0, ""),
        messages.Wanted(False, "tile/0/999", 0, ""),
        messages.Wanted(False, "vkey", 2**62, ""),
        messages.Wanted(False, "vkey", 0, ""),
        messages.Wanted(False, "tile/entries/000", 0, "no"),
    ],
)  # fmt: skip
def test_a_top_node_that_asks_for_nonsense(answer: messages.Wanted, log: Path, tmp_path: Path) -> None:
    """Nothing but what is published of that month leaves; it is told; it ends, and checkpoints go on."""
    top, sender = Top(tmp_path / "top"), Sender(log)
    said: list[messages.Question] = []

    def ask(question: messages.Question) -> messages.Answer:
        said.append(question)
        return top.ask(question) if isinstance(question, messages.Checkpoint) else answer

    sender.run(ask)
    assert set(sender.faults) == {"change/2026-09", "change/2026-10"}
    vkey = (log / "change/2026-10/vkey").read_bytes()
    others = [each for each in said if isinstance(each, messages.MonthFile)]
    assert {each.path for each in others} <= {"vkey"}
    assert not others or len(vkey) > max(len(each.data) for each in others) / 2
    assert len(said) <= 3 + 2 * (limits.UPSTREAM_LOG_TRIES + 1)


@pytest.mark.parametrize(
    "answer",
    [
        messages.Cosigned(409, b"7777777\n"), messages.Cosigned(409, b"x"), messages.Cosigned(409, b"0\n"),
        messages.Cosigned(500, b""), messages.Cosigned(403, b"\xff"), messages.Cosigned(422, b""),
        messages.Wanted(True, "", 0, ""), messages.Refusal("x", "x", "x", 0),
    ],
)  # fmt: skip
def test_a_top_node_that_answers_checkpoints_with_nonsense(answer: messages.Answer, log: Path) -> None:
    """Nothing counts as sent; it ends."""
    sender = Sender(log)
    for _ in range(4 * limits.UPSTREAM_LOG_TRIES):
        try:
            if not sender.courier.step(lambda _: answer, sender.now):
                break
        except WireError:
            pass
    assert not any(each.size or each.complete for each in sender.sent.values())


# --- the sequencer's own folder ---
def test_what_is_private_never_leaves(tmp_path: Path) -> None:
    """A data folder as the sequencer leaves it, three months of all streams: spool, clients, journal of pending work
    stay; all that is published goes.
    """
    data, rows = tmp_path / "data", Rows()
    september, month = 1_788_300_000_000, 30 * 86_400_000
    sequencer = sequencer_of(data, rows)
    for at in range(3):
        now = september + at * month
        segment = Segment(data, f"w{at}", now)
        segment.add(now, *(f"88.118.7/R{at}-{number}" for number in range(700)))
        segment.end()
        for stream in (Stream.REGISTRATION, Stream.CHANGE, Stream.MAINTENANCE):
            rows.add(now, *(entry_of(f"{stream.value}-{at}-{number}", stream) for number in range(30)))
        run_out(sequencer, now)
    sequencer.close()
    secret = data / "log" / "change" / min(path.name for path in (data / "log/change").iterdir())
    (secret / "notes.txt").write_text("secret")
    (secret / "tile" / "0" / "link").symlink_to(data / "log.pending")
    top, sender = Top(tmp_path / "top"), Sender(data / "log")
    sender.run(top.ask)
    assert not sender.faults
    complete = [log for log, sent in sender.sent.items() if sent.complete]
    assert len(complete) == 8
    (secret / "notes.txt").unlink()
    (secret / "tile" / "0" / "link").unlink()
    assert_arrived(data / "log", top, *complete)
    kept = b"".join(path.read_bytes() for path in top.data.rglob("*") if path.is_file())
    keys = [path.read_bytes() for path in (data / "clients").rglob("key")]
    assert len(keys) == 3
    assert not [key for key in keys if key in kept]
    assert bytes.fromhex("c0000207") not in kept  # the address, raw
    assert b"192.0.2.7" not in kept
