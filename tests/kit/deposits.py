"""Deposits for tests: fixed keys, small content, and forged ones that the node itself signed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from core import limits
from core.clock import Millis
from core.signature import Signer, key_id
from sync import messages
from sync.escrow.deposit import HEAD, read_head, write_deposit
from sync.escrow.head import DIFF, FULL, Opening, deposit_id, format_head
from sync.escrow.item import Head, Item, Volume
from sync.escrow.sealing import X25519Opener, X25519Recipient
from sync.escrow.sending import DepositCourier, DepositSent

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER_SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
NODE = key_id(SIGNER.public_key)
SECRET = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
OPENER = X25519Opener(SECRET)
RECIPIENT = X25519Recipient(SECRET.public_key())
OTHER_SECRET = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
PREFIX = "88.118"
DAY_MS = 86_400_000
START = Millis(1_795_317_514_126)  # 2026-11-22 in UTC
ITEMS = (
    Item("head", b"", b"1"),
    Item("records", b"88.118.7/SKU01", b"a record"),
    Item("records", b"88.118.7/SKU02", b"another record"),
    Item("lot-key", b"\x00\x01", b"k" * 32),
)


def full(watermark: int = 100, *, days: int = 0, revision: int = 0) -> Opening:
    return Opening(PREFIX, FULL, watermark, 0, revision, "", Millis(START + days * DAY_MS))


def diff(previous: Head, watermark: int, *, days: int) -> Opening:
    made_ms = Millis(START + days * DAY_MS)
    return Opening(PREFIX, DIFF, watermark, previous.watermark, 0, previous.deposit, made_ms)


def write(
    out: Path, opening: Opening, items: Iterable[Item] = ITEMS, *, volume_bytes: int = 40, signer: Signer = SIGNER,
    recipient: X25519Recipient = RECIPIENT,
) -> tuple[Path, Head]:  # fmt: skip
    return write_deposit(out, items, opening, recipient, signer, volume_bytes=volume_bytes)


def noise(octets: int, seed: int = 0) -> bytes:
    """Return octets that no compressor makes shorter."""
    return hashlib.shake_256(seed.to_bytes(4)).digest(octets)


def week(out: Path) -> list[tuple[Path, Head]]:
    """Write a FULL, and a DIFF on each of three days behind it."""
    made = [write(out, full())]
    for day in (1, 2, 3):
        items = (Item("records", b"88.118.7/SKU01", None), Item("records", b"day", bytes((day,))))
        made.append(write(out, diff(made[-1][1], 100 + day, days=day), items))
    return made


def sign_again(folder: Path, signer: Signer = SIGNER, **members: object) -> None:
    """Have the node sign another head, with the volumes as they lie there unless others are given."""
    head = read_head(folder)
    volumes = []
    for path in sorted(folder.glob("*.vol")):
        data = path.read_bytes()
        volumes.append(Volume(path.name, len(data), hashlib.sha256(data).hexdigest()))
    head = head._replace(node=key_id(signer.public_key), volumes=tuple(volumes))._replace(**members)
    (folder / HEAD).write_bytes(format_head(head, signer))


def forge(folder: Path, compressed: bytes, **members: object) -> Path:
    """Make a deposit of any compressed content, sealed and signed as it should be."""
    folder.mkdir(parents=True)
    opening = full()
    sealed_key, seal = RECIPIENT.begin(f"{NODE}/{deposit_id(opening)}".encode())
    size = limits.ESCROW_CHUNK_BYTES
    starts = range(0, max(len(compressed), 1), size)
    data = b"".join(seal.seal(compressed[at : at + size], last=at == starts[-1]) for at in starts)
    (folder / "0001.vol").write_bytes(data)
    volume = Volume("0001.vol", len(data), hashlib.sha256(data).hexdigest())
    head = Head(
        deposit_id(opening), NODE, PREFIX, FULL, opening.watermark, 0, 0, "", opening.made_ms, (), 0,
        hashlib.sha256().hexdigest(), RECIPIENT.algorithm, RECIPIENT.key_id, sealed_key, (volume,),
    )  # fmt: skip
    (folder / HEAD).write_bytes(format_head(head._replace(**members), SIGNER))
    return folder


def forge_content(folder: Path, content: bytes, **members: object) -> Path:
    """Make a deposit of any content."""
    told = {"content_octets": len(content), "content_sha256": hashlib.sha256(content).hexdigest()}
    return forge(folder, zstandard.ZstdCompressor().compress(content), **(told | members))


class Sender:
    """The node's side: what is kept is all that a restart has."""

    def __init__(self, *folders: Path) -> None:
        self.folders = {path.name: path for path in folders}
        self.kept: dict[str, DepositSent] = {}
        self.now = START
        self.restart()

    def restart(self) -> None:
        self.courier = DepositCourier(lambda: self.folders, self.kept, self.kept.__setitem__)

    def run(self, ask: Callable[[messages.Question], messages.Answer]) -> None:
        for _ in range(2_000):
            if not self.courier.step(ask, self.now):
                return
        raise AssertionError("it never ends")

    def later(self, milliseconds: int = limits.ESCROW_RETRY_MS) -> None:
        self.now = Millis(self.now + milliseconds)

    def stages(self) -> list[str]:
        return [self.kept[deposit].stage for deposit in sorted(self.kept)]
