"""Key files: several who add a key at once, each told a number that is then there."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from node.key_file import LOT_KEYS, add_key, load_keys


def _add(path: Path) -> tuple[int, bytes]:
    number = add_key(path, LOT_KEYS)
    return number, load_keys(path, LOT_KEYS).keys[number]


def test_no_key_that_was_told_is_lost(tmp_path: Path) -> None:
    """From several processes: a lot may have been made with it since."""
    path = tmp_path / "keys" / "lots.keys"
    with ProcessPoolExecutor(4) as pool:
        told = list(pool.map(_add, [path] * 40))
    assert sorted(number for number, _ in told) == list(range(1, 41))
    assert load_keys(path, LOT_KEYS).keys == dict(told)
    assert path.stat().st_mode & 0o777 == 0o600
