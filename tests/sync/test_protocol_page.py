"""docs/reference/upstream-protocol.md says what the code does: its example, its messages, its refusals, its bounds."""

from __future__ import annotations

import re
from pathlib import Path

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core import limits
from core.signature import Signer, key_id
from sync import messages
from sync.digests import items_digest
from sync.envelope import QUESTION, open_envelope, seal
from sync.form import decode
from sync.messages import Delta, Item
from sync.topnode.refusals import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "upstream-protocol.md").read_text("utf-8")
NODE, TOP = (Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(start, start + 32)))) for start in (0, 32))
NUMBER = 1_795_317_514_126_000
ITEMS = (Item(5, 2, b"88.118.7/SKU01", None),)
MESSAGE = Delta("T9", 4, 5, items_digest(ITEMS), ITEMS)
RECORDS = (messages.Item, messages.Range, messages.Holding, messages.Refused, messages.Made)


def octets(name: str) -> bytes:
    """Return octets of the example."""
    found = re.search(rf"^{re.escape(name)}\n((?:    [0-9a-f]+\n)+)", PAGE, re.MULTILINE)
    assert found, name
    return bytes.fromhex(re.sub(r"\s", "", found[1]))


def test_the_example_is_what_it_says() -> None:
    """From the fixed keys: opened, decoded, and made again from its payload to the octet."""
    assert octets("public key of the node") == NODE.public_key
    assert octets("items") == msgpack.packb(ITEMS)
    assert octets("digest (SHA-256 of items)") == MESSAGE.digest
    assert octets("message (msgpack)") == msgpack.packb(("Delta", *MESSAGE))
    assert decode(octets("payload (zstd)")) == MESSAGE
    opened = open_envelope(QUESTION, octets("envelope"))
    assert opened == (NODE.public_key, NUMBER, key_id(TOP.public_key), octets("payload (zstd)"))
    assert seal(QUESTION, NODE, NUMBER, key_id(TOP.public_key), opened.payload) == octets("envelope")
    assert key_id(TOP.public_key) in PAGE and str(NUMBER) in PAGE


@pytest.mark.parametrize("kind", [*messages.Message.__args__, *RECORDS], ids=lambda kind: kind.__name__)
def test_each_message_has_its_members_in_their_order(kind: type) -> None:
    """Those of the class."""
    found = re.search(rf"\| {kind.__name__}(?: \|)? `([^`]+)`", PAGE)
    assert found
    assert found[1].split(", ") == list(kind._fields)  # type: ignore[attr-defined]


def test_each_refusal_is_there_in_both_languages() -> None:
    """As the reference top node says it."""
    told = re.findall(r"^\| `([a-z-]+)` \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    rules = {rule: (zh, en) for rule, en, zh in told}
    assert {rule: rules.get(rule) for rule in RULES} == RULES


def test_bounds() -> None:
    """Those of the code."""
    assert "| an envelope; a message unpacked | 16 MiB; 32 MiB |" in PAGE
    assert (limits.UPSTREAM_BODY_BYTES_MAX, limits.UPSTREAM_MESSAGE_BYTES_MAX) == (16 << 20, 32 << 20)
    assert (limits.UPSTREAM_ITEMS_MAX, limits.UPSTREAM_BATCH_ITEMS, limits.UPSTREAM_RANGE_ROWS) == (
        10_000,
        5_000,
        4_096,
    )
    assert (limits.UPSTREAM_BATCH_BYTES, limits.UPSTREAM_ROW_BYTES_MAX) == (4 << 20, 8 << 20)
    assert (limits.UPSTREAM_KEY_BYTES_MAX, limits.UPSTREAM_CODES_MAX, limits.UPSTREAM_TIMEOUT_S) == (480, 64, 30)
    assert (limits.UPSTREAM_PART_BYTES, limits.UPSTREAM_REFUSED_MAX) == (1 << 20, 10_000)
