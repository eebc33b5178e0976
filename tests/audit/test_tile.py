"""Tiles and bundles: paths as they are published, octets in and out, and which files a growing tree needs."""

from __future__ import annotations

import contextlib
import functools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.merkle import EMPTY_ROOT, SIZE_MAX, leaf_hash, root_of
from audit.tile import (
    LEVEL_MAX,
    NUMBER_MAX,
    WIDTH,
    Address,
    Edge,
    TileError,
    bundle_path,
    edges,
    pack_bundle,
    parse_path,
    read_edge,
    split_tile,
    subtree_of,
    tile_hash,
    tile_path,
    tiles_between,
    unpack_bundle,
)

WIDTHS = st.integers(1, WIDTH)
NUMBERS = st.integers(0, NUMBER_MAX)
ENTRIES = st.lists(st.binary(max_size=300), min_size=1, max_size=WIDTH)
MANY = 67_000  # 261 full tiles, one full tile above them, and a third level
HASHES = [leaf_hash(b"%d" % index) for index in range(MANY)]


# --- paths -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "level", "number", "width"),
    [
        ("tile/0/000", 0, 0, 256),
        ("tile/0/273.p/112", 0, 273, 112),
        ("tile/63/999", 63, 999, 256),
        ("tile/2/x001/000.p/1", 2, 1000, 1),
        ("tile/0/x001/x234/067", 0, 1_234_067, 256),
        ("tile/entries/x001/x234/067.p/255", None, 1_234_067, 255),
        ("tile/entries/000", None, 0, 256),
    ],
)
def test_paths_are_as_they_are_published(path: str, level: int | None, number: int, width: int) -> None:
    """Written and read."""
    assert parse_path(path) == Address(level, number, width)
    assert (bundle_path(number, width) if level is None else tile_path(level, number, width)) == path


@given(st.integers(0, LEVEL_MAX), NUMBERS, WIDTHS)
def test_paths_make_the_round_trip(level: int, number: int, width: int) -> None:
    """Of tiles and of bundles."""
    assert parse_path(tile_path(level, number, width)) == (level, number, width)
    assert parse_path(bundle_path(number, width)) == (None, number, width)


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/1000", "tile/0/x000/000",
        "tile/0/x001/x000", "tile/0/001/000", "tile/00/000", "tile/01/000", "tile/64/000", "tile/-1/000",
        "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/999", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p",
        "tile/0/000/", "/tile/0/000", "tile/0/../000", "tile/0/000\n", "tile/0/000.p/1\n", "tile/data/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/entries/x999/x999/x999/x999/x999/999", "tile/0/x001/x001/x001/x001/x001/x001/001", "tile//000",
        "tile/0/X001/000", "checkpoint",
    ],
)  # fmt: skip
def test_a_path_is_read_strictly(path: str) -> None:
    """One spelling of each, and nothing else."""
    with pytest.raises(TileError):
        parse_path(path)


@given(st.text(max_size=40) | st.from_regex(r"tile/[0-9e]{1,2}/[x0-9/]{3,12}(\.p/[0-9]{1,3})?", fullmatch=True))
def test_any_text_is_a_path_or_none(path: str) -> None:
    """And what is read is spelt in the same way."""
    with contextlib.suppress(TileError):
        level, number, width = parse_path(path)
        assert path == (bundle_path(number, width) if level is None else tile_path(level, number, width))


@pytest.mark.parametrize(
    "place", [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, NUMBER_MAX + 1, 1), (0, 0, 0), (0, 0, 257), (0, 0, -1)]
)
def test_no_path_is_written_of_what_is_no_tile(place: tuple[int, int, int]) -> None:
    """Level, number, width."""
    with pytest.raises(TileError):
        tile_path(*place)
    if place[0] == 0:
        with pytest.raises(TileError):
            bundle_path(*place[1:])


# --- bundles -----------------------------------------------------------------


@given(ENTRIES)
def test_bundles_make_the_round_trip(entries: list[bytes]) -> None:
    """Each entry behind its length; empty ones too."""
    packed = pack_bundle(entries)
    assert unpack_bundle(packed) == entries
    assert packed[:2] == len(entries[0]).to_bytes(2)


def test_the_longest_entries_fit() -> None:
    """65 535 octets, 256 of them; not one more of either."""
    longest = [bytes(65_535)] * WIDTH
    assert unpack_bundle(pack_bundle(longest)) == longest
    for entries in ([], [b""] * 257, [bytes(65_536)], [b"", bytes(65_536)]):
        with pytest.raises(TileError):
            pack_bundle(entries)
    for data in (b"", bytes(2 * 257), pack_bundle([b"a"] * WIDTH) + b"\0\0", pack_bundle([b"a"]) + b"\0"):
        with pytest.raises(TileError):
            unpack_bundle(data)


@given(st.binary(max_size=600))
def test_any_octets_are_a_bundle_or_none(data: bytes) -> None:
    """And a bundle is packed into the same octets."""
    with contextlib.suppress(TileError):
        assert pack_bundle(unpack_bundle(data)) == data


@given(ENTRIES, st.data())
def test_a_bundle_that_is_cut_has_fewer_entries_or_is_none(entries: list[bytes], data: st.DataObject) -> None:
    """Never an entry that was not there."""
    packed = pack_bundle(entries)
    with contextlib.suppress(TileError):
        fewer = unpack_bundle(packed[: data.draw(st.integers(0, len(packed) - 1))])
        assert fewer == entries[: len(fewer)]
        assert len(fewer) < len(entries)


# --- which tiles there are ------------------------------------------------------


def test_the_edges_of_sizes_that_are_known() -> None:
    """Those of the facts, and none of no hash."""
    assert edges(0) == []
    assert edges(1) == [(0, 0, 1)]
    assert edges(256) == [(1, 0, 1)]
    assert edges(65_536) == [(2, 0, 1)]
    assert edges(70_000) == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert edges(SIZE_MAX)[-1] == (7, 0, 127)


def test_the_tiles_of_growths_that_are_known() -> None:
    """A tile is written when its octets are new, and then only."""
    assert tiles_between(0, 0) == tiles_between(300, 300) == []
    assert tiles_between(0, 1) == [(0, 0, 1)]
    assert tiles_between(1, 2) == [(0, 0, 2)]
    assert tiles_between(255, 256) == [(0, 0, 256), (1, 0, 1)]
    assert tiles_between(256, 257) == [(0, 1, 1)]
    assert tiles_between(250, 520) == [(0, 0, 256), (0, 1, 256), (0, 2, 8), (1, 0, 2)]
    assert tiles_between(65_535, 65_536) == [(0, 255, 256), (1, 0, 256), (2, 0, 1)]
    whole = tiles_between(0, 70_000)
    assert (len(whole), whole[273], whole[274:]) == (277, (0, 273, 112), [(1, 0, 256), (1, 1, 17), (2, 0, 1)])


@pytest.mark.parametrize(("old", "new"), [(1, 0), (-1, 3), (0, SIZE_MAX + 1)])
def test_no_tree_shrinks(old: int, new: int) -> None:
    """Nor is one larger than a number of it."""
    with pytest.raises(TileError):
        tiles_between(old, new)
    with pytest.raises(TileError):
        edges(min(old, -1))


SIZES = st.integers(0, MANY) | st.integers(0, MANY // WIDTH).map(lambda tiles: tiles * WIDTH) | st.just(65_536)


@given(SIZES, SIZES)
def test_a_growth_needs_what_the_whole_needs_and_was_not_there(first: int, second: int) -> None:
    """By definition: the files of the new tree that the old one lacked, levels ascending."""

    def files(size: int) -> set[tuple[int, int, int]]:
        full = {
            (level, number, WIDTH) for level in range(8) for number in range((size >> 8 * level) // WIDTH)
        }  # fmt: skip
        return full | set(edges(size))

    old, new = sorted((first, second))
    found = tiles_between(old, new)
    assert set(found) == files(new) - files(old)
    assert found == sorted(found)
    assert len(set(found)) == len(found)


# --- the writer's edge ---------------------------------------------------------


@example([1, 255, 256, 65_535, 65_536, 65_537, MANY])
@given(st.lists(st.integers(0, 1_500), max_size=5).map(sorted))
def test_an_edge_writes_the_tiles_of_its_growth(sizes: list[int]) -> None:
    """At every size: the tiles that are due, octets that tell the truth, the root of all leaves."""
    edge, files, before = Edge(), dict[str, bytes](), 0
    assert edge.root() == EMPTY_ROOT
    for size in sizes:
        edge, tiles = edge.grow(HASHES[before:size])
        assert [place for place, _ in tiles] == tiles_between(before, size)
        assert edge.size == size
        assert edge.root() == root_of(HASHES[:size])
        for place, octets in tiles:
            path = tile_path(*place)
            assert path not in files
            files[path] = octets
        assert read_edge(files.__getitem__, size) == edge
        before = size
    for path, octets in files.items():
        level, number, width = parse_path(path)
        assert level is not None
        block = 1 << 8 * level
        first = number * WIDTH * block
        for place in (0, width // 2, width - 1):
            start = first + place * block
            assert octets[place * 32 :][:32] == root_of(HASHES[start : start + block])
        assert len(split_tile(octets, width)) == width


def test_an_edge_is_never_changed() -> None:
    """A write that failed is done again from the same edge; wrong hashes leave it as it is."""
    edge, _ = Edge().grow(HASHES[:300])
    kept = Edge(*edge)
    assert edge.grow(HASHES[300:600]) == edge.grow(iter(HASHES[300:600]))
    assert edge.grow([]) == (edge, [])
    with pytest.raises(TileError):
        edge.grow([HASHES[0], b"short"])
    assert edge == kept
    assert max(map(len, edge.rows)) < WIDTH * 32


def test_the_hash_over_a_full_tile_stands_above_it() -> None:
    """Of a full one only."""
    tile = b"".join(HASHES[:WIDTH])
    assert tile_hash(tile) == root_of(HASHES[:WIDTH])
    for wrong in (tile[:-32], tile + tile[:32], tile[:-1], b""):
        with pytest.raises(TileError):
            tile_hash(wrong)


# --- reading ----------------------------------------------------------------------


@functools.cache
def files_of(size: int) -> dict[str, bytes]:
    return {tile_path(*place): octets for place, octets in Edge().grow(HASHES[:size])[1]}


@given(st.sampled_from([1, 255, 256, 257, 700, 65_536, MANY]), st.data())
def test_full_blocks_are_read_out_of_tiles(size: int, data: st.DataObject) -> None:
    """Of every level: one hash, or some of one tile."""
    subtree = subtree_of(files_of(size).__getitem__, size)
    level = data.draw(st.integers(0, size.bit_length() - 1))
    number = data.draw(st.integers(0, (size >> level) - 1))
    assert subtree(level, number) == root_of(HASHES[number << level : (number + 1) << level])
    for wrong in ((level, size >> level), (level, -1), (size.bit_length(), 0), (-1, 0)):
        with pytest.raises(TileError):
            subtree(*wrong)


def test_the_full_tile_is_read_where_the_partial_one_is_gone() -> None:
    """As the standard allows: an earlier size is proven out of a later tree's files."""
    later = {path: octets for path, octets in files_of(700).items() if ".p/" not in path or path.startswith("tile/1")}
    later["tile/1/000.p/1"] = later["tile/1/000.p/2"][:32]
    subtree = subtree_of(later.__getitem__, 300)
    assert subtree(0, 299) == HASHES[299]
    assert read_edge(later.__getitem__, 300).root() == root_of(HASHES[:300])


@pytest.mark.parametrize("missing", [KeyError, FileNotFoundError])
def test_a_tile_that_is_gone_is_told(missing: type[Exception]) -> None:
    """With the error of who reads; a tile of another length is a TileError."""

    def read(path: str) -> bytes:
        if path == "tile/0/000":
            return bytes(8191)
        raise missing(path)

    subtree = subtree_of(read, 300)
    with pytest.raises(missing):
        subtree(0, 299)
    with pytest.raises(missing):
        subtree_of(read, 600)(0, 300)
    with pytest.raises(TileError):
        subtree(0, 0)
