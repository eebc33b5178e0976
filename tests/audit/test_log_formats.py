"""What the sequencer writes and reads: every format makes the round trip, and is total on anything else."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import random
from pathlib import Path

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from audit.block import NOBODY, ROWS_MAX, BlockError, is_block, open_block, pack_blocks, read_columns, read_head
from audit.clients import UNKNOWN, Client, Clients, client_of, format_network
from audit.cutting import cut_blocks
from audit.entry import dump, entry_document
from audit.files import Files, RewriteError
from audit.frame import Row
from audit.growth import Growth, GrowthError, superseded_between
from audit.pending import MAGIC, Append, Pending, PendingError, Side, pack_pending, unpack_pending
from audit.side import KEY_FILE, SideError, month_folder, month_key, pack_side, read_side
from audit.spool_reading import Frame
from audit.tile import ENTRY_BYTES_MAX, tile_path, tiles_between
from core import limits
from core.store.log_rows import LogEntry
from core.streams import Stream
from core.who import Who
from tests.kit.sequencing import SOFTWARE, assert_tiles, leaves_of, root_of

KEY = bytes(range(32))
NOW = 1_790_000_000_000

# --- clients ---


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)), st.binary(max_size=64))
def test_a_client_is_a_keyed_hash_and_a_network(address: bytes, key: bytes) -> None:
    """HMAC-SHA-256 (RFC 2104), its first eight octets; the /24 or the /48."""
    network = address[: 3 if len(address) == 4 else 6]
    assert client_of(key, address) == Client(hmac.new(key, address, hashlib.sha256).digest()[:8], network)


@given(st.binary(max_size=20).filter(lambda octets: len(octets) not in (4, 16)))
def test_what_is_no_address_is_unknown(octets: bytes) -> None:
    assert client_of(KEY, octets) is UNKNOWN


def test_networks_as_text() -> None:
    """With their length; nothing for the unknown."""
    assert format_network(bytes([192, 0, 2])) == "192.0.2.0/24"
    assert format_network(bytes.fromhex("20010db80001")) == "2001:db8:1::/48"
    assert format_network(b"") == ""


# --- side tables ---

ADDRESSES = st.lists(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)), max_size=500)


@given(st.lists(st.tuples(st.integers(0, 2**40), ADDRESSES), max_size=4))
def test_a_side_table_makes_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, list[bytes]]]
) -> None:
    path = tmp_path_factory.mktemp("side") / "resolution"
    path.write_bytes(b"".join(pack_side(*record) for record in records))
    assert list(read_side(path)) == records


@given(st.binary(max_size=100), st.integers(0, 40))
def test_a_damaged_side_table_is_told(tmp_path_factory: pytest.TempPathFactory, octets: bytes, cut: int) -> None:
    """Any octets: records, or SideError; a record that is cut is one."""
    path = tmp_path_factory.mktemp("side") / "resolution"
    path.write_bytes(octets)
    with contextlib.suppress(SideError):
        list(read_side(path))
    whole = pack_side(7, [bytes(4)] * 8)
    path.write_bytes(whole + whole[: 1 + cut])
    with pytest.raises(SideError):
        list(read_side(path))


def test_the_key_of_a_month_is_made_once(tmp_path: Path) -> None:
    """Private; and one that is cut is told, not made anew."""
    folder = month_folder(tmp_path, "2026-11")
    key = month_key(Files(), folder)
    assert (len(key), month_key(Files(), folder)) == (32, key)
    assert (folder.stat().st_mode & 0o777, (folder / KEY_FILE).stat().st_mode & 0o777) == (0o700, 0o600)
    assert month_key(Files(), month_folder(tmp_path, "2026-12")) != key
    (folder / KEY_FILE).write_bytes(key[:9])
    with pytest.raises(SideError):
        month_key(Files(), folder)


# --- files ---


def test_what_is_published_is_not_written_again(tmp_path: Path) -> None:
    """The same octets: nothing happens. Others: RewriteError, and the file is as it was."""
    path = tmp_path / "a" / "b"
    Files().write_new(path, b"one")
    before = path.stat().st_mtime_ns
    Files().write_new(path, b"one")
    with pytest.raises(RewriteError, match="b"):
        Files().write_new(path, b"two")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (b"one", before)


def test_a_file_that_is_too_short_is_not_filled_with_zeros(tmp_path: Path) -> None:
    """What is cut off behind the offset goes; what is missing before it is told."""
    path = tmp_path / "side"
    Files().write_at(path, 0, b"abcdef")
    Files().write_at(path, 3, b"XY")
    assert path.read_bytes() == b"abcXY"
    with pytest.raises(OSError, match="side"):
        Files().write_at(path, 9, b"Z")
    assert path.read_bytes() == b"abcXY"


# --- the pending record ---

NAMES = st.text(max_size=10)
STREAMS = st.sampled_from([stream.value for stream in Stream])
COUNTS = st.integers(0, 2**53)
PENDING = st.builds(
    Pending, st.sampled_from(["2026-11", "1970-01"]), NAMES, COUNTS, COUNTS, st.dictionaries(NAMES, COUNTS),
    st.dictionaries(STREAMS, COUNTS), st.dictionaries(NAMES, NAMES),
    st.lists(st.builds(Append, STREAMS, NAMES, COUNTS, st.lists(st.binary(max_size=20), max_size=3)), max_size=3),
    st.lists(st.builds(Side, STREAMS, NAMES, COUNTS, st.binary(max_size=20)), max_size=3),
)  # fmt: skip


@given(PENDING)
def test_a_pending_record_makes_the_round_trip(pending: Pending) -> None:
    assert unpack_pending(pack_pending(pending)) == pending


@given(PENDING, st.data())
def test_a_pending_record_that_was_changed_is_told(pending: Pending, data: st.DataObject) -> None:
    """Any octet of it, or its length."""
    whole = bytearray(pack_pending(pending))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(whole), pack_pending(pending)[:place]):
        with pytest.raises(PendingError):
            unpack_pending(damaged)


@given(st.one_of(st.binary(max_size=60), st.recursive(NAMES | COUNTS, lambda each: st.lists(each, max_size=9))))
def test_reading_a_pending_record_is_total(content: object) -> None:
    """Also behind a right checksum."""
    import zlib

    body = content if isinstance(content, bytes) else msgpack.packb(content)
    for octets in (body, MAGIC + zlib.crc32(body).to_bytes(4, "big") + body):
        with contextlib.suppress(PendingError):
            unpack_pending(octets)


# --- logs that grow ---


@pytest.mark.parametrize("reopened", [False, True])
def test_a_log_grows_by_any_steps_as_by_one(tmp_path: Path, seed: int, reopened: bool) -> None:
    """The files are those that a tree of that size has; each is written once; the root is that of all entries."""
    chance = random.Random(seed)
    entries = [b"entry-%d" % number for number in range(1_500)]
    growth, size = Growth.of(0, _nothing), 0
    written: dict[str, bytes] = {}
    while size < len(entries):
        step = chance.choice([1, 2, 100, 255, 256, 257, 600])
        if reopened:
            growth = Growth.of(size, written.__getitem__)
        stages = growth.grow(entries[size : size + step])
        for file in [file for stage in stages for file in stage]:
            assert file.path not in written
            written[file.path] = file.data
        old, size = size, min(size + step, len(entries))
        assert (growth.size, growth.root()) == (size, root_of(entries[:size]))
        assert {f.path for f in (*stages[1], *stages[2])} == {tile_path(*each) for each in tiles_between(old, size)}
        for folder in superseded_between(old, size):
            assert folder.removesuffix(".p") in written
            for path in [path for path in written if path.startswith(f"{folder}/")]:
                del written[path]
    for path, octets in written.items():
        Files().write_new(tmp_path / path, octets)
    assert leaves_of(tmp_path, size) == entries
    assert_tiles(tmp_path, size, entries)


def test_entries_that_are_not_those_of_the_tile_are_told() -> None:
    """A sequencer goes on from nothing that was altered."""
    files = {file.path: file.data for stage in Growth.of(0, _nothing).grow([b"a", b"b"]) for file in stage}
    files["tile/entries/000.p/2"] = files["tile/entries/000.p/2"].replace(b"b", b"c")
    with pytest.raises(GrowthError, match="000"):
        Growth.of(2, files.__getitem__)


def _nothing(path: str) -> bytes:
    raise FileNotFoundError(path)


# --- entries ---

TEXTS = st.text(st.characters(), max_size=30)


def document(**members: str) -> dict[str, object]:
    entry = LogEntry("change", "record.change", "88.1/盐", before=bytes(32))._replace(**members)  # type: ignore[arg-type]
    client = client_of(KEY, bytes([192, 0, 2, 7]))
    return entry_document(
        entry, NOW + 5, Who("operator", "Li", -1, "t-1"), client, 40_001,
        protocol="http/v1", request="1042", software=SOFTWARE,
    )  # fmt: skip


def test_an_entry_says_what_the_schema_has() -> None:
    """Names in order, no blanks, nothing escaped that need not be; what is not there is null."""
    leaf = dump(document(rule="frozen", reason="no"))
    hashed = hmac.digest(KEY, bytes([192, 0, 2, 7]), "sha256")[:8].hex()
    assert leaf.decode() == (
        f'{{"act":"record.change","after":null,"before":"{"00" * 32}","evidence":null,"from":{{"client":"{hashed}",'
        '"net":"192.0.2.0/24","port":40001,"protocol":"http/v1"},"node":"88.118","obj":"88.1/盐","req":"1042",'
        '"res":{"code":"ok","reason":"frozen: no"},"stream":"change","t":"2026-09-21T14:13:20.005Z","up":null,"v":1,'
        '"ver":"0.1","who":{"auth":"token","id":"t-1","name":"Li","type":"operator"}}'
    )
    assert not is_block(leaf)


@given(TEXTS, TEXTS)
def test_an_entry_is_canonical_whatever_it_says(about: str, reason: str) -> None:
    """Reading and writing it gives the same octets; half a character becomes a question mark."""
    leaf = dump(document(object=about, reason=reason))
    read = json.loads(leaf)
    assert dump(read) == leaf
    replaced = about.encode(errors="replace").decode()
    assert read["obj"] == replaced


@pytest.mark.parametrize("character", ["x", "\x00", "盐", "\U0001f9c2", "\ud800", '"'])
@pytest.mark.parametrize("members", [["object"], ["object", "reason", "action", "rule", "outcome"]])
def test_an_entry_is_never_longer_than_a_leaf(character: str, members: list[str]) -> None:
    """Long texts are cut, and end with the digest of the whole: the sequencer is not stalled by what it is told."""
    text = character * 70_000
    leaf = dump(document(**dict.fromkeys(members, text)))
    assert len(leaf) <= ENTRY_BYTES_MAX
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    assert json.loads(leaf)["obj"].endswith(f"… sha256:{digest}")
    assert len(dump(document(object="x" * 60_000))) > 60_000, "one that fits is not cut"


# --- blocks ---

PEERS = st.one_of(st.just(b""), st.binary(min_size=6, max_size=6), st.binary(min_size=18, max_size=18))
ROWS = st.lists(
    st.tuples(
        st.integers(1, 5), st.sampled_from(["ok", "handle-not-found", "held"]), PEERS, st.binary(max_size=40),
        st.sampled_from(["", "", "301:0.NA/88.1"]),
    ),
    min_size=1, max_size=60,
)  # fmt: skip


def client(address: bytes) -> Client:
    return client_of(KEY, address)


def opened(leaves: list[tuple[bytes, list[bytes]]]) -> list[tuple[int, int, str, Client, int, bytes, str]]:
    rows = []
    for leaf, addresses in leaves:
        assert len(leaf) <= ENTRY_BYTES_MAX
        block, head, columns = open_block(leaf), read_head(leaf), read_columns(leaf)
        assert columns.identifiers == block.identifiers
        assert [columns.names[code] for code in columns.codes] == block.outcomes
        assert [head.earliest_ms + since for since, count in columns.runs for _ in range(count)] == block.times
        clients = list(dict.fromkeys(each for each in block.clients if each is not UNKNOWN))
        assert [clients[each] if each != NOBODY else UNKNOWN for each in columns.which] == block.clients
        assert (head.rows, head.earliest_ms, head.latest_ms) == (len(block.times), min(block.times), max(block.times))
        known = dict.fromkeys(each for each in block.clients if each is not UNKNOWN)
        assert list(known) == [client(address) for address in addresses]
        names = [block.who.get(row, "") for row in range(head.rows)]
        columns = (block.times, block.vias, block.outcomes, block.clients, block.ports, block.identifiers, names)
        rows += list(zip(*columns, strict=True))
    return rows


def wanted(times: list[tuple[int, int]], rows: list[Row]) -> list[tuple[int, int, str, Client, int, bytes, str]]:
    stamps = [at for at, count in times for _ in range(count)]
    return [
        (at, via, outcome, client(peer[2:]), int.from_bytes(peer[:2], "big"), identifier, who)
        for at, (via, outcome, peer, identifier, who) in zip(stamps, rows, strict=True)
    ]


@given(ROWS, st.lists(st.integers(0, 5_000), min_size=1, max_size=60))
def test_a_block_makes_the_round_trip(rows: list[Row], since: list[int]) -> None:
    times = [(NOW + (since * 60)[row], 1) for row in range(len(rows))]
    assert opened(pack_blocks(times, rows, Clients(KEY, 1_000), "88.118", "0.1")) == wanted(times, rows)


def test_what_is_too_large_for_a_leaf_is_more_than_one(seed: int) -> None:
    """Identifiers that do not compress, as long as they may be; each entry is in one of them, in order."""
    chance = random.Random(seed)
    rows: list[Row] = [(1, "ok", b"", chance.randbytes(limits.LOGGED_IDENTIFIER_BYTES), "") for _ in range(ROWS_MAX)]
    times = [(NOW, 123), (NOW + 1, 300), (NOW + 2, 77)]
    leaves = pack_blocks(times, rows, Clients(KEY, 1_000), "88.118", "0.1")
    assert len(leaves) > 10
    assert opened(leaves) == wanted(times, rows)


def test_one_entry_that_is_too_large_is_cut(seed: int) -> None:
    """It is none of ours; it does not keep the others waiting."""
    row: Row = (1, "ok", b"", random.Random(seed).randbytes(100_000), "x" * 100_000)
    ((leaf, _),) = pack_blocks([(NOW, 1)], [row], Clients(KEY, 1_000), "88.118", "0.1")
    assert open_block(leaf).identifiers == [row[3][:2_048]]


@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_opening_a_block_is_total(octets: bytes, headed: bool, packed: bool) -> None:
    """Also behind a right head, and behind right compression."""
    body = zstandard.ZstdCompressor().compress(octets) if packed else octets
    head = b"\x01\x00\x01" + NOW.to_bytes(8, "big") * 2
    with contextlib.suppress(BlockError):
        open_block(head + body if headed else body)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 300) | st.binary(max_size=9) | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=4) | st.dictionaries(st.integers(0, 3) | st.text(max_size=2), each, max_size=2)
    ),
)


@given(st.lists(ANY, min_size=10, max_size=10), st.data())
def test_opening_columns_of_any_kind_is_total(columns: list[object], data: st.DataObject) -> None:
    """Columns that are right, but for some."""
    right: list[object] = [
        "n", "v", [[0, 2]], b"\x01\x01", [["ok"], b"\0\0"], [bytes(8), [bytes(3)]], b"\0\0\xff\xff", bytes(4),
        [b"a", b"b"], {0: "x"},
    ]  # fmt: skip
    head = b"\x01\x00\x02" + NOW.to_bytes(8, "big") * 2
    compress = zstandard.ZstdCompressor().compress
    assert len(open_block(head + compress(msgpack.packb(right))).times) == 2
    for place in data.draw(st.sets(st.integers(0, 9), max_size=3)):
        right[place] = columns[place]
    with contextlib.suppress(BlockError):
        counted = read_columns(head + compress(msgpack.packb(right)))
        assert {len(counted.codes), len(counted.which), len(counted.identifiers)} == {2}
        assert all(type(counted.names[code]) is str for code in counted.codes)
        assert all(client < counted.clients or client == NOBODY for client in counted.which)
    try:
        block = open_block(head + compress(msgpack.packb(right)))
    except BlockError:
        return
    assert {len(column) for column in block[2:8]} == {2}
    assert all(isinstance(each, Client) and isinstance(each.network, bytes) for each in block.clients)


@pytest.mark.parametrize("networks", [[5], ["abc"], [b"ab"], [None], [bytes(3), bytes(3)]])
def test_a_network_is_of_three_or_six_octets(networks: list[object]) -> None:
    """Whatever reads blocks may rely on it."""
    columns = ["n", "v", [[0, 1]], b"\x01", [["ok"], b"\0"], [bytes(8), networks], bytes(2), bytes(2), [b"a"], {}]
    leaf = b"\x01\x00\x01" + NOW.to_bytes(8, "big") * 2 + zstandard.ZstdCompressor().compress(msgpack.packb(columns))
    with pytest.raises(BlockError):
        open_block(leaf)


def test_a_flipped_octet_is_a_block_error_or_another_block() -> None:
    """Never anything else; that it was changed is found by the tree."""
    ((leaf, _),) = pack_blocks(
        [(NOW, 9)], [(1, "ok", b"", b"88.1/%d" % n, "") for n in range(9)], Clients(KEY, 9), "n", "v"
    )
    for place in range(len(leaf)):
        for bit in (1, 0x80):
            changed = bytearray(leaf)
            changed[place] ^= bit
            for read in (open_block, read_columns):
                with contextlib.suppress(BlockError):
                    read(bytes(changed))


@pytest.mark.parametrize("told", [True, False], ids=["size told", "size not told"])
def test_a_bomb_does_not_go_off(told: bool) -> None:
    """A leaf of some kilobytes that would be a gigabyte is refused before it is one."""
    compressor = zstandard.ZstdCompressor(level=19, write_content_size=told).compressobj(
        **({"size": 1 << 28} if told else {})
    )
    parts = [compressor.compress(bytes(1 << 20)) for _ in range(256)]
    bomb = b"".join(parts) + compressor.flush()
    assert len(bomb) < ENTRY_BYTES_MAX
    with pytest.raises(BlockError):
        open_block(b"\x01\x00\x01" + NOW.to_bytes(8, "big") * 2 + bomb)


# --- cutting ---


@given(st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 1_200)), max_size=12))
def test_blocks_are_cut_by_entries_and_time(turns: list[tuple[int, int]]) -> None:
    """At most 500 entries and a second each, none empty, every entry once and in order, with its own time."""
    numbers = iter(range(100_000))
    frames = [
        Frame(NOW + since, [(1, "ok", b"", b"%d" % next(numbers), "") for _ in range(count)]) for since, count in turns
    ]
    blocks = list(cut_blocks(frames))
    for times, rows in blocks:
        stamps = [at for at, _ in times]
        assert 0 < len(rows) <= ROWS_MAX
        assert sum(count for _, count in times) == len(rows)
        assert all(count > 0 for _, count in times)
        assert 0 <= max(stamps) - stamps[0] < limits.LOG_BLOCK_MS
        assert min(stamps) == stamps[0]
    got = [(at, row) for times, rows in blocks for at, row in zip(_each(times), rows, strict=True)]
    assert got == [(frame.at_ms, row) for frame in frames for row in frame.rows]


def _each(times: list[tuple[int, int]]) -> list[int]:
    return [at for at, count in times for _ in range(count)]
