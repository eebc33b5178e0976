"""Published logs made for tests: folders of any stream and month, whole in all that a reader or a verifier looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.block import pack_blocks
from audit.checkpoint import Checkpoint
from audit.clients import Client, Clients
from audit.entry import dump
from audit.frame import Row
from audit.merkle import leaf_hash
from audit.note import ed25519_key, sign_note
from audit.tile import WIDTH, Edge, bundle_path, pack_bundle, tile_path
from core.clock import format_instant
from core.errors import Outcome
from core.events import Via
from core.peer import peer_of
from core.streams import Stream

SEED = bytes(range(32))
NODE = "88.118"
VERSION = "0.1.0"


class LogFolder:
    """The log of one stream and month, which grows by ``publish``. ``folder``: ``…/log/<stream>/<YYYY-MM>``.

    The first leaf of the month is there at once: ``before``, the checkpoint of the month before, or ``log.begin``.
    """

    def __init__(
        self, log: Path, stream: Stream, month: str, *,
        host: str = "node.example", seed: bytes = SEED, before: bytes = b"", clients_key: bytes = bytes(32),
    ) -> None:  # fmt: skip
        self.folder = log / stream.value / month
        self.stream, self.month = stream, month
        self.origin = f"{host}/log/{stream.value}/{month}"
        self.clients_key = clients_key
        self._clients = Clients(clients_key, 100_000)
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = ed25519_key(self.origin, self._private.public_key().public_bytes_raw())
        self.leaves: list[bytes] = []
        self._edge = Edge()
        self.folder.mkdir(parents=True)
        (self.folder / "vkey").write_text(f"{self.key.vkey}\n")
        begin = document(stream, 0, "log.begin", "")
        self.publish(before or dump(begin))

    @property
    def checkpoint(self) -> bytes:
        """The signed note of what is published."""
        return (self.folder / "checkpoint").read_bytes()

    def publish(self, *leaves: bytes) -> None:
        """Publish leaves, as the sequencer does: bundles, tiles, checkpoint."""
        begin = len(self.leaves) // WIDTH * WIDTH
        self.leaves += leaves
        self._edge, tiles = self._edge.grow(map(leaf_hash, leaves))
        for start in range(begin, len(self.leaves), WIDTH):
            entries = self.leaves[start : start + WIDTH]
            self._write(bundle_path(start // WIDTH, len(entries)), pack_bundle(entries))
        for (level, number, width), octets in tiles:
            self._write(tile_path(level, number, width), octets)
        text = Checkpoint(self.origin, self._edge.size, self._edge.root()).text
        temporary = self.folder / "checkpoint.new"
        temporary.write_bytes(sign_note(text, self.key, self._private.sign))
        temporary.replace(self.folder / "checkpoint")

    def resolutions(self, times: Sequence[int], rows: Sequence[Row]) -> None:
        """Publish resolutions, a time each, as blocks of at most 500; for the resolution log."""
        for start in range(0, len(rows), 500):
            pairs = [(at, 1) for at in times[start : start + 500]]
            blocks = pack_blocks(pairs, rows[start : start + 500], self._clients, NODE, VERSION)
            self.publish(*(leaf for leaf, _ in blocks))

    def entries(self, *documents: dict[str, Any]) -> None:
        """Publish entries, a leaf each; for the other three logs."""
        self.publish(*map(dump, documents))

    def client(self, address: bytes) -> Client:
        """Return the client of address octets, by the key of this month."""
        return self._clients[address]

    def remove_partials(self) -> None:
        """Remove the partial tiles that a full one stands for, as a log may."""
        for path in list(self.folder.rglob("*.p")):
            if path.with_suffix("").exists():
                for each in path.iterdir():
                    each.unlink()
                path.rmdir()

    def _write(self, path: str, octets: bytes) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(octets)


def document(
    stream: Stream, at_ms: int, action: str, target: str, *,
    outcome: str = "ok", reason: str | None = None, client: str | None = None, net: str | None = None,
    protocol: str | None = "http/v1",
) -> dict[str, Any]:  # fmt: skip
    """Return an entry of a log that is no resolution, in the schema of ``audit/entry.py``."""
    return {
        "v": 1, "stream": stream.value, "t": format_instant(at_ms), "act": action, "obj": target, "before": None,
        "after": None, "evidence": None, "who": {"type": "operator", "id": "t-1", "name": "Li", "auth": "token"},
        "from": {"client": client, "net": net, "port": 40_001 if client else None, "protocol": protocol},
        "res": {"code": outcome, "reason": reason}, "req": "1", "up": None, "node": NODE, "ver": VERSION,
    }  # fmt: skip


def row(
    identifier: str | bytes, *, via: Via = Via.JSON, outcome: Outcome = Outcome.OK,
    address: str = "192.0.2.1", port: int = 40_001, who: str = "",
) -> Row:  # fmt: skip
    """Return a resolution as a worker logs it."""
    octets = identifier.encode() if isinstance(identifier, str) else identifier
    return (via.value, outcome.value, peer_of((address, port)) if address else b"", octets, who)


def write_months_key(data: Path, month: str, key: bytes) -> None:
    """Write the key of a month's clients where the node keeps it."""
    place = data / "clients" / month / "key"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(key)
    place.chmod(0o600)
