"""Checkpoints and cosignatures: those of the vectors, and nothing else is taken for one."""

from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint, CheckpointError, cosign, cosignature_time, parse_checkpoint
from audit.merkle import EMPTY_ROOT, SIZE_MAX
from audit.note import NoteError, ed25519_key, open_note, sign_note, witness_key
from tests.kit.vectors import load

FIXED = load("transparency/fixed-log.json")
WITNESS = FIXED["witness"]
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(FIXED["seed"]))
KEY = ed25519_key(FIXED["name"], PRIVATE.public_key().public_bytes_raw())
WITNESS_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(WITNESS["seed"]))
WITNESS_KEY = witness_key(WITNESS["name"], WITNESS_PRIVATE.public_key().public_bytes_raw())
ROOT = base64.b64decode(FIXED["roots"]["3"])
CHECKPOINT = Checkpoint(FIXED["name"], 3, ROOT)
SIGNED = sign_note(CHECKPOINT.text, KEY, PRIVATE.sign)

ORIGINS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[chr(n) for n in range(32)]), min_size=1, max_size=80
)


def test_the_checkpoint_of_the_fixed_log() -> None:
    """At size 3, octet by octet: Ed25519 leaves no choice."""
    assert CHECKPOINT.text == f"{FIXED['name']}\n3\n{FIXED['roots']['3']}\n"
    line = f"\u2014 {FIXED['name']} {FIXED['checkpoint']['blob']}\n"
    assert f"{CHECKPOINT.text}\n{line}".encode() == SIGNED
    note = open_note(SIGNED, [KEY])
    assert (note.signed_by, parse_checkpoint(note.text)) == ((KEY,), CHECKPOINT)


def test_the_cosignature_of_the_vectors() -> None:
    """Made octet by octet, taken, and its time told."""
    line = cosign(CHECKPOINT.text, WITNESS_KEY, WITNESS["time"], WITNESS_PRIVATE.sign)
    assert line == f"\u2014 {WITNESS['name']} {WITNESS['blob']}\n"
    note = open_note(SIGNED + line.encode(), [KEY, WITNESS_KEY])
    assert note.signed_by == (KEY, WITNESS_KEY)
    assert cosignature_time(note, WITNESS_KEY) == WITNESS["time"]
    later = cosign(CHECKPOINT.text, WITNESS_KEY, WITNESS["time"] + 9, WITNESS_PRIVATE.sign)
    for lines in (later + line, line + later):
        assert cosignature_time(open_note(SIGNED + lines.encode(), [WITNESS_KEY]), WITNESS_KEY) == WITNESS["time"] + 9


def test_a_cosignature_counts_for_who_knows_the_witness() -> None:
    """A line that was not checked has no time; the log's own signature has none either."""
    line = cosign(CHECKPOINT.text, WITNESS_KEY, WITNESS["time"], WITNESS_PRIVATE.sign)
    note = open_note(SIGNED + line.encode(), [KEY])
    for key in (WITNESS_KEY, KEY):
        with pytest.raises(CheckpointError):
            cosignature_time(note, key)
    with pytest.raises(CheckpointError):
        cosignature_time(open_note(SIGNED, [KEY, WITNESS_KEY]), WITNESS_KEY)


def test_a_witness_signs_checkpoints_only() -> None:
    """With the key of a witness, at a time that there is."""
    for text, key, time_s in (
        ("no checkpoint\n", WITNESS_KEY, 1),
        (CHECKPOINT.text, KEY, 1),
        (CHECKPOINT.text, WITNESS_KEY, -1),
        (CHECKPOINT.text, WITNESS_KEY, 2**63),
    ):
        with pytest.raises(CheckpointError):
            cosign(text, key, time_s, lambda _: pytest.fail("signed"))
    with pytest.raises(NoteError):
        cosign(CHECKPOINT.text, WITNESS_KEY, 1, lambda _: b"short")


@given(ORIGINS, st.integers(1, SIZE_MAX), st.binary(min_size=32, max_size=32))
def test_checkpoints_make_the_round_trip(origin: str, size: int, root: bytes) -> None:
    """Any origin, size and root; through a note as well."""
    checkpoint = Checkpoint(origin, size, root)
    assert parse_checkpoint(checkpoint.text) == checkpoint
    assert parse_checkpoint(open_note(sign_note(checkpoint.text, KEY, PRIVATE.sign), [KEY]).text) == checkpoint


def test_the_checkpoint_of_nothing_has_the_root_of_nothing() -> None:
    """And no other."""
    empty = Checkpoint("a", 0, EMPTY_ROOT)
    assert parse_checkpoint(empty.text) == empty
    with pytest.raises(CheckpointError):
        parse_checkpoint(f"a\n0\n{FIXED['roots']['3']}\n")


def test_lines_of_extensions_are_left_alone() -> None:
    """Those of other logs; the three lines are read."""
    assert parse_checkpoint(CHECKPOINT.text + "an extension\nand another\n") == CHECKPOINT
    with pytest.raises(CheckpointError):
        parse_checkpoint(CHECKPOINT.text + "an extension\n\nafter an empty line\n")


@given(st.text(max_size=100) | st.from_regex(r"[a-z]{0,2}\n[0-9]{0,20}\n[A-Za-z0-9+/]{42,43}={0,1}\n"))
def test_any_text_is_a_checkpoint_or_none(text: str) -> None:
    """And its first three lines are written as they were read."""
    with contextlib.suppress(CheckpointError):
        assert text.startswith(parse_checkpoint(text).text)


B64 = FIXED["roots"]["3"]


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "a\n", "a\n3\n", f"a\n3\n{B64}", f"\n3\n{B64}\n", f"a\n\n{B64}\n", "a\n3\n\n", f"a\n03\n{B64}\n",
        f"a\n+3\n{B64}\n", f"a\n-3\n{B64}\n", f"a\n3 \n{B64}\n", f"a\n\u0663\n{B64}\n", f"a\n{2**63}\n{B64}\n",
        f"a\n1{'0' * 30}\n{B64}\n", f"a\n3\n{B64[:-4]}\n", f"a\n3\n{B64}AAAA\n", f"a\n3\n{B64[:-1]}\n",
        f"a\n3\n{B64[:-2]}t=\n", f"a\n3\n {B64}\n", f"a\tb\n3\n{B64}\n", f"a\r\n3\n{B64}\n", f"a\n3\r\n{B64}\n",
        f"{'a' * 1025}\n3\n{B64}\n", f"\ud800\n3\n{B64}\n", f"a\n3\n{B64}\n" + "x" * 65_536 + "\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Other spellings of numbers and of Base64 too: one checkpoint has one text."""
    with pytest.raises(CheckpointError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 1, ROOT),
        Checkpoint("a\nb", 1, ROOT),
        Checkpoint("a", -1, ROOT),
        Checkpoint("a", SIZE_MAX + 1, ROOT),
        Checkpoint("a", 1, ROOT[:-1]),
        Checkpoint("a", 0, ROOT),
    ],
)
def test_what_is_no_checkpoint_has_no_text(checkpoint: Checkpoint) -> None:
    """So it is never signed."""
    with pytest.raises(CheckpointError):
        _ = checkpoint.text
