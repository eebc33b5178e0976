"""Deposits are read as they were written, or named as what they are: altered, cut, for another; never anything else."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.errors import ConfigError
from sync.escrow.deposit import HEAD, open_items, read_head
from sync.escrow.faults import DepositError
from sync.escrow.head import parse_head
from sync.escrow.item import Item
from sync.escrow.sealing import AesChunks, X25519Opener, load_opener, load_recipient, make_escrow_key
from sync.escrow.volumes import read_pieces
from tests.kit import deposits as kit

ROWS = st.lists(
    st.builds(
        Item, st.sampled_from(["head", "records", "lot-key", "prefixes"]), st.binary(max_size=40),
        st.one_of(st.none(), st.binary(max_size=300)),
    ),
    max_size=30,
)  # fmt: skip


def fault(read: Callable[[], object]) -> str:
    """Return the rule of the error that it ends with."""
    with pytest.raises(DepositError) as caught:
        read()
    return caught.value.rule


def items_of(folder: Path, node: str = "") -> list[Item]:
    return list(open_items(folder, kit.OPENER, node))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return kit.write(tmp_path, kit.full())[0]


# --- round trip ---
@given(items=ROWS, volume_bytes=st.integers(60, 400), big=st.sampled_from([0, 65_500, 65_536, 140_000]))
@settings(max_examples=10, deadline=None)
def test_what_is_written_is_read(items: list[Item], volume_bytes: int, big: int) -> None:
    """Whatever the rows, however small the volumes, below, at and above one chunk."""
    with tempfile.TemporaryDirectory() as name:
        first = kit.write(Path(name), kit.full())[1]
        if big:
            items = [*items, Item("big", b"", kit.noise(big))]
            volume_bytes += 2_000
        folder, head = kit.write(Path(name), kit.diff(first, 101, days=1), items, volume_bytes=volume_bytes)
        assert items_of(folder, kit.NODE) == items
        assert read_head(folder) == head
        assert sum(count for _, count in head.counts) == len(items)
        assert {volume.octets for volume in head.volumes[:-1]} <= {volume_bytes}


@given(content=st.binary(max_size=200), chunk_bytes=st.integers(1, 20), data=st.data())
@settings(max_examples=60, deadline=None)
def test_chunks_show_any_change(content: bytes, chunk_bytes: int, data: st.DataObject) -> None:
    """Altered, swapped, dropped, doubled or cut: each is found, and named."""
    seal, size = AesChunks(bytes(32), chunk_bytes), chunk_bytes
    starts = range(0, max(len(content), 1), size)
    sealed = [seal.seal(content[at : at + size], last=at == starts[-1]) for at in starts]

    def read(chunks: list[bytes]) -> bytes:
        opener = AesChunks(bytes(32), chunk_bytes)
        return b"".join(opener.open(each, last=place == len(chunks) - 1) for place, each in enumerate(chunks))

    assert read(sealed) == content
    at = data.draw(st.integers(0, len(sealed) - 1))
    assert (
        fault(lambda: read([*sealed[:at], sealed[at][:-1] + bytes((sealed[at][-1] ^ 1,)), *sealed[at + 1 :]]))
        == "altered"
    )
    assert fault(lambda: read([*sealed[: at + 1], sealed[at], *sealed[at + 1 :]])) == "altered"
    if len(sealed) > 1:
        assert fault(lambda: read(sealed[:-1])) == "cut"
        other = (at + 1) % len(sealed)
        swapped = list(sealed)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        assert fault(lambda: read(swapped)) == "altered"
        assert fault(lambda: read([*sealed[:at], *sealed[at + 1 :]])) in ("altered", "cut")


def test_the_folder_is_by_prefix_and_day(tmp_path: Path) -> None:
    """Where it lies, its id with and without a revision, and nothing beside it."""
    folder, head = kit.write(tmp_path, kit.full(), volume_bytes=1_000)
    assert folder == tmp_path / "88.118" / "2026-11-22" / "20261122T031834Z-full" == tmp_path.joinpath(
        head.prefix, "2026-11-22", head.deposit
    )  # fmt: skip
    assert kit.write(tmp_path, kit.full(revision=2))[1].deposit == "20261122T031834Z-full-r2"
    assert sorted(path.name for path in folder.iterdir()) == ["0001.vol", HEAD]
    assert fault(lambda: kit.write(tmp_path, kit.full())) == "twice"
    assert items_of(folder) == list(kit.ITEMS)


def test_it_is_never_held_whole(tmp_path: Path) -> None:
    """24 MiB are written and read in a few."""
    rows = (Item("records", number.to_bytes(4), kit.noise(65_536, number)) for number in range(384))
    tracemalloc.start()
    try:
        folder, _ = kit.write(tmp_path, kit.full(), rows, volume_bytes=4_194_304)
        assert sum(1 for _ in open_items(folder, kit.OPENER)) == 384
        assert tracemalloc.get_traced_memory()[1] < 6_291_456
    finally:
        tracemalloc.stop()


# --- bad input ---
def test_no_octet_can_be_another(made: Path) -> None:
    """Each octet of each file, altered: a named error, and no item is given out of it."""
    for path in made.iterdir():
        octets = path.read_bytes()
        for place in range(len(octets)):
            path.write_bytes(octets[:place] + bytes((octets[place] ^ (1 << place % 8),)) + octets[place + 1 :])
            taken: list[Item] = []
            assert fault(lambda: taken.extend(open_items(made, kit.OPENER))) in ("altered", "head", "signature")  # noqa: B023
            assert not taken
        path.write_bytes(octets)
    assert items_of(made) == list(kit.ITEMS)


def test_no_item_comes_before_all_volumes_are_right(tmp_path: Path) -> None:
    """The last of many is damaged."""
    rows = [Item("x", b"", kit.noise(50_000, number)) for number in range(8)]
    folder, head = kit.write(tmp_path, kit.full(), rows, volume_bytes=100_000)
    last = folder / head.volumes[-1].name
    last.write_bytes(bytes(head.volumes[-1].octets))
    taken: list[Item] = []
    assert fault(lambda: taken.extend(open_items(folder, kit.OPENER))) == "altered"
    assert not taken


def test_no_octet_can_be_another_though_the_node_signed_it(made: Path) -> None:
    """The encryption alone finds it, too."""
    for path in sorted(made.glob("*.vol")):
        octets = path.read_bytes()
        for place in range(0, len(octets), 7):
            path.write_bytes(octets[:place] + bytes((octets[place] ^ 0x20,)) + octets[place + 1 :])
            kit.sign_again(made)
            assert fault(lambda: items_of(made)) == "altered"
        path.write_bytes(octets)


def test_volumes_are_missed(made: Path) -> None:
    """Gone, swapped, cut, too long, no file at all."""
    first, second = made / "0001.vol", made / "0002.vol"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert fault(lambda: items_of(made)) == "altered"
    first.write_bytes(one[:-1])
    assert fault(lambda: items_of(made)) == "cut"
    first.write_bytes(one + b"\0")
    assert fault(lambda: items_of(made)) == "altered"
    first.unlink()
    assert fault(lambda: items_of(made)) == "missing"
    os.mkfifo(first)
    assert fault(lambda: items_of(made)) == "disk"
    first.unlink()
    first.symlink_to(second)
    assert fault(lambda: items_of(made)) == "disk"


def test_what_the_node_signed_short_is_cut(tmp_path: Path) -> None:
    """Its last volume is gone, and the head was signed anew without it: at the end of a chunk, and inside of one."""
    for octets in (65_536 + 16, 70_000):
        folder, head = kit.write(
            tmp_path / str(octets), kit.full(), [Item("x", b"", kit.noise(100_000))], volume_bytes=octets
        )
        assert len(head.volumes) == 2
        (folder / "0002.vol").unlink()
        kit.sign_again(folder)
        assert fault(lambda: items_of(folder)) == ("cut" if octets == 65_552 else "altered")  # noqa: B023


def test_a_file_that_shrinks_while_it_is_read_is_cut(made: Path) -> None:
    """Between the check of the digests and the reading."""
    head = read_head(made)
    pieces = read_pieces(made, head.volumes, 60)
    next(pieces)
    os.truncate(made / "0002.vol", 10)
    assert len(head.volumes) > 2
    assert fault(lambda: list(pieces)) == "cut"


def test_another_key_does_not_open_it(made: Path) -> None:
    """The wrong key is named, both as it is told and as it is."""
    other = X25519Opener(kit.OTHER_SECRET)
    assert fault(lambda: list(open_items(made, other))) == "wrong-key"
    kit.sign_again(made, recipient=other.key_id)
    assert fault(lambda: list(open_items(made, other))) == "altered"
    kit.sign_again(made, recipient=kit.OPENER.key_id, algorithm="sm2-sm4gcm")
    assert fault(lambda: items_of(made)) == "wrong-key"


def test_nobody_passes_it_on_as_his_own(made: Path) -> None:
    """Another node signs the head; the same node, another head for the same content."""
    kit.sign_again(made, kit.OTHER_SIGNER)
    assert fault(lambda: items_of(made, kit.NODE)) == "signer"
    assert fault(lambda: items_of(made)) == "altered"
    kit.sign_again(made, node=kit.NODE, made_ms=kit.START + 1_000, deposit="20261122T031835Z-full")
    assert fault(lambda: items_of(made)) == "altered"
    kit.sign_again(made, kit.OTHER_SIGNER)
    head = (made / HEAD).read_bytes().replace(b'"version":1', b'"version":2')
    assert fault(lambda: parse_head(head)) == "signature"


WRONG: list[dict[str, object]] = [
    {"deposit": "20261122T031834Z-diff"}, {"deposit": "../../etc"}, {"prefix": ".."}, {"prefix": "a/b"},
    {"prefix": ""}, {"kind": "half"}, {"since": 5}, {"previous": "20261121T015834Z-full"}, {"watermark": -1},
    {"watermark": "100"}, {"revision": True}, {"counts": (("Records", 1),)}, {"counts": (("records", 0),)},
    {"content_octets": -1}, {"content_sha256": "0"}, {"volumes": ()}, {"made_ms": 2**52}, {"made_ms": 1.0},
]  # fmt: skip


@pytest.mark.parametrize("members", WRONG, ids=str)
def test_a_head_that_makes_no_sense_is_refused(made: Path, members: dict[str, object]) -> None:
    """Though the node signed it."""
    try:
        kit.sign_again(made, **members)
    except ValueError:  # it has no canonical form
        return
    assert fault(lambda: read_head(made)) == "head"


@given(octets=st.binary(max_size=300))
@settings(max_examples=100)
def test_any_octets_are_a_head_or_named(octets: bytes) -> None:
    """As they are, and as a JSON text."""
    for data in (octets, b'{"signature":' + octets + b"}", b"[" * 100_000):
        assert fault(lambda: parse_head(data)) in ("head", "signature")  # noqa: B023
    assert fault(lambda: parse_head(bytes(limits.ESCROW_HEAD_BYTES_MAX + 1))) == "too-large"


@given(content=st.one_of(
    st.binary(max_size=100),
    st.recursive(st.one_of(st.none(), st.binary(max_size=9), st.integers(-9, 9), st.text(max_size=4)),
                 lambda inner: st.lists(inner, max_size=4)).map(msgpack.packb),
))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_content_is_items_or_named(content: bytes) -> None:
    """Content that the node signed, but that is none."""
    with tempfile.TemporaryDirectory() as name:
        folder = kit.forge_content(Path(name) / "x", content)
        if content:
            assert fault(lambda: items_of(folder)) == "content"
        else:
            assert items_of(folder) == []


def test_nothing_is_inflated_beyond_what_was_told(tmp_path: Path) -> None:
    """A gibibyte in 32 KiB, a window of 128 MiB, an item that never ends, a second frame."""
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    bomb = b"".join([*(packer.compress(bytes(1_048_576)) for _ in range(1_024)), packer.flush()])
    wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=27)).compressobj()
    item = msgpack.packb(("x", b"", b"1"))
    told: dict[str, object] = {"content_octets": len(item), "content_sha256": hashlib.sha256(item).hexdigest()}
    told["counts"] = (("x", 1),)
    assert len(items_of(kit.forge(tmp_path / "right", zstandard.compress(item), **told))) == 1
    cases = {
        "counts": kit.forge_content(tmp_path / "counts", item, counts=(("x", 2),)),
        "many": kit.forge_content(tmp_path / "many", item * 10_000, content_octets=1_000),
        "bomb": kit.forge(tmp_path / "bomb", bomb, content_octets=1_000),
        "wide": kit.forge(tmp_path / "wide", wide.compress(item) + wide.flush(), **told),
        "long": kit.forge(tmp_path / "long", bomb, content_octets=1 << 30),
        "item": kit.forge_content(
            tmp_path / "item", msgpack.packb(("x", b"", bytes(limits.ESCROW_ITEM_BYTES_MAX + 1)))
        ),
        "frames": kit.forge(tmp_path / "frames", 2 * zstandard.compress(item), content_octets=len(item)),
        "short": kit.forge(tmp_path / "short", zstandard.compress(item), content_octets=len(item) + 1),
    }
    for name, folder in cases.items():
        tracemalloc.start()
        taken: list[Item] = []
        assert fault(lambda: taken.extend(open_items(folder, kit.OPENER))) == "content", name  # noqa: B023
        assert not taken or name in ("counts", "frames", "short")
        assert tracemalloc.get_traced_memory()[1] < 60_000_000, name
        tracemalloc.stop()


# --- the disk ---
class Full:
    """An operation of the system that fails from a call on."""

    def __init__(self, real: Callable[..., object], calls: int) -> None:
        self.real, self.calls = real, calls

    def __call__(self, *args: object, **named: object) -> object:
        self.calls -= 1
        if self.calls < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.real(*args, **named)


@pytest.mark.parametrize("operation", ["write", "fsync"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, operation: str) -> None:
    """Whichever call fails: named, nothing is half done, and what was there is whole."""
    before, _ = kit.write(tmp_path, kit.full())
    for calls in range(100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, operation, Full(getattr(os, operation), calls))
            try:
                kit.write(tmp_path, kit.full(days=1))
                break
            except DepositError as error:
                assert error.rule == "no-room"
        assert all(before in path.parents for path in tmp_path.rglob("*") if path.is_file())
    else:
        raise AssertionError
    assert calls > 2
    assert items_of(before) == list(kit.ITEMS)
    assert not list(tmp_path.rglob(".*"))


def test_what_items_raise_goes_through_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the middle of the content; one row, or all of them, too large."""
    monkeypatch.setattr(limits, "ESCROW_VOLUMES_MAX", 3)

    def broken() -> Iterator[Item]:
        yield from kit.ITEMS
        raise RuntimeError("the store is gone")

    with pytest.raises(RuntimeError):
        kit.write(tmp_path, kit.full(), broken())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name.startswith(".")]
    for row in (bytes(limits.ESCROW_ITEM_BYTES_MAX + 1), kit.noise(100)):
        assert fault(lambda: kit.write(tmp_path, kit.full(), [Item("x", b"", row)])) == "too-large"  # noqa: B023
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name.startswith(".")]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """By the next one that writes; what another one is writing is left alone."""
    left = tmp_path / kit.PREFIX / "2026-11-20" / ".20261120T015834Z-full.part"
    left.mkdir(parents=True)
    (left / "0001.vol").write_bytes(b"x")

    def meanwhile() -> Iterator[Item]:
        assert not left.exists()
        kit.write(tmp_path, kit.full(days=1))
        yield from kit.ITEMS

    folder, _ = kit.write(tmp_path, kit.full(), meanwhile())
    assert items_of(folder) == list(kit.ITEMS)


# --- key files ---
def test_key_files(tmp_path: Path) -> None:
    """Made, read, and refused where they are no keys; nothing is overwritten, no key is shown."""
    private, public = tmp_path / "escrow.pem", tmp_path / "escrow.pub"
    make_escrow_key(private, public)
    assert private.stat().st_mode & 0o777 == 0o600
    assert load_recipient(public).key_id == load_opener(private).key_id
    private.chmod(0o644)
    assert load_opener(private, any_mode=True).key_id == load_recipient(public).key_id
    private.chmod(0o600)
    with pytest.raises(FileExistsError):
        make_escrow_key(private, public)
    secret = private.read_text()
    wrong: list[tuple[Callable[[Path], object], Path, str]] = [
        (load_recipient, private, "private key"), (load_opener, public, "is no private key"),
        (load_recipient, tmp_path / "none", "No such"), (load_recipient, tmp_path, "directory"),
    ]  # fmt: skip
    for load, path, word in wrong:
        with pytest.raises(ConfigError, match=word) as caught:
            load(path)
        assert secret.splitlines()[1] not in caught.value.message
    for octets in (b"", b"x", b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n", public.read_bytes()):
        private.write_bytes(octets)
        with pytest.raises(ConfigError):
            load_opener(private)
