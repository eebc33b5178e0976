"""The verifier: what it believes, and every way to deceive it. An independent verifier looks at the same logs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from audit.checkpoint import parse_checkpoint
from audit.merkle import leaf_hash
from audit.note import ed25519_key, open_note
from audit.tile import WIDTH, Edge, bundle_path, pack_bundle, tile_path, unpack_bundle
from audit.verify import Report, read_keys, verify
from audit.verify.trust import Keys
from core.streams import Stream
from tests.kit import logcheck
from tests.kit.log_folders import SEED, LogFolder, document

OTHER_SEED = bytes(range(1, 33))
MONTHS = ("2026-09", "2026-10", "2026-11")
LEAVES = 600  # of the middle month: two bundles and a part of one, two levels
CHANGED = "change/2026-10"


class Logs(NamedTuple):
    """A folder ``log``, the keys that an auditor was given, and a checkpoint that he kept."""

    log: Path
    vkey: Path
    kept: Path

    @property
    def keys(self) -> Keys:
        return read_keys(self.vkey.read_text())

    @property
    def month(self) -> Path:
        return self.log / CHANGED

    def verify(self, *, by_checkpoint: bool = False) -> Report:
        known = [(str(self.kept), self.kept.read_bytes())] if by_checkpoint else []
        return verify(self.log, self.keys, known)


def some(count: int, stream: Stream = Stream.CHANGE) -> list[dict[str, object]]:
    return [document(stream, number, "record.change", f"88.118.7/S{number}") for number in range(count)]


def make(folder: Path) -> Logs:
    """Two streams of three months; an auditor kept the checkpoint of the middle month before it was over."""
    log, kept = folder / "log", folder / "kept"
    for stream in (Stream.CHANGE, Stream.MAINTENANCE):
        before = b""
        for month in MONTHS:
            made = LogFolder(log, stream, month, before=before)
            middle = f"{stream.value}/{month}" == CHANGED
            made.entries(*some(LEAVES // 2 if middle else 3, stream))
            if middle:
                kept.write_bytes(made.checkpoint)
                made.entries(*some(LEAVES - len(made.leaves), stream))
            before = made.checkpoint
    (folder / "keys").write_text(f"{made.key.vkey}\n")
    return Logs(log, folder / "keys", kept)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    return make(tmp_path_factory.mktemp("pattern"))


@pytest.fixture
def logs(pattern: Logs, tmp_path: Path) -> Logs:
    """A copy that may be spoilt."""
    shutil.copytree(pattern.log.parent, tmp_path, dirs_exist_ok=True)
    return Logs(tmp_path / "log", tmp_path / "keys", tmp_path / "kept")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = logcheck.build(tmp_path_factory.mktemp("go"))
    if built is None:
        pytest.skip(logcheck.MISSING)
    return built


def leaves_of(month: Path) -> list[bytes]:
    """Return all leaves of a month as its checkpoint counts them."""
    size = parse_checkpoint(open_note((month / "checkpoint").read_bytes(), ()).text).size
    leaves: list[bytes] = []
    for number in range(-(-size // WIDTH)):
        leaves += unpack_bundle((month / bundle_path(number, min(WIDTH, size - number * WIDTH))).read_bytes())
    return leaves


def leaves_there(month: Path) -> list[bytes]:
    """Return all leaves that the widest bundles hold, whatever the checkpoint says."""
    leaves: list[bytes] = []
    for number in range(LEAVES // WIDTH + 2):
        widths = [width for width in range(WIDTH, 0, -1) if (month / bundle_path(number, width)).exists()]
        if widths:
            leaves += unpack_bundle((month / bundle_path(number, widths[0])).read_bytes())
    return leaves


def write_tiles(month: Path, leaves: list[bytes], *, bundles: bool = True, levels: bool = True) -> bytes:
    """Write what leaves make over what is there, but for the checkpoint; return the root."""
    edge, tiles = Edge().grow(map(leaf_hash, leaves))
    octets = {tile_path(*place): data for place, data in tiles} if levels else {}
    for start in range(0, len(leaves), WIDTH) if bundles else ():
        entries = leaves[start : start + WIDTH]
        octets[bundle_path(start // WIDTH, len(entries))] = pack_bundle(entries)
    for path, data in octets.items():
        (month / path).parent.mkdir(parents=True, exist_ok=True)
        (month / path).write_bytes(data)
    return edge.root()


def sign_again(month: Path, leaves: list[bytes], seed: bytes, stream: Stream = Stream.CHANGE) -> None:
    """Make the whole month anew of these leaves, signed by a key; its vkey, too."""
    shutil.rmtree(month)
    made = LogFolder(month.parent.parent, stream, month.name, seed=seed, before=leaves[0])
    made.publish(*leaves[1:])


# --- tamperings (facts: transparency-log §3): each changes the middle month ---


def alter_an_entry(logs: Logs) -> None:
    path = logs.month / bundle_path(1)
    entries = unpack_bundle(path.read_bytes())
    entries[7] = entries[7].replace(b"Li", b"Wu")
    path.write_bytes(pack_bundle(entries))


def alter_an_entry_and_its_hash(logs: Logs) -> None:
    alter_an_entry(logs)
    entries = unpack_bundle((logs.month / bundle_path(1)).read_bytes())
    (logs.month / tile_path(0, 1)).write_bytes(b"".join(map(leaf_hash, entries)))


def alter_a_branch(logs: Logs) -> None:
    alter_an_entry(logs)
    write_tiles(logs.month, leaves_of(logs.month))


def drop_the_tail(logs: Logs) -> None:
    leaves = leaves_of(logs.month)[:-100]
    shutil.rmtree(logs.month / "tile")
    write_tiles(logs.month, leaves)


def drop_the_files_of_the_tail(logs: Logs) -> None:
    (logs.month / bundle_path(2, LEAVES - 2 * WIDTH)).unlink()


def swap_two_entries(logs: Logs) -> None:
    leaves = leaves_of(logs.month)
    leaves[5], leaves[300] = leaves[300], leaves[5]
    write_tiles(logs.month, leaves, levels=False)


def swap_two_entries_and_hashes(logs: Logs) -> None:
    leaves = leaves_of(logs.month)
    leaves[5], leaves[300] = leaves[300], leaves[5]
    write_tiles(logs.month, leaves)


def add_an_entry(logs: Logs) -> None:
    leaves = leaves_of(logs.month)
    shutil.rmtree(logs.month / "tile")
    write_tiles(logs.month, leaves[:9] + leaves[8:])


def remove_an_entry(logs: Logs) -> None:
    leaves = leaves_of(logs.month)
    del leaves[9]
    write_tiles(logs.month, leaves)


TAMPERINGS: dict[str, tuple[Callable[[Logs], None], str]] = {
    "an entry": (alter_an_entry, f"{CHANGED}/tile/0/001 index 263"),
    "an entry and its level-0 hash": (alter_an_entry_and_its_hash, f"{CHANGED}/tile/1/000.p/2 index 256–511"),
    "a whole branch": (alter_a_branch, f"{CHANGED}/checkpoint"),
    "a dropped tail": (drop_the_tail, f"{CHANGED}/tile/entries/002.p/88"),
    "a dropped tail, its entries alone": (drop_the_files_of_the_tail, f"{CHANGED}/tile/entries/002.p/88"),
    "two entries swapped": (swap_two_entries, f"{CHANGED}/tile/0/000 index 5"),
    "two entries and their hashes swapped": (swap_two_entries_and_hashes, f"{CHANGED}/checkpoint"),
    "an entry more": (add_an_entry, f"{CHANGED}/tile/entries/002.p/88"),
    "an entry less": (remove_an_entry, f"{CHANGED}/checkpoint"),
}
every_tampering = pytest.mark.parametrize("name", TAMPERINGS)


def test_an_honest_log_verifies(pattern: Logs) -> None:
    """All of it, each stream, each month, and by a checkpoint that was kept."""
    report = pattern.verify(by_checkpoint=True)
    assert report.problems == []
    assert report.document()["ok"]
    assert {stream: list(months) for stream, months in report.streams.items()} == {
        "change": list(MONTHS), "maintenance": list(MONTHS),
    }  # fmt: skip
    told = report.streams["change"]["2026-10"]
    assert (told["size"], told["entries"], told["signed"], told["trusted"]) == (LEAVES, LEAVES - 1, True, True)
    assert report.streams["change"]["2026-09"]["entries"] == 3
    assert "key given" in report.trust
    for part in ("change", CHANGED, "maintenance/2026-09"):
        alone = verify(pattern.log / part, pattern.keys)
        assert alone.problems == [], part
    assert "chain of months was not checked" in " ".join(alone.notes)


def test_without_a_key_it_is_consistent_with_itself_only(pattern: Logs) -> None:
    """Said in the result and in the notes; and by a checkpoint something else."""
    report = verify(pattern.log)
    assert report.ok
    assert "consistent with itself only" in report.trust
    assert any("consistent with itself only" in note for note in report.notes)
    assert not report.streams["change"]["2026-10"]["trusted"]
    assert report.streams["change"]["2026-10"]["signed"]
    assert verify(pattern.log, None, [("kept", pattern.kept.read_bytes())]).trust != report.trust


@every_tampering
def test_every_tampering_is_caught_and_its_place_named(logs: Logs, name: str) -> None:
    """Without a key, too: the checkpoint beside it says otherwise."""
    tamper, where = TAMPERINGS[name]
    tamper(logs)
    assert where in [problem.where for problem in logs.verify().problems]
    assert where in [problem.where for problem in verify(logs.log).problems]
    assert where in [problem.where for problem in verify(logs.month).problems]


@every_tampering
def test_every_tampering_is_caught_if_another_key_signs_it_again(logs: Logs, name: str) -> None:
    """Everything fits then: tiles, root, checkpoint, the key beside it. The key from elsewhere does not."""
    tamper, _ = TAMPERINGS[name]
    tamper(logs)
    sign_again(logs.month, leaves_there(logs.month), OTHER_SEED)
    assert verify(logs.month).ok  # nothing of the month itself shows it
    found = {problem.where: problem.what for problem in verify(logs.month, logs.keys).problems}
    assert "another key" in found[f"{CHANGED}/vkey"]
    assert "not signed by a trusted key" in found[f"{CHANGED}/checkpoint"]
    assert not verify(logs.log).ok  # and the next month names another checkpoint
    shutil.copy(logs.log / "change/2026-09/vkey", logs.month / "vkey")
    assert not verify(logs.month).ok


@every_tampering
def test_the_independent_verifier_catches_the_same(logs: Logs, program: Path, name: str, tmp_path: Path) -> None:
    """Every tampering changes entries, so it does; signed anew by another key, too."""
    vkey = tmp_path / "honest.vkey"
    shutil.copy(logs.month / "vkey", vkey)
    assert logcheck.accepts(program, logs.month, vkey, logs.kept)
    TAMPERINGS[name][0](logs)
    assert not logcheck.accepts(program, logs.month, vkey)
    sign_again(logs.month, some_leaves(), OTHER_SEED)
    assert logcheck.accepts(program, logs.month, logs.month / "vkey")
    assert not logcheck.accepts(program, logs.month, vkey)


def some_leaves() -> list[bytes]:
    return [json.dumps(each).encode() for each in some(5)]


# --- checkpoints and months ---


def put_back(logs: Logs, seed: bytes = SEED) -> bytes:
    """Put the checkpoint of 300 entries back in the newest month, and with it the tiles; return the later one."""
    month = logs.log / "change/2026-11"
    leaves = leaves_of(month)
    later = (month / "checkpoint").read_bytes()
    sign_again(month, leaves[:-1], seed)
    return later


def test_a_checkpoint_that_was_rolled_back_is_caught_by_a_later_one(logs: Logs) -> None:
    """The log itself shows nothing: that is what checkpoints are kept for."""
    later = put_back(logs)
    assert logs.verify().ok
    report = verify(logs.log, logs.keys, [("later", later)])
    assert [problem.where for problem in report.problems] == ["later"]
    assert "rolled back" in report.problems[0].what
    (logs.log / "change/2026-11/checkpoint.cosigned").write_bytes(later)
    assert "rolled back" in logs.verify().problems[0].what
    put_back(logs, OTHER_SEED)
    assert not logs.verify().ok


def test_the_independent_verifier_catches_a_rollback(logs: Logs, program: Path, tmp_path: Path) -> None:
    """By the later checkpoint."""
    (tmp_path / "later").write_bytes(put_back(logs))
    month = logs.log / "change/2026-11"
    assert not logcheck.accepts(program, month, month / "vkey", tmp_path / "later")


def test_a_checkpoint_of_a_month_that_is_over_cannot_be_put_back(logs: Logs) -> None:
    """The month after it says how it ended; what reaches behind the checkpoint shows it, too."""
    shutil.copy(logs.kept, logs.month / "checkpoint")
    report = logs.verify()
    assert any("rolled back" in problem.what and "2026-11" in problem.what for problem in report.problems)
    assert any("the month is over" in problem.what for problem in report.problems)


def test_a_fork_is_caught_by_a_checkpoint_that_was_kept(logs: Logs, program: Path, tmp_path: Path) -> None:
    """Another history of the newest month, signed by the node's own key."""
    month = logs.log / "change/2026-11"
    vkey = tmp_path / "vkey"
    shutil.copy(month / "vkey", vkey)
    kept, leaves = (month / "checkpoint").read_bytes(), leaves_of(month)
    (tmp_path / "one").write_bytes(kept)
    for grown in (0, 5):
        sign_again(month, [*leaves[:-1], b'{"other":1}', *some_leaves()[:grown]], SEED)
        assert logs.verify().ok
        report = verify(logs.log, logs.keys, [("kept", kept)])
        assert [problem.where for problem in report.problems] == ["kept"]
        assert "different people were shown different logs" in report.problems[0].what
        assert not logcheck.accepts(program, month, vkey, tmp_path / "one")
        (month / "checkpoint.cosigned").write_bytes(kept)
        assert any("checkpoint.cosigned" in problem.where for problem in logs.verify().problems)


@pytest.mark.parametrize("month", MONTHS[:2])
def test_a_month_that_is_missing_is_named(logs: Logs, month: str) -> None:
    """The oldest one, and one in the middle."""
    shutil.rmtree(logs.log / "change" / month)
    found = [problem for problem in logs.verify().problems if problem.where.endswith("index 0")]
    assert [f"change/{month}" in problem.what and "missing" in problem.what for problem in found] == [True]


def test_the_newest_month_is_missed_by_a_checkpoint_of_it(logs: Logs) -> None:
    """And by the other streams, which go on. Nothing else could show it."""
    kept = (logs.log / "change/2026-11/checkpoint").read_bytes()
    shutil.rmtree(logs.log / "change/2026-11")
    assert verify(logs.log / "change", logs.keys).ok
    found = verify(logs.log / "change", logs.keys, [("kept", kept)]).problems
    assert [problem.where for problem in found] == ["kept"]
    assert "not here" in found[0].what
    found = logs.verify().problems
    assert [problem.where for problem in found] == [CHANGED]
    assert "others go on (maintenance/2026-11)" in found[0].what
    shutil.rmtree(logs.log / "change")
    assert not verify(logs.log, logs.keys, [("kept", kept)]).ok
    (logs.log / "change").mkdir()
    assert [problem.where for problem in logs.verify().problems] == ["change"]


@pytest.mark.parametrize("size", [LEAVES - 50, LEAVES, LEAVES + 50])
@pytest.mark.parametrize("seed", [SEED, OTHER_SEED])
def test_a_month_that_is_replaced_breaks_the_chain(logs: Logs, size: int, seed: bytes) -> None:
    """Even if the node's own key signed it: the next month begins with the checkpoint that it had."""
    leaves = leaves_of(logs.month)
    replaced = [leaves[0], *[json.dumps(each).encode() for each in some(size - 1)]]
    sign_again(logs.month, replaced, seed)
    found = [problem for problem in logs.verify().problems if "begins with" in problem.what]
    assert [problem.where for problem in found] == [f"{CHANGED}/checkpoint"]


def test_a_month_of_another_stream_or_time_in_its_place_is_named(logs: Logs) -> None:
    """Its checkpoint says what it is."""
    shutil.rmtree(logs.month)
    shutil.copytree(logs.log / "maintenance/2026-10", logs.month)
    assert any("replaced" in problem.what for problem in logs.verify().problems)
    assert not verify(logs.month, logs.keys).ok


def test_a_stream_that_begins_again_is_caught(logs: Logs) -> None:
    """A new log.begin in a later month hides what was before."""
    begin = json.dumps(document(Stream.CHANGE, 0, "log.begin", "")).encode()
    month = logs.log / "change/2026-11"
    sign_again(month, [begin, *leaves_of(month)[1:]], SEED)
    found = [problem for problem in logs.verify().problems if problem.where == "change/2026-11 index 0"]
    assert "chain of months is broken" in found[0].what
    for older in MONTHS[:2]:
        shutil.rmtree(logs.log / "change" / older)
    found = logs.verify().problems
    assert [problem.where for problem in found] == ["change/2026-11 index 0"]
    assert "others are older (maintenance/2026-09)" in found[0].what


def test_a_month_that_others_have_just_begun_is_noted(logs: Logs) -> None:
    """Streams go over to a month one behind the other."""
    month = logs.log / "maintenance/2026-11"
    sign_again(month, leaves_of(month)[:1], SEED, Stream.MAINTENANCE)
    shutil.rmtree(logs.log / "change/2026-11")
    report = logs.verify()
    assert report.ok
    assert any("have just begun 2026-11" in note for note in report.notes)


def test_the_first_leaf_is_a_checkpoint_or_the_beginning(logs: Logs) -> None:
    """Anything else is told; so is a leaf that nobody can read, with its index."""
    month = logs.log / "change/2026-11"
    sign_again(month, [b'{"act":"x"}', b"no json", b"[1]"], SEED)
    found = {problem.where: problem.what for problem in verify(logs.log / "change").problems}
    assert "neither" in " ".join(problem.what for problem in logs.verify().problems)
    assert "cannot be read" in found["change/2026-11/tile/entries/000.p/3 index 1"]
    assert "cannot be read" in found["change/2026-11/tile/entries/000.p/3 index 2"]


# --- what was deleted by the rules ---


LATER = "2027-04"  # the first month in which September may go


def dropped(text: str, at: str = "2027-04-01T00:30:00+08:00", target: str = "change/2026-09") -> dict[str, object]:
    told = document(Stream.MAINTENANCE, 0, "log.drop", target, reason=" ".join(text.split()))
    return told | {"t": at}


def drop_a_month(logs: Logs, *entries: dict[str, object]) -> str:
    """Delete September, in a later month; return the text of its checkpoint."""
    text = open_note((logs.log / "change/2026-09/checkpoint").read_bytes(), ()).text
    shutil.rmtree(logs.log / "change/2026-09")
    for stream in (Stream.CHANGE, Stream.MAINTENANCE):
        before = (logs.log / stream.value / "2026-11/checkpoint").read_bytes()
        last = LogFolder(logs.log, stream, LATER, before=before)
    last.publish(*[json.dumps(each).encode() for each in entries or (dropped(text),)])
    return text


def test_a_month_that_was_deleted_on_record_is_in_order(logs: Logs) -> None:
    """Looked up in the maintenance log, also where one stream alone is given."""
    drop_a_month(logs)
    report = logs.verify()
    assert report.problems == []
    assert any("2026-09 was deleted on record" in note for note in report.notes)
    assert verify(logs.log / "change", logs.keys).problems == []
    shutil.rmtree(logs.log / "maintenance")
    found = verify(logs.log / "change", logs.keys).problems
    assert "no maintenance log here" in found[0].what


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (lambda text: dropped(text.replace("\n4\n", "\n5\n")), "not the month that was published"),
        (lambda text: dropped(text, "2027-03-31T23:59:59+08:00"), "before it had been kept for six months"),
        (lambda text: dropped(text, "2027-03-31T15:59:59.999Z"), "before it had been kept for six months"),
        (lambda text: dropped(text, "yesterday"), "time of the deletion cannot be read"),
        (lambda text: dropped(text, "2027-05-01T00:00:00+08:00"), "it is made up"),
        (lambda text: dropped(text) | {"res": {"code": "forbidden", "reason": text}}, "has no entry of its deletion"),
        (lambda text: dropped(text, target="change/2026-10"), "has the checkpoint of another"),
        (lambda text: dropped(text) | {"act": "log.keep"}, "has no entry of its deletion"),
    ],
)  # fmt: skip
def test_a_deletion_that_is_not_in_order_is_told(
    logs: Logs, entry: Callable[[str], dict[str, object]], words: str
) -> None:
    """Another checkpoint, too early (six whole months in Shanghai), no time, another month, another act."""
    text = open_note((logs.log / "change/2026-09/checkpoint").read_bytes(), ()).text
    drop_a_month(logs, entry(text))
    assert words in " ".join(problem.what for problem in logs.verify().problems)


def test_a_deletion_on_record_of_a_month_that_is_here_is_noted(logs: Logs) -> None:
    """It may stop between the two. But the record must fit what is here, and a new beginning hides nothing."""
    aside = logs.log.parent / "aside"
    shutil.copytree(logs.log / "change/2026-09", aside)
    text = drop_a_month(logs)
    shutil.copytree(aside, logs.log / "change/2026-09")
    report = logs.verify()
    assert report.ok
    assert any("yet it is still here" in note for note in report.notes)
    sign_again(logs.log / "change/2026-09", leaves_of(aside)[:-1], SEED)
    assert any("does not fit another checkpoint" in problem.what for problem in logs.verify().problems)
    shutil.rmtree(logs.log / "change/2026-09")
    begin = json.dumps(document(Stream.CHANGE, 0, "log.begin", "")).encode()
    sign_again(logs.month, [begin, *leaves_of(logs.month)[1:]], SEED)
    assert any("history was replaced" in problem.what for problem in logs.verify().problems)
    assert "2026-09" in text


def test_the_maintenance_log_is_never_deleted(logs: Logs) -> None:
    """An entry that says so is a problem itself."""
    text = open_note((logs.log / "maintenance/2026-09/checkpoint").read_bytes(), ()).text
    drop_a_month(logs, dropped(text, target="maintenance/2026-09"))
    assert any("must never be deleted" in problem.what for problem in logs.verify().problems)


# --- what an honest node does ---

OTHER_SEED = bytes(range(1, 33))


def change_the_key(logs: Logs) -> str:
    """Another key from the middle of the last month on, as the sequencer does it; return the keys of both."""
    for stream in (Stream.CHANGE, Stream.MAINTENANCE):
        month = logs.log / stream.value / MONTHS[-1]
        leaves, line = leaves_of(month), (month / "vkey").read_text()
        extra = json.dumps(some(1, stream)[0]).encode()
        sign_again(month, [*leaves, extra], OTHER_SEED, stream)
        (month / "vkey").write_text(line + (month / "vkey").read_text())
        LogFolder(logs.log, stream, "2026-12", seed=OTHER_SEED, before=(month / "checkpoint").read_bytes())
    return str((month / "vkey").read_text())


def test_a_node_that_got_another_key_verifies(logs: Logs) -> None:
    """Within a month and from then on: with both keys, with none, and with an earlier checkpoint; and told."""
    keys = read_keys(change_the_key(logs))
    known = [("kept", logs.kept.read_bytes())]
    for report in (verify(logs.log, keys, known), verify(logs.log), verify(logs.log / "change", keys)):
        assert report.problems == []
        assert any("2 keys" in note for note in report.notes)
        assert all(told["signed"] for told in report.streams["change"].values())
    wrong = [problem.where for problem in verify(logs.log, logs.keys).problems]
    assert "change/2026-11/checkpoint" in wrong  # who has the old key alone does not believe the new one


@pytest.mark.parametrize("text", ["{line}{line}", "{line}\n{line}", "{line} \n", "{line}x\n", "\n", "{many}"])
def test_the_keys_beside_a_log_are_a_line_each(logs: Logs, text: str) -> None:
    """No line twice, none empty, no more than can be."""
    beside = logs.month / "vkey"
    line = beside.read_text()
    many = "".join(f"{ed25519_key(str(number), bytes(32)).vkey}\n" for number in range(65))
    beside.write_text(text.format(line=line, many=many))
    assert [problem.where for problem in logs.verify().problems] == [f"{CHANGED}/vkey"]


def test_a_stream_that_is_not_there_is_told(logs: Logs) -> None:
    """All four begin together; one stream by itself is what was asked for."""
    notes = logs.verify().notes
    assert [note.partition("：")[0] for note in notes] == ["registration", "resolution"]
    shutil.rmtree(logs.log / "change")
    assert any(note.startswith("change：") for note in logs.verify().notes)
    assert not any("not copied" in note for note in verify(logs.log / "maintenance", logs.keys).notes)
