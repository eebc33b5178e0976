"""The files of a packing line: codecs that read any octets, and files that were torn anywhere."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import limits
from core.clock import format_instant, parse_instant
from core.errors import LimitError, NodeError, StoreError, WireError
from core.ident.unitcode import INDEXES_MAX
from node.line import durable
from node.line.camera import Reading, What, parse_reading
from node.line.codes import Code, Codes, pack_code, unpack_code
from node.line.facts import EVENTS, Alarm, End, Entry, Fact, pack_entry, unpack_entry
from node.line.frames import decode_frame, encode_frame
from node.line.shape import Kind, Lot, Span, check_lot, format_serial, join, parse_lot, parse_serial

LOT = Lot("88.118.7/L1", 100, 10, 5)
TIMES = st.integers(0, 2**32 * 1_000 - 1)
SPANS = st.builds(
    lambda first, size: Span(first, min(size, INDEXES_MAX - first)),
    st.integers(0, INDEXES_MAX - 1), st.integers(1, 5_000),
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
ENTRIES: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Fact, st.sampled_from(EVENTS), SPANS, TIMES, st.sampled_from(["", *"ABCDEF"]),
              st.lists(SPANS, max_size=5).map(tuple)),
    st.builds(Alarm, st.text("abc", min_size=1), TIMES, TEXT,
              st.lists(st.integers(0, 2**50 - 1).map(lambda n: format_serial(n, "")), max_size=5).map(tuple)),
    st.builds(End, TIMES),
)  # fmt: skip
SLOW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- codecs -------------------------------------------------------------------


@given(TIMES)
def test_a_time_comes_back(at_ms: int) -> None:
    """To the millisecond."""
    assert parse_instant(format_instant(at_ms)) == at_ms


@pytest.mark.parametrize(
    ("text", "as_utc"),
    [
        ("2026-11-21T16:00:00.5+08:00", "2026-11-21T08:00:00.500Z"),
        ("2026-11-21T08:00:00Z", "2026-11-21T08:00:00.000Z"),
        ("2026-11-21T08:00:00.123456789Z", "2026-11-21T08:00:00.123Z"),
    ],
)
def test_a_time_with_its_zone_is_read(text: str, as_utc: str) -> None:
    """Also of a camera that is set to local time."""
    at_ms = parse_instant(text)
    assert at_ms is not None
    assert format_instant(at_ms) == as_utc


@pytest.mark.parametrize(
    "text", ["", "2026-11-21T08:00:00", "2026-02-31T08:00:00Z", "1763712000", "２026-11-21T08:00:00Z"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    """Without a zone nobody knows when."""
    assert parse_instant(text) is None


@given(st.integers(0, 2**40), st.binary(max_size=200).filter(lambda octets: b"\n" not in octets))
def test_a_frame_comes_back_in_its_place_alone(number: int, payload: bytes) -> None:
    """Of any number; at another place, or cut anywhere, it is none."""
    frame = encode_frame(number, payload)
    assert decode_frame(frame, number) == payload
    for wrong in (number + 1, number + 10**8):
        with pytest.raises(WireError):
            decode_frame(frame, wrong)
    for end in range(len(frame)):
        with pytest.raises(WireError):
            decode_frame(frame[:end], number)


@given(st.binary(max_size=300), st.integers(0, 2**40))
def test_any_octets_are_a_frame_or_a_fault(octets: bytes, number: int) -> None:
    """And what is one is the same octets when it is written again."""
    try:
        payload = decode_frame(octets, number)
    except WireError:
        return
    assert encode_frame(number, payload) == octets


@given(st.data())
def test_a_flipped_bit_is_found(data: st.DataObject) -> None:
    """In the number, the checksum, or the payload."""
    frame = bytearray(encode_frame(7, b'{"event":"commissioned"}'))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(WireError):
        decode_frame(bytes(frame), 7)


def test_a_payload_has_a_bound() -> None:
    """What could not be read again is not written."""
    with pytest.raises(LimitError):
        encode_frame(0, bytes(limits.LINE_FRAME_BYTES_MAX + 1))


@given(ENTRIES)
def test_an_entry_comes_back(entry: Entry) -> None:
    """And has no line feed."""
    octets = pack_entry(entry)
    assert b"\n" not in octets
    assert unpack_entry(octets) == entry


@given(
    st.one_of(
        st.binary(max_size=200), ENTRIES.map(pack_entry).flatmap(lambda o: st.integers(0, len(o)).map(lambda n: o[:n]))
    )
)
def test_any_octets_are_an_entry_or_a_fault(octets: bytes) -> None:
    """One way to write each."""
    try:
        entry = unpack_entry(octets)
    except WireError:
        return
    assert pack_entry(entry) == octets


@given(st.binary(max_size=200))
def test_any_line_of_a_camera_is_read_or_refused(octets: bytes) -> None:
    """With and without its line feed."""
    for line in (octets, octets + b"\n", b"{" + octets + b"}\n"):
        with contextlib.suppress(WireError):
            parse_reading(line)


AT = 1_763_712_000_123
STAMP = format_instant(AT)


@pytest.mark.parametrize(
    ("line", "reading"),
    [
        (f"88.118.7/l1ABC,{STAMP}", Reading(What.BAG, "88.118.7/L1ABC", AT)),
        (f" x , {STAMP} , B ,\r", Reading(What.BAG, "X", AT, "B")),
        (f"X,{STAMP},,reject", Reading(What.BAG, "X", AT, reject=True)),
        (f"X,{STAMP},A,case", Reading(What.CASE, "X", AT, "A")),
        (f"X,{STAMP},,scrap", Reading(What.SCRAP, "X", AT)),
        (f'{{"code": "x", "time": "{STAMP}"}}', Reading(What.BAG, "X", AT)),
        (f'{{"code": "x", "time": "{STAMP}", "event": "pallet", "children": ["y", "z"]}}',
         Reading(What.PALLET, "X", AT, children=("Y", "Z"))),
        (f'{{"code": "x", "time": "{STAMP}", "grade": "D", "reject": true}}',
         Reading(What.BAG, "X", AT, "D", reject=True)),
        ("", Reading(What.BAG, "", 0)),
        (" \r", Reading(What.BAG, "", 0)),
        (f",{STAMP}", Reading(What.BAG, "", AT)),
        (f'{{"code": " ", "time": "{STAMP}", "event": "case"}}', Reading(What.CASE, "", AT)),
        (f"]d20106901234567892\x1d21x,{STAMP}", Reading(What.BAG, "]D20106901234567892\x1d21X", AT)),
        ("code,time,grade,event", None),
    ],
)  # fmt: skip
def test_a_line_of_the_camera(line: str, reading: Reading | None) -> None:
    """JSON and CSV, any case, Windows line ends, the head of a CSV file, a bag of which nothing was read."""
    assert parse_reading(line.encode() + b"\n") == reading


@pytest.mark.parametrize(
    "line",
    [
        "X", "X,", f"X,{STAMP},A,bag,1", f"X,{STAMP},G", f"X,{STAMP},AB", f"X,{STAMP},,box", "X,2026-11-21T08:00:00",
        f"盐,{STAMP}", f"X\x1eY,{STAMP}", f"{'X' * 600},{STAMP}", '{"code": "x"}',
        f'{{"code": "x", "time": "{STAMP}", "y": 1}}',
        f'{{"code": "x", "time": "{STAMP}", "children": ["y"]}}', f'{{"code": 1, "time": "{STAMP}"}}',
        f'{{"code": "x", "time": "{STAMP}", "event": "case", "children": []}}',
        f'{{"code": "x", "time": "{STAMP}", "event": "case", "children": ["y", " "]}}',
        f'{{"code": "x", "time": "{STAMP}", "event": "sample", "reject": true}}', "[" * 10_000, "{" * 10_000,
    ],
)  # fmt: skip
def test_a_line_that_is_none(line: str) -> None:
    """Each is told why."""
    with pytest.raises(WireError):
        parse_reading(line.encode() + b"\n")


def test_a_line_that_was_cut_is_none() -> None:
    """Else the reject at its end could be lost."""
    with pytest.raises(WireError):
        parse_reading(f"X,{STAMP},A".encode())


# --- the index space ------------------------------------------------------------


@given(st.integers(1, 300), st.integers(0, 20), st.integers(0, 9), st.data())
def test_blocks_share_out_all_cases_and_pallets(units: int, each: int, more: int, data: st.DataObject) -> None:
    """However a lot is cut into blocks, every index belongs to exactly one, and all that a block owns is around it."""
    lot = check_lot(Lot("1/L", units, each, more if each else 0))
    cuts = sorted({0, units, *data.draw(st.lists(st.integers(0, units), max_size=6))})
    owned = []
    for begin, end in itertools.pairwise(cuts):
        block = Span(begin, end - begin)
        around = {index for span in lot.around(block) for index in range(span.first, span.end)}
        mine = [index for span in lot.owned(block) for index in range(span.first, span.end)]
        assert set(mine) <= around
        owned += mine
    assert sorted(owned) == list(range(lot.size))


@given(st.integers(1, 300), st.integers(1, 20), st.integers(1, 9))
def test_every_unit_is_in_one_case_and_every_case_on_one_pallet(units: int, each: int, more: int) -> None:
    """By rule."""
    lot = Lot("1/L", units, each, more)
    for kind, inner in ((Kind.CASE, Kind.UNIT), (Kind.PALLET, Kind.CASE)):
        space = lot.space(kind)
        spans = [lot.children(index) for index in range(space.first, space.end)]
        assert join(list(reversed(spans))) == [lot.space(inner)]


@given(st.integers(0, 2**50 - 1))
def test_a_serial_comes_back(serial: int) -> None:
    """Ten characters of the alphabet."""
    assert parse_serial(format_serial(serial, "88.1/L"), "88.1/L") == serial


@pytest.mark.parametrize("text", ["", "88.1", "88.1/", "88.1/L O T", "88.1/L12345678901", "88..1/L", "88.1/盐", "/L"])
def test_what_is_no_lot(text: str) -> None:
    """Refused before anything is asked for."""
    with pytest.raises(WireError):
        parse_lot(text)


@given(st.sets(st.integers(0, 2**50 - 1), min_size=LOT.size, max_size=LOT.size), st.data())
def test_codes_are_found_and_no_others(serials: set[int], data: st.DataObject) -> None:
    """Each by its index and back; what is one character off is not here."""
    codes = [Code(i, format_serial(s, LOT.handle), LOT.kind(i), None, None) for i, s in enumerate(serials)]
    some = Codes(LOT, (each for each in codes if each.number % 3))
    for code in codes:
        assert some.find(code.identifier) == (code.number if code.number % 3 else None)
        assert unpack_code(pack_code(code), LOT, code.number) == code
    serial = data.draw(st.integers(0, 2**50 - 1).filter(lambda each: each not in serials))
    assert some.find(format_serial(serial, LOT.handle)) is None


# --- files ------------------------------------------------------------------------


def appended(path: Path, *groups: list[bytes]) -> None:
    appender = durable.Appender(path, durable.read_frames(path, lambda *_: None))
    for group in groups:
        appender.append(group)
    appender.close()


def read(path: Path) -> tuple[list[bytes], durable.Tail]:
    found: list[bytes] = []
    tail = durable.read_frames(path, lambda _, payload: found.append(payload))
    return found, tail


@SLOW
@given(st.lists(st.binary(max_size=20).map(bytes.hex).map(str.encode), min_size=1, max_size=8), st.data())
def test_a_file_torn_at_any_octet_keeps_what_was_whole(
    tmp_path: Path, payloads: list[bytes], data: st.DataObject
) -> None:
    """And goes on behind it."""
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    appended(path, payloads)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut] + data.draw(st.binary(max_size=10)) * (cut < len(whole)))
    found, _ = read(path)
    assert found == payloads[: len(found)]
    assert len(found) >= whole[:cut].count(b"\n")
    appended(path, [b"more"])
    assert read(path) == ([*found, b"more"], durable.Tail(len(found) + 1, path.stat().st_size, torn=False))


def test_damage_in_the_middle_is_no_torn_tail(tmp_path: Path) -> None:
    """Whole lines behind it would be lost: nothing is cut, and whoever reads is told."""
    path = tmp_path / "log"
    appended(path, [b"one", b"two", b"three"])
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"two")] ^= 1
    path.write_bytes(octets)
    with pytest.raises(StoreError, match="damaged at octet"):
        appended(path, [b"four"])
    assert path.read_bytes() == octets


def test_what_is_appended_meanwhile_is_no_damage(tmp_path: Path) -> None:
    """A reader sees what was there when it began, and half a line as none."""
    path = tmp_path / "log"
    appended(path, [b"one", b"two"])
    line = encode_frame(2, b"three")
    with path.open("ab") as file:
        file.write(line[:5])
    lines = durable.scan(path)
    assert next(lines) == (0, b"one")
    with path.open("ab") as file:
        file.write(line[5:] + encode_frame(3, b"four"))
    assert list(lines) == [(1, b"two")]
    assert [payload for _, payload in durable.scan(path)] == [b"one", b"two", b"three", b"four"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one stays until the new one is synced; others may not read it."""
    path = tmp_path / "block.json"
    durable.write_whole(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NodeError, match="No space"):
        durable.write_whole(path, b"two")
    assert path.read_bytes() == b"one"


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """Another process is told who is there."""
    with durable.locked(tmp_path / "lock"):
        pool = multiprocessing.get_context("spawn").Pool(1)
        with pool:
            assert pool.apply(try_lock, (str(tmp_path / "lock"),)) == "line-busy"


def try_lock(path: str) -> str:
    try:
        with durable.locked(Path(path), wait_s=0):
            return ""
    except NodeError as error:
        return str(error.fields["rule"])
