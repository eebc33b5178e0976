"""Signed notes: those of others are opened, those of ours are signed, and nothing else is taken for one."""

from __future__ import annotations

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.note import (
    LINES_MAX,
    NAME_CHARS_MAX,
    NOTE_BYTES_MAX,
    TEXT_BYTES_MAX,
    NoteError,
    NoteKey,
    SignatureLine,
    cosigned_octets,
    decode_base64,
    ed25519_key,
    open_note,
    parse_vkey,
    sign_note,
    signature_line,
    witness_key,
)
from tests.kit.vectors import load

VECTOR = load("transparency/note.json")
FIXED = load("transparency/fixed-log.json")
WITNESS = FIXED["witness"]
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
OTHER_PUBLIC = OTHER.public_key().public_bytes_raw()
KEY = ed25519_key("node.example/log", PUBLIC)
OTHER_KEY = ed25519_key("other.example", OTHER_PUBLIC)
WITNESS_KEY = witness_key("witness.example/w1", OTHER_PUBLIC)
TEXT = "a text\n\nwith an empty line\n"
SIGNED = sign_note(TEXT, KEY, PRIVATE.sign)

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters=[chr(n) for n in range(32) if n != 10])
TEXTS = st.text(CHARACTERS, max_size=200).map(lambda text: text + "\n")
NAMES = st.text(CHARACTERS, min_size=1, max_size=30).filter(
    lambda name: "+" not in name and not any(each.isspace() for each in name)
)


def stranger(number: int, blob: bytes = b"signature") -> bytes:
    """A line of somebody whom nobody knows."""
    return f"\u2014 name-{number} {base64.b64encode(bytes(4) + blob).decode()}\n".encode()


# --- the published vectors ------------------------------------------------------


def test_the_published_note_is_opened() -> None:
    """By the published key."""
    key = parse_vkey(VECTOR["vkey"])
    assert (key.name, key.vkey) == (VECTOR["name"], VECTOR["vkey"])
    data = f"{VECTOR['text']}\n\u2014 {VECTOR['name']} {VECTOR['blob']}\n".encode()
    note = open_note(data, [key])
    assert (note.text, note.signed_by) == (VECTOR["text"], (key,))
    assert note.lines == (SignatureLine(key.name, key.key_id, base64.b64decode(VECTOR["blob"])[4:]),)
    with pytest.raises(NoteError):
        open_note(data.replace(b"example message", b"exemplary message"), [key])


@pytest.mark.parametrize(("make", "vector"), [(ed25519_key, FIXED), (witness_key, WITNESS)], ids=["01", "04"])
def test_keys_are_written_as_published(make: type[NoteKey], vector: dict[str, str]) -> None:
    """Both kinds, and read again."""
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"]))
    key = make(vector["name"], private.public_key().public_bytes_raw())
    assert key.vkey == vector["vkey"]
    assert parse_vkey(vector["vkey"]) == key


# --- what is signed is opened -----------------------------------------------------


@given(TEXTS, NAMES)
def test_notes_make_the_round_trip(text: str, name: str) -> None:
    """Any text, any name; the text may have empty lines, at its end too."""
    key = ed25519_key(name, PUBLIC)
    note = open_note(sign_note(text, key, PRIVATE.sign), [OTHER_KEY, key])
    assert (note.text, note.signed_by) == (text, (key,))
    assert parse_vkey(key.vkey) == key


def test_unknown_signers_prove_nothing_and_spoil_nothing() -> None:
    """Before and behind those that are known; alone they leave a note that nobody signed."""
    body, _, mine = SIGNED.rpartition(b"\n\n")
    note = open_note(body + b"\n\n" + stranger(1) + mine + stranger(2), [KEY])
    assert note.signed_by == (KEY,)
    assert [line.name for line in note.lines] == ["name-1", KEY.name, "name-2"]
    assert open_note(body + b"\n\n" + stranger(1), [KEY]).signed_by == ()
    assert open_note(SIGNED, []).signed_by == ()
    assert open_note(SIGNED, [ed25519_key(KEY.name, OTHER_PUBLIC), witness_key(KEY.name, PUBLIC)]).signed_by == ()


def test_a_forged_line_of_a_known_signer_spoils_the_note() -> None:
    """Also beside a good one of the same key, before or behind it, and beside that of another key."""
    forged = signature_line(KEY, OTHER.sign(TEXT.encode())).encode()
    body, _, mine = SIGNED.rpartition(b"\n\n")
    other = signature_line(OTHER_KEY, OTHER.sign(TEXT.encode())).encode()
    for under in (forged, forged + mine, mine + forged, other + forged):
        assert open_note(body + b"\n\n" + under, [WITNESS_KEY]).signed_by == ()
        with pytest.raises(NoteError):
            open_note(body + b"\n\n" + under, [KEY, OTHER_KEY])
    assert open_note(body + b"\n\n" + other + mine + mine, [KEY, OTHER_KEY]).signed_by == (OTHER_KEY, KEY)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 72])
def test_a_signature_of_another_length_spoils_the_note(length: int) -> None:
    """And is not written."""
    blob = bytes(length)
    line = f"\u2014 {KEY.name} {base64.b64encode(KEY.key_id + blob).decode()}\n".encode()
    with pytest.raises(NoteError):
        open_note(TEXT.encode() + b"\n" + line, [KEY])
    with pytest.raises(NoteError):
        signature_line(KEY, blob)
    with pytest.raises(NoteError):
        sign_note(TEXT, KEY, lambda _: blob)


def test_a_witness_signs_the_text_and_the_time() -> None:
    """Not the text alone, and no other time; a note itself is not signed so."""
    good = (1_763_683_200).to_bytes(8) + OTHER.sign(cosigned_octets(TEXT, 1_763_683_200))
    assert cosigned_octets("x\n", 7) == b"cosignature/v1\ntime 7\nx\n"
    note = open_note(SIGNED + signature_line(WITNESS_KEY, good).encode(), [KEY, WITNESS_KEY])
    assert note.signed_by == (KEY, WITNESS_KEY)
    for wrong in (bytes(8) + good[8:], good[:8] + OTHER.sign(TEXT.encode()), bytes([255]) * 8 + good[8:]):
        with pytest.raises(NoteError):
            open_note(SIGNED + signature_line(WITNESS_KEY, wrong).encode(), [KEY, WITNESS_KEY])
    for length in (64, 72):
        with pytest.raises(NoteError):
            sign_note(TEXT, WITNESS_KEY, lambda _, length=length: bytes(length))  # type: ignore[misc]


def test_one_key_under_two_names_has_two_ids() -> None:
    """And two kinds: a signature under one is none under the other."""
    first, second = ed25519_key("node.example/a", PUBLIC), ed25519_key("node.example/b", PUBLIC)
    assert len({first.key_id, second.key_id, witness_key("node.example/a", PUBLIC).key_id}) == 3
    assert open_note(sign_note(TEXT, first, PRIVATE.sign), [second]).signed_by == ()


# --- what is refused ----------------------------------------------------------------


@given(st.data())
def test_a_changed_octet_is_seen(data: st.DataObject) -> None:
    """Anywhere: no note, a wrong signature, or another signer. Never the text as changed, signed by the key."""
    changed = bytearray(SIGNED)
    changed[data.draw(st.integers(0, len(SIGNED) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(NoteError):
        assert open_note(bytes(changed), [KEY]).signed_by == ()


@given(st.binary(max_size=300))
def test_any_octets_are_a_note_or_none(data: bytes) -> None:
    """Alone, as a text, and under one."""
    for each in (data, data + SIGNED, SIGNED + data, TEXT.encode() + b"\n\xe2\x80\x94 " + data + b"\n"):
        with contextlib.suppress(NoteError):
            open_note(each, [KEY, WITNESS_KEY])


@given(st.text(max_size=100) | st.from_regex(r"[a-z.]{0,5}\+[0-9a-f]{7,9}\+[A-Za-z0-9+/]{0,60}={0,2}"))
def test_any_text_is_a_key_or_none(text: str) -> None:
    """And a key is written as it was read."""
    with contextlib.suppress(NoteError):
        assert parse_vkey(text).vkey == text


LINE = signature_line(KEY, PRIVATE.sign(b"x\n")).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"\n\n", b"x", b"x\n", b"x\n\n", b"x\n" + LINE, b"x\n\n" + LINE[:-1], b"x\n\n" + LINE + b"y\n",
        b"x\n\n" + LINE[4:], b"x\n\n-" + LINE[3:], b"x\n\n" + LINE.replace(b" ", b"  "), b"x\ty\n\n" + LINE,
        b"x\r\n\n" + LINE, b"x\0\n\n" + LINE, b"x\xff\n\n" + LINE, b"x\xed\xa0\x80\n\n" + LINE, b"x\n\n" + LINE * 65,
        b"x\n\n" + LINE.replace(b"\n", b"\r\n"), b"x\n\n" + LINE.replace(b"node", b"no+de"),
        b"x\n\n" + LINE.replace(b"node", b"no\xe3\x80\x80de"), b"x\n\n\xe2\x80\x94 a AAAAAA==\n",
        b"x\n\n\xe2\x80\x94 a AAAAAAB=\n", b"x\n\n\xe2\x80\x94 a AAAAAAA\n", b"x\n\n\xe2\x80\x94 a \n",
        b"x\n\n\xe2\x80\x94 a\n", b"x\n\n\xe2\x80\x94  AAAAAAA=\n", b"x\n\n\xe2\x80\x94 a AAAAAAA=\x0b\n",
        "x\n\n\u2014 a AAAAAAA\u0661\n".encode(),
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(data: bytes) -> None:
    """Whatever keys are known."""
    for keys in ([], [KEY]):
        with pytest.raises(NoteError):
            open_note(data, keys)


def test_a_note_has_bounds() -> None:
    """Of its text, its lines and as a whole; those of the standard fit in."""
    longest = "x" * (TEXT_BYTES_MAX - 1) + "\n"
    assert open_note(sign_note(longest, KEY, PRIVATE.sign), [KEY]).signed_by == (KEY,)
    with pytest.raises(NoteError):
        sign_note("x" + longest, KEY, PRIVATE.sign)
    with pytest.raises(NoteError):
        sign_note("\u76d0" * (TEXT_BYTES_MAX // 3 + 1) + "\n", KEY, PRIVATE.sign)
    with pytest.raises(NoteError):
        open_note(b"x" + longest.encode() + b"\n" + LINE, [])
    many = [stranger(number, bytes(2428)) for number in range(LINES_MAX - 1)]
    assert len(open_note(SIGNED + b"".join(many), [KEY]).lines) == LINES_MAX
    for data in (SIGNED + b"".join(many) + many[0] * 2, SIGNED + stranger(1, bytes(8_000)), bytes(NOTE_BYTES_MAX + 1)):
        with pytest.raises(NoteError):
            open_note(data, [KEY])


@pytest.mark.parametrize("text", ["", "x", "x\r\n", "x\ty\n", "\0\n", "\ud800\n"])
def test_what_is_no_text_is_not_signed(text: str) -> None:
    """And nothing is asked of the key."""
    with pytest.raises(NoteError):
        sign_note(text, KEY, lambda _: pytest.fail("signed"))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\nb", "a\u3000b", "\x1f", "\ud800", "x" * 1025])
def test_what_is_no_name_makes_no_key(name: str) -> None:
    """Nor does a public key of another length."""
    with pytest.raises(NoteError):
        ed25519_key(name, PUBLIC)
    for public in (b"", PUBLIC[:-1], PUBLIC + b"\0"):
        with pytest.raises(NoteError):
            witness_key("w" * NAME_CHARS_MAX, public)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a+b", KEY.vkey[:-1], KEY.vkey + "\n", " " + KEY.vkey, KEY.vkey.upper(), "x" + KEY.vkey,
        KEY.vkey.replace("+", "+0", 1), f"a++{base64.b64encode(b'1' + PUBLIC).decode()}",
        f"a+00000000+{base64.b64encode(bytes([1]) + PUBLIC).decode()}",
        f"a+00000000+{base64.b64encode(bytes([2]) + PUBLIC).decode()}", "a+00000000+", "a+00000000+AQ==",
        "a" * 9_000 + "+00000000+AQ==", f"{KEY.name}+{KEY.key_id.hex()[:-1]}\u0661+{KEY.vkey.split('+', 2)[2]}",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    """Also one whose id is that of another, and one of a kind that is not known."""
    with pytest.raises(NoteError):
        parse_vkey(text)


def test_base64_has_one_spelling() -> None:
    """Bits left over are zero, the padding is whole, nothing stands between."""
    assert decode_base64("AA==") == b"\0"
    assert decode_base64("") == b""
    for text in ("AB==", "AA=", "AA", "A", "AA==\n", " AA==", "AA==AA==", "A-==", "AA\nAA", "\u0100"):
        with pytest.raises(NoteError):
            decode_base64(text)
