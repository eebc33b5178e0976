"""A witness: who cosigns the checkpoints of logs, and never two of which one is not the beginning of the other.

C2SP tlog-witness (facts: transparency-log §1). The body of ``add-checkpoint``:

    old 2                                           size of the last checkpoint that the witness cosigned
    BJ19zbVrz+vTEzBMmDnxlqPUtu873AsIKY+TrIGR8Kg=    proof of consistency, 0 to 63 hashes
                                                    an empty line
    node.example/log/change/2026-11                 the checkpoint, with the log's signature
    …

| answer | when, looked at in this order |
|---|---|
| 400 | it is none of this form |
| 404 | the origin is none that this witness knows |
| 403 | no key of that log signed it |
| 400 | the old size is above that of the checkpoint |
| 409, ``<size>`` LF | the old size is not the one that this witness holds: it holds this one |
| 422 | the proof is wrong; also any proof from size 0, and two roots of one size |
| 200, lines | the witness's signature |

Decided here; body and answer are carried by a front. What the witness holds of an origin is durable before it answers.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from audit.checkpoint import Checkpoint, CheckpointError, cosign, parse_checkpoint
from audit.merkle import HASH_BYTES, ProofError, check_consistency
from audit.note import Note, NoteError, NoteKey, Sign, decode_base64, ed25519_key, open_note, signature_line
from core import limits
from core.errors import Outcome
from core.outcomes import HTTP_UNPROCESSABLE, STATUSES
from core.streams import Stream

TEXT: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"
OK: Final = STATUSES[Outcome.OK].http
CONFLICT: Final = STATUSES[Outcome.CONFLICT].http
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,18})\n", re.ASCII)
_MONTHLY: Final = re.compile(
    rf"(.+)/log/(?:{'|'.join(stream.value for stream in Stream)})/[0-9]{{4}}-(?:0[1-9]|1[0-2])", re.ASCII
)


class RequestError(ValueError):
    """The body of a request is none."""


class AddCheckpoint(NamedTuple):
    """A request. ``old``: size that the witness holds; ``note``: the checkpoint, signed, as it was sent."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes


class Answer(NamedTuple):
    """What is answered over HTTP."""

    status: int
    media_type: str
    body: bytes


class Held(NamedTuple):
    """What a witness holds of an origin: the last checkpoint that it cosigned."""

    size: int
    root: bytes


class WitnessState(Protocol):
    """What a witness remembers, one checkpoint an origin. Errors: OSError, StateError; then nothing is answered."""

    def held(self, origin: str) -> Held | None:
        """Return what is held of an origin, None if nothing is."""

    def replace(self, origin: str, held: Held | None, note: bytes) -> bool:
        """Hold this note instead, if ``held`` is still what is held; durable when it returns. Else False."""

    def note(self, origin_sha256: str) -> bytes | None:
        """Return the cosigned note of the origin with this digest (hexadecimal), None if there is none."""


class Witness:
    """Decides. ``key``: its own, of kind COSIGNATURE; ``logs``: keys of the logs that it knows.

    A key ``<host>/log/<stream>/<month>`` is trusted for all streams and months of that host, any other for its name.
    """

    def __init__(self, key: NoteKey, sign: Sign, logs: Iterable[NoteKey], state: WitnessState) -> None:
        self._key = key
        self._sign = sign
        self._state = state
        self._publics: dict[str, dict[bytes, None]] = {}
        for log in logs:
            self._publics.setdefault(_family(log.name), {})[log.public] = None

    def add_checkpoint(self, body: bytes, now_s: int) -> Answer:
        """Answer a request. Cost: waits for the disk. Errors: those of the state."""
        try:
            request = parse_request(body)
            checkpoint = parse_checkpoint(open_note(request.note, ()).text)
        except (RequestError, NoteError, CheckpointError) as error:
            return _refused(Outcome.MALFORMED, str(error))
        publics = self._publics.get(_family(checkpoint.origin), {})
        if not publics:
            return _refused(Outcome.NOT_FOUND, "the origin is not known here")
        try:
            note = open_note(request.note, [ed25519_key(checkpoint.origin, public) for public in publics])
        except NoteError as error:
            return _refused(Outcome.FORBIDDEN, str(error))
        if not note.signed_by:
            return _refused(Outcome.FORBIDDEN, "no key of this log signed the checkpoint")
        if request.old > checkpoint.size:
            return _refused(Outcome.MALFORMED, "the old size is above that of the checkpoint")
        return self._decide(request, checkpoint, note, now_s)

    def cosigned(self, origin_sha256: str) -> bytes | None:
        """Return the last cosigned checkpoint of the origin with this digest. Errors: those of the state."""
        return self._state.note(origin_sha256)

    def _decide(self, request: AddCheckpoint, checkpoint: Checkpoint, note: Note, now_s: int) -> Answer:
        held = self._state.held(checkpoint.origin)
        if request.old != _size(held):
            return _conflict(held)
        try:
            _check(request, checkpoint, held)
        except ProofError as error:
            return Answer(HTTP_UNPROCESSABLE, TEXT, f"{error}\n".encode())
        line = cosign(note.text, self._key, now_s, self._sign)
        if not self._state.replace(checkpoint.origin, held, _kept(note, line)):
            return _conflict(self._state.held(checkpoint.origin))
        return Answer(OK, TEXT, line.encode())


def parse_request(body: bytes) -> AddCheckpoint:
    """Read a request. Bounds: WITNESS_BODY_BYTES_MAX, WITNESS_HASHES_MAX. Errors: RequestError."""
    if len(body) > limits.WITNESS_BODY_BYTES_MAX:
        raise RequestError(f"the request is longer than {limits.WITNESS_BODY_BYTES_MAX} octets")
    head, blank, note = body.partition(b"\n\n")
    try:
        first, *encoded = head.decode("ascii").split("\n")
        proof = tuple(map(decode_base64, encoded))
    except ValueError:
        raise RequestError("the request is not old, hashes in Base64, an empty line, a checkpoint") from None
    old = _OLD.fullmatch(first)
    if old is None or not blank:
        raise RequestError("the request does not begin with old and a size, or has no checkpoint")
    if len(proof) > limits.WITNESS_HASHES_MAX or any(len(each) != HASH_BYTES for each in proof):
        raise RequestError(f"the proof has more than {limits.WITNESS_HASHES_MAX} hashes, or others than SHA-256")
    return AddCheckpoint(int(old[1]), proof, note)


def dump_request(request: AddCheckpoint) -> bytes:
    """Return the body of a request."""
    hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in request.proof)
    return f"old {request.old}\n{hashes}\n".encode() + request.note


def parse_size(body: bytes) -> int | None:
    """Return the size that an answer 409 tells, None if it tells none."""
    match = _SIZE.fullmatch(body.decode("ascii", "replace"))
    return None if match is None else int(match[1])


def _check(request: AddCheckpoint, checkpoint: Checkpoint, held: Held | None) -> None:
    """Errors: ProofError where what is held is not proven to be the beginning of the checkpoint."""
    if held is not None and held.size:
        check_consistency(held.size, checkpoint.size, held.root, checkpoint.root, request.proof)
    elif request.proof:
        raise ProofError("nothing is proven from size 0")


def _family(name: str) -> str:
    """Return what names of one log's months and streams have in common; any other name is alone."""
    match = _MONTHLY.fullmatch(name)
    return name if match is None else f"\n{match[1]}"  # no name has a line feed


def _kept(note: Note, line: str) -> bytes:
    """Return the note with the lines that were checked, and that of the witness."""
    checked: Sequence[str] = [
        signature_line(key, each.blob)
        for key in note.signed_by
        for each in note.lines
        if each[:2] == (key.name, key.key_id)
    ]
    return f"{note.text}\n{''.join(dict.fromkeys(checked))}{line}".encode()


def _size(held: Held | None) -> int:
    return 0 if held is None else held.size


def _conflict(held: Held | None) -> Answer:
    return Answer(CONFLICT, SIZE, f"{_size(held)}\n".encode())


def _refused(outcome: Outcome, why: str) -> Answer:
    return Answer(STATUSES[outcome].http, TEXT, f"{why}\n".encode())
