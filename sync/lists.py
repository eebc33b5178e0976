"""msgpack of others, taken apart within bounds: what is a few octets on its way must not be gigabytes in memory."""

from __future__ import annotations

from typing import Any

import msgpack


def unpack_lists(packed: bytes, lists_max: int, members_max: int) -> Any:
    """Return what msgpack without maps says: so many lists at most, of so many members each. An empty list takes one
    octet there and 60 in memory. Errors: ValueError, msgpack.UnpackException.
    """
    lists = 0

    def count(found: list[Any]) -> list[Any]:
        nonlocal lists
        lists += 1
        if lists > lists_max:
            raise ValueError("lists")
        return found

    return msgpack.unpackb(packed, list_hook=count, object_hook=_no_map, max_array_len=members_max, max_map_len=0)


def _no_map(_: Any) -> Any:
    raise ValueError("map")
