"""Whose signature counts. A verifier trusts public keys: one key signs under the name of every month.

Without a key from elsewhere a month is checked by the ``vkey`` beside it: that proves that it fits itself, no more.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from audit.checkpoint import Checkpoint, CheckpointError, parse_checkpoint
from audit.note import COSIGNATURE, ED25519, NOTE_BYTES_MAX, NoteError, NoteKey, ed25519_key, open_note, parse_vkey

STREAMS: Final = ("registration", "resolution", "maintenance", "change")
CHECKPOINT_BYTES_MAX: Final = NOTE_BYTES_MAX
VKEYS_BYTES_MAX: Final = 65_536  # of a file of keys
KEYS_MAX: Final = 64
_ORIGIN: Final = re.compile(rf".+/log/({'|'.join(STREAMS)})/([0-9]{{4}}-(?:0[1-9]|1[0-2]))")


class Keys(NamedTuple):
    """Keys that somebody trusts: of nodes, under whatever name, and of witnesses. None: nothing is trusted."""

    publics: tuple[bytes, ...] = ()
    witnesses: tuple[NoteKey, ...] = ()

    def with_those(self, other: Keys) -> Keys:
        """Return the keys of both."""
        return Keys(
            tuple(dict.fromkeys((*self.publics, *other.publics))),
            tuple(dict.fromkeys((*self.witnesses, *other.witnesses))),
        )

    def of(self, origin: str) -> list[NoteKey]:
        """Return the keys under the name of a log. Errors: NoteError for a name that is none."""
        return [ed25519_key(origin, public) for public in self.publics]


def read_keys(text: str) -> Keys:
    """Read a file of keys: a vkey a line, of a node under any of its names, or of a witness. Errors: ValueError."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 0 < len(lines) <= KEYS_MAX:
        raise ValueError(f"须有 1 至 {KEYS_MAX} 个公钥。There must be 1 to {KEYS_MAX} keys")
    keys = [parse_vkey(line) for line in lines]
    publics = dict.fromkeys(key.public for key in keys if key.kind == ED25519)
    return Keys(tuple(publics), tuple(dict.fromkeys(key for key in keys if key.kind == COSIGNATURE)))


class Opened(NamedTuple):
    """A checkpoint that was read. ``signed``: by one of the keys; ``witnesses``: names of those that cosigned it."""

    checkpoint: Checkpoint
    signed: bool
    witnesses: tuple[str, ...]
    fault: tuple[str, str] | None


def open_checkpoint(data: bytes, keys: Keys) -> Opened:
    """Read a checkpoint and look at its signatures. Errors: ValueError for what is no signed checkpoint."""
    checkpoint = parse_checkpoint(open_note(data, ()).text)
    try:
        known = keys.of(checkpoint.origin)
    except NoteError as error:
        raise CheckpointError(str(error)) from None
    try:
        note = open_note(data, [*known, *keys.witnesses])
    except NoteError as error:
        return Opened(checkpoint, False, (), (f"检查点的签名不对（{error}）", f"a signature is wrong ({error})"))
    signed = any(key in note.signed_by for key in known)
    witnesses = tuple(key.name for key in keys.witnesses if key in note.signed_by)
    fault = None
    if (known or keys.witnesses) and not signed:
        fault = (
            "检查点没有可信公钥的签名：不是此节点签发，或用另一密钥重新签过",
            "the checkpoint is not signed by a trusted key: this node did not issue it, or another key signed it anew",
        )
    return Opened(checkpoint, signed, witnesses, fault)


def stream_and_month(origin: str) -> tuple[str, str] | None:
    """Return what an origin of ours names; None for a log of another kind."""
    match = _ORIGIN.fullmatch(origin)
    return (match[1], match[2]) if match else None
