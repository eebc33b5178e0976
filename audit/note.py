"""Signed notes: a text and lines of signatures under it (C2SP signed-note; facts: transparency-log §1).

    node.example/log/change/2026-11
    3
    pkvybgkSj2/i/m+LLYyAHhZrV8BHp82bK4Ceepai8cs=

    — node.example/log/change/2026-11 WMqZWnES…

The text ends in a line feed; behind it an empty line, then the lines: the dash U+2014, a blank, the name of the key, a
blank, Base64 of the key's id (4 octets) and the signature. UTF-8, no control character but the line feed. The id of a
key is the first four octets of SHA-256(name || 0A || kind || 32 octets of the public key).

| kind | signature | signed octets |
|---|---|---|
| 01 | 64 octets, Ed25519 | the text |
| 04 | time in s (8 octets, big-endian), 64 octets, Ed25519 | ``cosignature/v1``, LF, ``time <s>``, LF, the text |

Other kinds are unknown signers here: their lines are kept and prove nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
KEY_ID_BYTES: Final = 4
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
TIME_BYTES: Final = 8
TEXT_BYTES_MAX: Final = 65_536  # octets of a text; an entry of a log, which a checkpoint may become, has less
LINES_MAX: Final = 64  # lines of signatures; at least 16 must be taken
LINE_CHARS_MAX: Final = 8_192  # characters of one; a signature of ML-DSA-44 takes 3 244 characters
NAME_CHARS_MAX: Final = 1_024  # characters of a key's name; a host and a path
NOTE_BYTES_MAX: Final = 1_048_576  # octets of a whole one; text and lines of their bounds have less
_DASH: Final = "\u2014 "
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
_BLOB_BYTES: Final = {ED25519: SIGNATURE_BYTES, COSIGNATURE: TIME_BYTES + SIGNATURE_BYTES}

Sign = Callable[[bytes], bytes]
"""Returns the Ed25519 signature of octets."""


class NoteError(ValueError):
    """Something is no note, no key, or signed wrongly."""


class NoteKey(NamedTuple):
    """A public key under a name. ``key_id``: four octets; ``kind``: ED25519 or COSIGNATURE; ``public``: 32 octets."""

    name: str
    key_id: bytes
    kind: int
    public: bytes

    @property
    def vkey(self) -> str:
        """Return the key as text: ``name+hexadecimal id+Base64 of kind and public key``."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"


class SignatureLine(NamedTuple):
    """One line under a note, read. ``blob``: what stands behind the key's id."""

    name: str
    key_id: bytes
    blob: bytes


class Note(NamedTuple):
    """A note, opened. ``signed_by``: the known keys whose signatures were checked; **empty if nobody known signed**."""

    text: str
    signed_by: tuple[NoteKey, ...]
    lines: tuple[SignatureLine, ...]


def ed25519_key(name: str, public: bytes) -> NoteKey:
    """Return the key of a signer of notes. Errors: NoteError for a name or a public key that is none."""
    return _key(name, ED25519, public)


def witness_key(name: str, public: bytes) -> NoteKey:
    """Return the key of a witness, who cosigns checkpoints. Errors: as ed25519_key."""
    return _key(name, COSIGNATURE, public)


def _key(name: str, kind: int, public: bytes) -> NoteKey:
    _check_name(name)
    if len(public) != PUBLIC_BYTES:
        raise NoteError(f"a public key has not {PUBLIC_BYTES} octets")
    hashed = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()
    return NoteKey(name, hashed[:KEY_ID_BYTES], kind, public)


def parse_vkey(text: str) -> NoteKey:
    """Read a key as ``NoteKey.vkey`` writes it. Errors: NoteError, also for kinds other than 01 and 04."""
    if text.count("+") < 2:
        raise NoteError("the key is not a name, an id and a public key with + between them")
    name, key_id, encoded = text.split("+", 2)
    octets = decode_base64(encoded)
    if octets[:1] not in (b"\x01", b"\x04"):
        raise NoteError("the key is of an unknown kind")
    key = _key(name, octets[0], octets[1:])
    if not _KEY_ID.fullmatch(key_id) or bytes.fromhex(key_id) != key.key_id:
        raise NoteError("the id of the key is not that of its name and its octets")
    return key


def sign_note(text: str, key: NoteKey, sign: Sign) -> bytes:
    """Return the whole note. ``sign``: with the private half of the key. Errors: NoteError for a text that is none."""
    octets = _check_text(text)
    if key.kind != ED25519:
        raise NoteError("the key of a witness signs no note")
    return octets + b"\n" + signature_line(key, sign(octets)).encode()


def signature_line(key: NoteKey, blob: bytes) -> str:
    """Return a line with its line feed. ``blob``: as the kind has it. Errors: NoteError for one of another length."""
    if len(blob) != _BLOB_BYTES.get(key.kind):
        raise NoteError("the signature has not as many octets as one of its kind")
    return f"{_DASH}{key.name} {base64.b64encode(key.key_id + blob).decode()}\n"


def cosigned_octets(text: str, time_s: int) -> bytes:
    """Return what a witness signs at a time (Unix seconds)."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def open_note(data: bytes, keys: Sequence[NoteKey]) -> Note:
    """Read a note and check the signatures of the keys that are known.

    A line of any other name or id is left as it is. One wrong signature of a known key spoils the note. Whether enough
    signed is the caller's to say: look at ``signed_by``. Errors: NoteError.
    """
    text, under = _split(data)
    lines = tuple(_parse_line(line) for line in under)
    signed: dict[NoteKey, None] = {}
    for line in lines:
        known = [key for key in keys if (key.name, key.key_id) == line[:2]]
        valid = [key for key in known if _is_signed(text, line.blob, key)]
        if known and not valid:
            raise NoteError(f"the signature of {line.name} is wrong")
        signed |= dict.fromkeys(valid)
    return Note(text, tuple(signed), lines)


def _split(data: bytes) -> tuple[str, list[str]]:
    """Return the text and the lines under it."""
    if len(data) > NOTE_BYTES_MAX:
        raise NoteError(f"the note is longer than {NOTE_BYTES_MAX} octets")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    body, blank, under = whole.rpartition("\n\n")
    if not blank or not under.endswith("\n"):
        raise NoteError("the note has no signatures under an empty line")
    _check_text(body + "\n")
    lines = under[:-1].split("\n")
    if len(lines) > LINES_MAX:
        raise NoteError(f"the note has more than {LINES_MAX} signatures")
    return body + "\n", lines


def _parse_line(line: str) -> SignatureLine:
    name, blank, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not blank or len(line) > LINE_CHARS_MAX:
        raise NoteError("a line under the note is no signature")
    _check_name(name)
    octets = decode_base64(encoded)
    if len(octets) <= KEY_ID_BYTES:
        raise NoteError("a signature under the note is empty")
    return SignatureLine(name, octets[:KEY_ID_BYTES], octets[KEY_ID_BYTES:])


def _is_signed(text: str, blob: bytes, key: NoteKey) -> bool:
    if len(blob) != _BLOB_BYTES.get(key.kind):
        return False
    signature, octets = blob, text.encode()
    if key.kind == COSIGNATURE:
        signature, octets = blob[TIME_BYTES:], cosigned_octets(text, int.from_bytes(blob[:TIME_BYTES]))
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, octets)
    except (InvalidSignature, ValueError):
        return False
    return True


def decode_base64(text: str) -> bytes:
    """Return the octets of Base64 (RFC 4648 §4), of which each octet string has one spelling. Errors: NoteError."""
    try:
        octets = base64.b64decode(text, validate=True)
    except ValueError:
        raise NoteError("not Base64") from None
    if base64.b64encode(octets).decode() != text:
        raise NoteError("not Base64 as it is written")
    return octets


def _check_text(text: str) -> bytes:
    """Return the octets of the text of a note."""
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        raise NoteError("the text of the note has half a character") from None
    if len(octets) > TEXT_BYTES_MAX:
        raise NoteError(f"the text of the note is longer than {TEXT_BYTES_MAX} octets")
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteError("the text of the note has control characters, or no line feed at its end")
    return octets


def _check_name(name: str) -> None:
    bad = any(character.isspace() or character < " " or "\ud800" <= character <= "\udfff" for character in name)
    if not 0 < len(name) <= NAME_CHARS_MAX or "+" in name or bad:
        raise NoteError("the name of a key has blanks, + or control characters, or none at all")
