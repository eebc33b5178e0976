"""Questions to the logs: the same answers with a mirror, with half of one, with a broken one, and with none."""

from __future__ import annotations

import ipaddress
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.clients import client_of
from audit.entry import dump
from audit.mirror import Comparison, bring_up_to_date, visible
from audit.mirror_files import HOUR_MS, good_parts
from audit.query import LogReader
from audit.question import Question, QuestionError, name_identifiers, read_network
from audit.reading import LogReadError, open_month
from core import limits
from core.clock import month_start
from core.errors import Outcome
from core.events import PROTOCOLS, Via
from core.ident.handle import HandleRules
from core.streams import Stream
from tests.kit.log_folders import LogFolder, document, row, write_months_key

MONTHS = ("2026-10", "2026-11")
START = month_start("2026-11")
END = START + 40 * HOUR_MS
KEY = bytes(range(32))
IDENTIFIERS = (
    b"88.1/SKU01", b"88.1/sku01", b"88.1/SKU02", b"88.1/L1ABCDEFGHJK", b"88.10/SKU01", b"88.1", b"0.NA/88.1",
    b"0.na/88.1", b"88.2/\xe7\x9b\x90", b"88.2/\xff\xfe", b"88.2/a\tb\nc\\'\"", b"=1+1/x", b"", b"/", b"88.1/",
)  # fmt: skip
ADDRESSES = ("192.0.2.1", "192.0.2.200", "192.0.3.1", "2001:db8:1::7", "2001:db8:1:5::7", "2001:db8:2::7", "")
NETWORKS = (
    "192.0.2.1", "192.0.2.0/25", "192.0.2.128/25", "192.0.2.0/24", "192.0.0.0/16", "0.0.0.0/0", "2001:db8:1::7",
    "2001:db8:1::/48", "2001:db8::/32", "::/0", "::ffff:192.0.2.1", "198.51.100.0/24",
)  # fmt: skip
NAMES = (
    "88.1/SKU01", "88.1/sku01", "88.1/SKU09", "88.1", "88.2", "88.10", "0.NA/88.1", "0.NA", "0.na", "88.2/盐",
    "88.2/a\tb\nc\\'\"", "=1+1", "/", "88.1/",
)  # fmt: skip
VIAS = (Via.JSON, Via.PAGE, Via.HANDLE_UDP, Via.HANDLE_TCP)
OUTCOMES = (Outcome.OK, Outcome.HANDLE_NOT_FOUND)


class Said(NamedTuple):
    """A resolution as it was made up, and where it should stand."""

    month: str
    leaf: int
    row: int
    at_ms: int
    via: Via
    outcome: Outcome
    address: str
    identifier: bytes


class Made(NamedTuple):
    """A data folder and all that its resolution log says."""

    data: Path
    said: list[Said]
    folders: list[LogFolder]


def comparison(*, case_sensitive: bool = False) -> Comparison:
    return Comparison(HandleRules(case_sensitive=case_sensitive).fold, case_sensitive)


def mirrored(made: Made, *, case_sensitive: bool = False, now_ms: int = END) -> int:
    return bring_up_to_date(made.data / "log", made.data / "mirror", comparison(case_sensitive=case_sensitive), now_ms)


def make(data: Path, seed: int, halfway: Callable[[Made], Any] = lambda _: None) -> Made:
    """Make two months of resolutions. ``halfway``: is called when the log is half as long."""
    chance = random.Random(seed)
    made = Made(data, [], [])
    for number, month in enumerate(MONTHS):
        before = made.folders[0].checkpoint if made.folders else b""
        folder = LogFolder(data / "log", Stream.RESOLUTION, month, before=before, clients_key=KEY)
        write_months_key(data, month, KEY)
        made.folders.append(folder)
        for block in range(14):
            at = START + (block - 14 * (1 - number)) * HOUR_MS // 3 + chance.choice((0, 0, -2 * HOUR_MS, HOUR_MS))
            grow(made, folder, at, chance, chance.randrange(1, 6))
            if (number, block) == (1, 6):
                halfway(made)
    return made


def grow(made: Made, folder: LogFolder, at: int, chance: random.Random, count: int) -> None:
    said = [
        Said(
            folder.month, len(folder.leaves), number, at + number, chance.choice(VIAS), chance.choice(OUTCOMES),
            chance.choice(ADDRESSES), chance.choice(IDENTIFIERS),
        )
        for number in range(count)
    ]  # fmt: skip
    rows = [row(s.identifier, via=s.via, outcome=s.outcome, address=s.address) for s in said]
    folder.resolutions([s.at_ms for s in said], rows)
    made.said.extend(said)


# --- what a plain filter says ------------------------------------------------
class Asked(NamedTuple):
    """A question, as the command line takes it."""

    since_ms: int = 0
    until_ms: int = END
    name: str | None = None
    network: str | None = None
    protocol: str | None = None
    outcome: str | None = None

    def question(self, *, case_sensitive: bool = False) -> Question:
        fold = comparison(case_sensitive=case_sensitive).fold
        return Question(
            self.since_ms, self.until_ms, None if self.name is None else name_identifiers(self.name, fold),
            None if self.network is None else read_network(self.network), self.protocol, self.outcome,
        )  # fmt: skip


def filtered(made: Made, asked: Asked) -> list[tuple[str, int, int]]:
    return [(s.month, s.leaf, s.row) for s in made.said if holds(s, asked)]


def holds(said: Said, asked: Asked) -> bool:
    handle = said.identifier.upper()
    handle = handle if b"/" in handle else b"0.NA/" + handle
    named = True
    if asked.name is not None:
        name = asked.name.encode().upper()
        named = handle == name if b"/" in name else handle.startswith(name + b"/") or handle == b"0.NA/" + name
    inside = True
    if asked.network is not None:
        network = ipaddress.ip_network(asked.network.replace("::ffff:", ""))
        inside = bool(said.address) and ipaddress.ip_address(said.address) in network
    protocol = PROTOCOLS[said.via]
    return (
        asked.since_ms <= said.at_ms < asked.until_ms
        and named
        and inside
        and asked.outcome in (None, said.outcome.value)
        and (asked.protocol is None or protocol == asked.protocol or protocol.startswith(f"{asked.protocol}/"))
    )


def found(made: Made, asked: Asked) -> list[tuple[str, int, int | None]]:
    reader = LogReader(made.data, comparison())
    return [(f.month, f.leaf, f.row) for f in reader.find(Stream.RESOLUTION, asked.question())]


def damage(made: Made) -> None:
    """Break the mirror in every way: half a file, none, other octets inside, a foreign file, another range."""
    parts = sorted((made.data / "mirror").rglob("*.parquet"))
    assert len(parts) > 4
    parts[0].write_bytes(parts[0].read_bytes()[:-20])
    parts[1].unlink()
    octets = parts[2].read_bytes()
    parts[2].write_bytes(octets[:4] + bytes(len(octets) - 8) + octets[-4:])
    parts[3].write_bytes(parts[4].read_bytes()[:9])
    (parts[4].parent / "0-1.parquet").write_bytes(b"PAR1PAR1")
    first, end, *others = parts[4].stem.split("-")
    parts[4].rename(parts[4].with_name("-".join((first, str(int(end) + 1), *others)) + ".parquet"))


@pytest.fixture(scope="module", params=["none", "half", "all", "broken", "other log", "other case"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    data = tmp_path_factory.mktemp("it's [1] log")
    match request.param:
        case "none":
            return make(data, 1)
        case "half":
            return make(data, 2, mirrored)
        case "other log":
            other = make(tmp_path_factory.mktemp("other"), 4)
            mirrored(other)
            shutil.copytree(other.data / "mirror", data / "mirror")
            return make(data, 5)
    log = make(data, 3, mirrored)
    mirrored(log, case_sensitive=request.param == "other case")
    if request.param == "broken":
        damage(log)
    return log


maybe = st.none()
times = st.integers(START - 6 * HOUR_MS, START + 8 * HOUR_MS)
questions = st.builds(
    lambda a, b, *rest: Asked(min(a, b), max(a, b) + 1, *rest),
    times, times | st.just(END), maybe | st.sampled_from(NAMES), maybe | st.sampled_from(NETWORKS),
    maybe | st.sampled_from(("udp", "tcp", "http", "http/json", "http/page")),
    maybe | st.sampled_from([outcome.value for outcome in OUTCOMES]),
)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=questions)
def test_the_answer_is_that_of_a_plain_filter(made: Made, asked: Asked) -> None:
    """Whatever the mirror is worth: no leaf twice, none missed, in the order of the log."""
    assert found(made, asked) == filtered(made, asked)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_found(made: Made, name: str) -> None:
    """Every identifier and prefix alone, over all the time."""
    asked = Asked(name=name)
    assert found(made, asked) == filtered(made, asked)


def test_the_next_run_mends_the_mirror(made: Made) -> None:
    """Afterwards its files stand for every leaf, nothing else lies there, and another run makes nothing."""
    mirrored(made)
    mirrored(made)  # joins what the first one added to hours that are over
    for folder in made.folders:
        log = opened(folder)
        place = made.data / "mirror" / "resolution" / folder.month
        parts = good_parts(log, place, case_sensitive=False)
        assert [part.first for part in parts[1:]] == [part.end for part in parts[:-1]]
        assert (parts[0].first, parts[-1].end) == (0, log.size)
        assert {path for path in place.rglob("*") if path.is_file()} == {part.path(place) for part in parts}
    assert mirrored(made) == 0
    asked = Asked(name="88.1")
    assert found(made, asked) == filtered(made, asked)


def opened(folder: LogFolder) -> Any:
    log = open_month(folder.folder.parent.parent, folder.stream, folder.month)
    assert log is not None
    return log


# --- files of the mirror -----------------------------------------------------
def test_an_hour_that_is_over_becomes_one_file_unless_it_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the one that is not stays as it grew."""
    folder = LogFolder(tmp_path / "log", Stream.RESOLUTION, "2026-11", clients_key=KEY)
    made = Made(tmp_path, [], [folder])
    chance = random.Random(7)

    def parts() -> list[tuple[int, int, int]]:
        place = tmp_path / "mirror" / "resolution" / "2026-11"
        return [tuple(part[:3]) for part in good_parts(opened(folder), place, case_sensitive=False)]  # type: ignore[misc]

    for number in range(3):
        grow(made, folder, START + number, chance, 4)
        mirrored(made, now_ms=START + number)
    assert parts() == [(0, 2, 4), (2, 3, 4), (3, 4, 4)]
    mirrored(made, now_ms=START + HOUR_MS - 1)
    assert len(parts()) == 3
    monkeypatch.setattr(limits, "MIRROR_FILE_ROWS", 8)
    mirrored(made, now_ms=START + HOUR_MS)
    assert parts() == [(0, 3, 8), (3, 4, 4)]
    assert mirrored(made, now_ms=START + HOUR_MS) == 0
    monkeypatch.undo()
    mirrored(made, now_ms=START + HOUR_MS)
    assert parts() == [(0, 4, 12)]


def test_a_month_that_was_dropped_leaves_the_mirror(tmp_path: Path) -> None:
    """Retention drops the log; the mirror of it is not asked, and goes."""
    made = make(tmp_path, 8)
    mirrored(made)
    shutil.rmtree(made.folders[0].folder)
    asked = Asked(name="88.1")
    left = [each for each in filtered(made, asked) if each[0] == MONTHS[1]]
    assert found(made, asked) == left
    mirrored(made)
    assert [each.name for each in (tmp_path / "mirror" / "resolution").iterdir()] == [MONTHS[1]]


@given(st.binary(max_size=20), st.text(max_size=4))
def test_what_begins_alike_is_written_alike(octets: bytes, text: str) -> None:
    """So a prefix is a range of keys in the mirror, and no cell holds a tab or a line feed."""
    begin = text.encode() + b"/"
    assert visible(begin + octets).startswith(visible(begin))
    assert visible(octets).isprintable()


# --- a log that grows, and one that is damaged -------------------------------
def test_a_log_that_grows_is_read_as_it_was_opened(tmp_path: Path) -> None:
    """Partial tiles that a full one replaced are looked up there; what came later is the next reader's."""
    folder = LogFolder(tmp_path / "log", Stream.RESOLUTION, "2026-11")
    made = Made(tmp_path, [], [folder])
    chance = random.Random(9)
    for number in range(250):
        grow(made, folder, START + number, chance, 1)
    log = opened(folder)
    reading: Iterator[tuple[int, bytes]] = log.leaves()
    assert [next(reading) for _ in range(3)] == list(enumerate(folder.leaves[:3]))
    before = Asked()
    answer = iter(LogReader(tmp_path, comparison()).find(Stream.RESOLUTION, before.question()))
    first = next(answer)
    for number in range(300):
        grow(made, folder, START + 1_000 + number, chance, 1)
    folder.remove_partials()
    assert [leaf for _, leaf in opened(folder).leaves()] == folder.leaves
    assert [leaf for _, leaf in log.pick(range(log.size))] == folder.leaves[: log.size]
    assert len([first, *answer]) == 250
    assert found(made, before) == filtered(made, before)


@pytest.mark.parametrize("harm", ["missing", "short", "torn", "leaf"])
def test_a_damaged_log_is_named_and_never_answered_in_part(tmp_path: Path, harm: str) -> None:
    """The file or the leaf is told."""
    folder = LogFolder(tmp_path / "log", Stream.RESOLUTION, "2026-11")
    made = Made(tmp_path, [], [folder])
    for number in range(4):
        grow(made, folder, START + number, random.Random(number), 2)
    bundle = folder.folder / "tile" / "entries" / "000.p" / "5"
    match harm:
        case "missing":
            bundle.unlink()
        case "short":
            bundle.write_bytes((folder.folder / "tile" / "entries" / "000.p" / "4").read_bytes())
        case "torn":
            bundle.write_bytes(bundle.read_bytes()[:-1])
        case "leaf":
            bundle.write_bytes(bundle.read_bytes()[:-8] + bytes(8))
    with pytest.raises(LogReadError, match="leaf 4|Leaf 4" if harm == "leaf" else "000.p/5"):
        found(made, Asked())


# --- the other streams, clients ----------------------------------------------
def test_entries_of_the_other_logs_are_found(tmp_path: Path) -> None:
    """By object, time, client, protocol and outcome; the month's first leaf is no entry."""
    folder = LogFolder(tmp_path / "log", Stream.CHANGE, "2026-11", clients_key=KEY)
    write_months_key(tmp_path, "2026-11", KEY)
    hashed = client_of(KEY, ipaddress.ip_address("192.0.2.1").packed).hashed.hex()
    ours = {"client": hashed, "net": "192.0.2.0/24"}
    entries = [
        document(Stream.CHANGE, START + 1, "record.change", "88.1/sku01", **ours),
        document(Stream.CHANGE, START + 2, "prefix.suspend", "88.1", reason='a "t":"2030-01-01T00:00:00.000Z"'),
        document(Stream.CHANGE, START + 3, "party.amend", "P000001", outcome="forbidden", protocol="local"),
    ]
    folder.entries(*entries)
    reader = LogReader(tmp_path, comparison())

    def listed(asked: Asked) -> list[int]:
        told = list(reader.find(Stream.CHANGE, asked.question()))
        assert all(dump(each.document) == folder.leaves[each.leaf] and each.row is None for each in told)
        return [each.leaf for each in told]

    assert listed(Asked()) == [1, 2, 3]
    assert listed(Asked(since_ms=START + 2, until_ms=START + 3)) == [2]
    assert listed(Asked(name="88.1/SKU01")) == [1]
    assert listed(Asked(name="88.1")) == [1, 2]
    assert listed(Asked(name="P000001")) == [3]
    assert listed(Asked(network="192.0.2.1")) == [1]
    assert listed(Asked(network="192.0.2.2")) == []
    assert listed(Asked(network="192.0.0.0/8".replace("/8", "/16"))) == [1]
    assert listed(Asked(protocol="local")) == [3]
    assert listed(Asked(protocol="http")) == [1, 2]
    assert listed(Asked(outcome="forbidden")) == [3]


def test_without_the_months_key_the_network_is_told_and_said_so(tmp_path: Path) -> None:
    """An address cannot be told from its neighbours any more."""
    made = make(tmp_path, 11)
    shutil.rmtree(tmp_path / "clients" / MONTHS[0])
    notes: list[str] = []
    reader = LogReader(tmp_path, comparison(), notes.append)
    told = [(f.month, f.leaf, f.row) for f in reader.find(Stream.RESOLUTION, Asked(network="192.0.2.1").question())]
    wide, narrow = filtered(made, Asked(network="192.0.2.0/24")), filtered(made, Asked(network="192.0.2.1"))
    assert told == [each for each in wide if each[0] == MONTHS[0]] + [each for each in narrow if each[0] == MONTHS[1]]
    assert [note[:7] for note in notes] == [MONTHS[0]]


@pytest.mark.parametrize("text", ["2001:db8::/49", "2001:db8::/127", "example.cn", "192.0.2.0/33", ""])
def test_what_no_log_can_tell_is_refused(text: str) -> None:
    """Networks of IPv6 that are narrower than what is kept; what is no network."""
    with pytest.raises(QuestionError):
        read_network(text)


def test_where_case_matters_it_matters_here(tmp_path: Path) -> None:
    """The suffix is compared as it was asked, the prefix is folded."""
    folder = LogFolder(tmp_path / "log", Stream.RESOLUTION, "2026-11")
    folder.resolutions([START] * 4, [row(each) for each in ("a.1/x", "A.1/x", "A.1/X", "0.na/a.1")])
    made = Made(tmp_path, [], [folder])
    reader = LogReader(tmp_path, comparison(case_sensitive=True))
    for _ in range(2):
        for name, rows in (("A.1/x", [0, 1]), ("a.1/X", [2]), ("a.1", [0, 1, 2, 3]), ("0.NA/A.1", [3])):
            asked = Asked(name=name).question(case_sensitive=True)
            assert [f.row for f in reader.find(Stream.RESOLUTION, asked)] == rows, name
        mirrored(made, case_sensitive=True)
