"""docs/reference/escrow-format.md says enough: its example is read here by what the page says alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core import limits
from sync.escrow.deposit import HEAD, open_items, read_head
from sync.escrow.head import PURPOSE
from sync.escrow.item import Head
from sync.escrow.sealing import load_opener
from tests.kit import deposits as kit

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "escrow-format.md").read_text("utf-8")
BLOCKS = re.findall(r"```(?:json)?\n(.*?)\n```", PAGE, re.DOTALL)
PEM, HEAD_TEXT, VOLUMES, ITEMS = BLOCKS


def key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:32]


def read(deposit_json: bytes, volumes: dict[str, bytes], pem: bytes) -> list[list[Any]]:
    """Read a deposit by the page: a second, straightforward reader."""
    head = json.loads(deposit_json)
    signature = head.pop("signature")
    text = json.dumps(head, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    public = base64.b64decode(signature["public_key"])
    Ed25519PublicKey.from_public_bytes(public).verify(
        base64.b64decode(signature["value"]), b"saltern escrow deposit 1\n" + text
    )
    assert head["node"] == key_id(public)
    for volume in head["volumes"]:
        data = volumes[volume["name"]]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (volume["octets"], volume["sha256"])
    private = serialization.load_pem_private_key(pem, None)
    assert isinstance(private, X25519PrivateKey)
    receiver = private.public_key().public_bytes_raw()
    assert head["recipient"] == key_id(receiver)
    sealed = base64.b64decode(head["sealed_key"])
    shared = private.exchange(X25519PublicKey.from_public_bytes(sealed[:32]))
    info = b"saltern escrow x25519-aes256gcm\0" + sealed[:32] + receiver + f"{head['node']}/{head['deposit']}".encode()
    wrapping = HKDF(hashes.SHA256(), 32, None, info).derive(shared)
    cipher = AESGCM(AESGCM(wrapping).decrypt(bytes(12), sealed[32:], None))
    stream = b"".join(volumes[volume["name"]] for volume in head["volumes"])
    chunks = [stream[at : at + 65_552] for at in range(0, len(stream), 65_552)]
    compressed = b"".join(
        cipher.decrypt(number.to_bytes(11, "big") + bytes([number == len(chunks) - 1]), chunk, None)
        for number, chunk in enumerate(chunks)
    )
    content = zstandard.ZstdDecompressor().decompressobj().decompress(compressed)
    assert (len(content), hashlib.sha256(content).hexdigest()) == (head["content_octets"], head["content_sha256"])
    return list(msgpack.Unpacker(BytesIO(content)))


def test_the_example_is_read_by_what_the_page_says(tmp_path: Path) -> None:
    """By the straightforward reader, and by ours: the items that the page lists."""
    volumes = {name: base64.b64decode(data) for name, data in (line.split() for line in VOLUMES.splitlines())}
    listed = [
        [table, bytes.fromhex(key[2:]), bytes.fromhex(row[2:])]
        for table, key, row in map(str.split, ITEMS.splitlines())
    ]
    assert read(HEAD_TEXT.encode(), volumes, PEM.encode()) == listed
    for name, octets in {**volumes, HEAD: HEAD_TEXT.encode(), "key.pem": PEM.encode()}.items():
        (tmp_path / name).write_bytes(octets)
        (tmp_path / name).chmod(0o600)
    assert [list(item) for item in open_items(tmp_path, load_opener(tmp_path / "key.pem"))] == listed


@pytest.mark.parametrize("octets", [0, 65_520, 200_000])
def test_what_is_written_now_is_read_by_what_the_page_says(tmp_path: Path, octets: int) -> None:
    """One chunk, about one, several, in several volumes."""
    items = [*kit.ITEMS, kit.Item("records", b"big", kit.noise(octets))]
    folder, _ = kit.write(tmp_path, kit.full(), items, volume_bytes=50_000)
    volumes = {path.name: path.read_bytes() for path in folder.glob("*.vol")}
    pem = kit.SECRET.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert read((folder / HEAD).read_bytes(), volumes, pem) == [list(item) for item in items]


def test_the_page_names_all_members_and_bounds(tmp_path: Path) -> None:
    """Those of the head, and the numbers of core/limits.py."""
    named = set(re.findall(r"`(\w+)`", "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))))
    assert {*Head._fields, "version", "signature"} <= named
    assert read_head(kit.write(tmp_path, kit.full())[0])._fields == Head._fields
    assert f"saltern {PURPOSE}" in PAGE
    for text, bound in (
        ("65 536", limits.ESCROW_CHUNK_BYTES), ("16 MiB", limits.ESCROW_ITEM_BYTES_MAX),
        ("8 MiB", limits.ESCROW_WINDOW_BYTES_MAX), ("1 MiB", limits.ESCROW_HEAD_BYTES_MAX),
    ):  # fmt: skip
        number, unit = re.fullmatch(r"([\d ]+?)( MiB)?", text).groups()  # type: ignore[union-attr]
        assert int(number.replace(" ", "")) * (1_048_576 if unit else 1) == bound
        assert text in PAGE
