"""Rows of the table TEMPLATES: metadata templates, a row a version, keyed by folded code, "@" and version.

0  1  version (1)
1     msgpack map: template (its members in order, items as lists), state, filer, added_ms, published_ms,
      withdrawn_ms
META  key "templates": number of versions of each party, "" of the node, msgpack map with the version before it

What a template says never changes once it is published. The key: ``core/wire/metadata.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgpack

from core.clock import Millis, read_millis
from core.errors import StoreError
from core.who import Who, unpack_who
from core.wire.metadata import DATA_TYPES, Item, MetadataTemplate, is_code, is_version

TEMPLATES_KEY: Final = b"templates"
_VERSION: Final = b"\x01"
_CACHED: Final = 64  # versions; one of 200 items takes some 100 KiB
_LEVELS: Final = 4
_ITEM: Final = (str, str, str, int, bool, str)


class TemplateState(Enum):
    """How far a version has come. The value is stored: never rename one."""

    DRAFT = "draft"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"

    __hash__ = object.__hash__  # members are singletons


class TemplateRow(NamedTuple):
    """A version of a template, and what became of it. Times are 0 before it happened."""

    template: MetadataTemplate
    state: TemplateState
    filer: Who
    added_ms: Millis
    published_ms: Millis = Millis(0)
    withdrawn_ms: Millis = Millis(0)


def pack_template(row: TemplateRow) -> bytes:
    """Return the row of a version."""
    packed: bytes = msgpack.packb(row._asdict() | {"state": row.state.value})
    return _VERSION + packed


@lru_cache(maxsize=_CACHED)
def unpack_template(row: bytes) -> TemplateRow:
    """Read the row of a version. Errors: StoreError if it cannot be read.

    Cached: every record that is bound to it is checked against it.
    """
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        found = TemplateRow(**msgpack.unpackb(row[1:]))
        times = (read_millis(each) for each in (found.added_ms, found.published_ms, found.withdrawn_ms))
        return TemplateRow(_template(found.template), TemplateState(found.state), unpack_who(found.filer), *times)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a row of templates cannot be read: {error}") from None


def pack_template_counts(counts: Mapping[str, int]) -> bytes:
    """Return the row of the numbers of versions."""
    packed: bytes = msgpack.packb(dict(counts))
    return _VERSION + packed


def unpack_template_counts(row: bytes | None) -> dict[str, int]:
    """Return the number of versions of each party that has any; no row is none.

    Errors: StoreError if it cannot be read.
    """
    if row is None:
        return {}
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        counts: dict[str, int] = dict(msgpack.unpackb(row[1:]))
        if not all(isinstance(party, str) and type(count) is int and count > 0 for party, count in counts.items()):
            raise ValueError("no count")
        return counts
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"the numbers of templates cannot be read: {error}") from None


def _template(packed: Any) -> MetadataTemplate:
    template = MetadataTemplate(*packed)
    texts = (template.code, template.version, template.name, template.description, template.party, *template.industry)
    if not all(isinstance(text, str) for text in texts) or len(template.industry) != _LEVELS:
        raise ValueError("a text of the template")
    if not (is_code(template.code) and is_version(template.version) and isinstance(template.active, bool)):
        raise ValueError("code, version or object type")
    section, division, group, kind = template.industry
    items = tuple(map(_item, template.items))
    return template._replace(industry=(section, division, group, kind), items=items)


def _item(packed: Any) -> Item:
    item = Item(*packed)
    if tuple(map(type, item)) != _ITEM or item.type not in DATA_TYPES or item.length < 1:
        raise ValueError("an item")
    return item
