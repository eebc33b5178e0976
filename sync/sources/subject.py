"""T6, a row a party, and T1, the party that the operator of the node was filed as.

Identity data is opened with the key file at each look. A party that came with its prefix from another node has none
until it is completed: those fields are None. A field that does not open is an error, and not None: a row must not say
that nothing was filed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from core.changes import ChangeKind
from core.clock import shanghai_date
from core.config import Config
from core.errors import ConfigError, SealError
from core.keyring import KeyRing
from core.limits import UPSTREAM_IMAGE_BYTES_MAX
from core.party.fields import FIELDS
from core.party.seal import unseal
from core.store.engine import Snapshot, Table
from core.store.party_rows import PartyRow, unpack_party
from sync.digests import RowsDigest
from sync.row_checks import OPERATOR_KEY
from sync.subject_fields import IMAGES, ORGANISATION, PERSON
from sync.table import Operation, TableKind, pack_row
from sync.tables import TABLES, values

LoadKeys = Callable[[], KeyRing]

_K: Final = ChangeKind
_KINDS: Final = frozenset({_K.PARTY_ADDED, _K.PARTY_CHANGED, _K.PARTY_VERIFIED, _K.PARTY_CONFIRMED})
_MAGIC: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class Parties:
    """Table T6. An import tells of its party by PARTY_ADDED, as a filing does."""

    table: Final = TABLES["T6"]
    kinds: Final = _KINDS

    def __init__(self, load_keys: LoadKeys) -> None:
        self._load_keys = load_keys

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        """Return the party."""
        return identifier, Operation.NONE

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        """Return the row of a party. Errors: ConfigError (key file), SealError, StoreError."""
        row = snapshot.get(Table.PARTIES, key)
        return (
            None if row is None else pack_row(_values(self.table, key.decode(), unpack_party(row), self._load_keys()))
        )

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Yield ids and rows of parties. Errors: as of ``row``."""
        ring = None
        for key, row in snapshot.scan(Table.PARTIES, start, stop):
            ring = ring or self._load_keys()
            yield key, pack_row(_values(self.table, key.decode(), unpack_party(row), ring))

    def context(self, snapshot: Snapshot) -> bytes:
        """Rows rest on the store alone: keys open what is in it."""
        return b""

    def latest(self, snapshot: Snapshot) -> int:
        """Return the serial of the store."""
        return snapshot.serial()


class OperatorParty:
    """Table T1: one row, or none where ``party`` (the setting sync.operator) is empty. ``images``: by field."""

    table: Final = TABLES["T1"]
    kinds: Final[frozenset[ChangeKind]] = frozenset()

    def __init__(self, load_keys: LoadKeys, party: str, images: Mapping[str, Path]) -> None:
        self._load_keys = load_keys
        self._party = party
        self._images = images

    def touched(self, kind: ChangeKind, identifier: bytes) -> tuple[bytes, Operation] | None:
        """Return None: the table is sent whole."""
        return None

    def row(self, snapshot: Snapshot, key: bytes) -> bytes | None:
        """Return the row of the operator. Errors: ConfigError (party, key file, image), SealError, StoreError."""
        if key != OPERATOR_KEY or not self._party:
            return None
        row = snapshot.get(Table.PARTIES, self._party.encode(errors="replace"))
        if row is None:
            raise ConfigError(
                f"sync.operator：没有主体 {self._party!r}。sync.operator: there is no party {self._party!r}",
                setting="sync.operator",
            )
        images = {name: _image(name, path) for name, path in self._images.items()}
        return pack_row(_values(self.table, self._party, unpack_party(row), self._load_keys(), **images))

    def rows(self, snapshot: Snapshot, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Yield the row if it lies in the range. Errors: as of ``row``."""
        row = self.row(snapshot, OPERATOR_KEY)
        if row is not None and start <= OPERATOR_KEY and (stop is None or stop > OPERATOR_KEY):
            yield OPERATOR_KEY, row

    def context(self, snapshot: Snapshot) -> bytes:
        """Return the digest of the row. Errors: as of ``row``."""
        digest = RowsDigest()
        for key, row in self.rows(snapshot, b"", None):
            digest.add(key, row)
        return digest.digest()

    def latest(self, snapshot: Snapshot) -> int:
        """Return 1: the table has no serials."""
        return 1


def operator_party(config: Config, load_keys: LoadKeys) -> OperatorParty:
    """Return the source of T1 as the settings have it."""
    paths = {name: config.file(f"sync.{name}") for name in IMAGES}
    images = {name: path for name, path in paths.items() if path is not None}
    return OperatorParty(load_keys, config.text("sync.operator"), images)


# --- pieces ---
def _values(table: TableKind, name: str, party: PartyRow, ring: KeyRing, **images: bytes) -> list[Any]:
    """Return the values of a row of T1 or T6. Errors: SealError, which names the party."""
    try:
        opened = {field: unseal(ring, sealed, name, field) for field, sealed in party.sealed.items()}
    except SealError as error:
        raise SealError(f"{name}: {error.message} ({error.fields.get('field')})", party=name) from None
    filed = {**party.plain, **opened}
    return values(
        table,
        **{field.name: filed.get(field.name) for field in FIELDS},
        **images,
        party=name,
        kind=PERSON if party.person else ORGANISATION,
        verified=party.state.value,
        steps=[[step.at_ms, step.method, step.source, step.evidence or None, step.result] for step in party.steps],
        confirmed=shanghai_date(party.confirmed_ms).isoformat() if party.confirmed_ms else None,
    )


def _image(name: str, path: Path) -> bytes:
    """Read a photograph. Errors: ConfigError."""
    try:
        if not path.is_file():  # whoever opens a pipe waits
            raise OSError("no file")
        with path.open("rb") as file:
            image = file.read(UPSTREAM_IMAGE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"sync.{name}：无法读取 {path}。sync.{name}: cannot read {path}: {error.strerror or error}",
            setting=f"sync.{name}",
        ) from None
    if len(image) > UPSTREAM_IMAGE_BYTES_MAX or not image.startswith(_MAGIC):
        raise ConfigError(
            f"sync.{name}：应为不超过 {UPSTREAM_IMAGE_BYTES_MAX} 字节的 PNG 或 JPEG 图片。"
            f"sync.{name}: wants a PNG or JPEG image of at most {UPSTREAM_IMAGE_BYTES_MAX} octets",
            setting=f"sync.{name}",
        )
    return image
