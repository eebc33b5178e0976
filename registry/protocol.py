"""Between a worker (or the command line) and the registrar: frames on a Unix socket.

    offset  width  field
    0       4      length of what follows, big-endian
    4              msgpack: request [id, kind, fields, actor, token, dry_run, origin],
                   result [id, outcome, handle, message, body, replaced, rule]

Values travel as on the Handle wire. ``actor`` is [index, handle] of an identity, the id of a
bearer token, {"name": …} for a person at this machine, or nil for anybody. Who can open the
socket is trusted to say it (mode 0600); the uid of a person comes from the socket itself.
``origin`` is [protocol, peer]; the frame of an earlier command line ends before it: its origin is not
known, but for that of a person, which is this machine.
"""

from __future__ import annotations

import typing
from typing import Any, Final

import msgpack

from core import limits
from core.admission import Identity
from core.errors import Outcome, WireError
from core.events import PROTOCOL_API, PROTOCOL_NONE, PROTOCOLS
from core.wire.values import decode_values, encode_values
from registry.commands import (
    ANONYMOUS,
    Actor,
    Add,
    Command,
    Modify,
    NationalVerdict,
    Origin,
    Put,
    Remove,
    Request,
    Result,
    ReviewPrefix,
    Token,
)

_KINDS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in typing.get_args(Command)}
_PLAIN: Final = (str, bytes, bool, int)
_MEMBERS: Final = {
    kind: tuple(hint if hint in _PLAIN else None for hint in typing.get_type_hints(kind).values())
    for kind in _KINDS.values()
}
"""The types of the members of each command; None for what is read in another way."""

_PAIRS: Final[dict[type[Any], int]] = {ReviewPrefix: 3, NationalVerdict: 4}
"""Which member is of fields and reasons."""

_LENGTH: Final = 4
_PROTOCOLS: Final = frozenset((PROTOCOL_NONE, PROTOCOL_API, *PROTOCOLS.values()))
_PEER_BYTES: Final = (0, 6, 18)  # unknown, IPv4, IPv6: core/peer.py


def encode_request(number: int, request: Request) -> bytes:
    """Return one frame."""
    token = request.token
    return _frame(
        (
            number,
            type(request.command).__name__,
            _pack_fields(request.command),
            _pack_actor(request.actor),
            None if token is None else tuple(token),
            request.dry_run,
            tuple(request.sent),
        )
    )


def decode_request(body: bytes) -> tuple[int, Request]:
    """Read the body of a request's frame. Errors: WireError."""
    try:
        number, kind, fields, actor, token, dry_run, *more = msgpack.unpackb(body)
        command = _unpack_fields(_KINDS[kind], fields)
        sent = _unpack_origin(more)
        return number, Request(command, _unpack_actor(actor), None if token is None else Token(*token), dry_run, sent)
    except (ValueError, TypeError, LookupError, msgpack.UnpackException) as error:
        raise WireError(f"no request frame: {error}") from None


def encode_result(number: int, result: Result) -> bytes:
    """Return one frame."""
    return _frame(
        (number, result.outcome.value, result.handle, result.message, result.body, result.replaced, result.rule)
    )


def decode_result(body: bytes) -> tuple[int, Result]:
    """Read the body of a result's frame. Errors: WireError."""
    try:
        number, outcome, handle, message, content, replaced, rule = msgpack.unpackb(body)
        return number, Result(Outcome(outcome), handle, message, content, replaced, rule)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(f"no result frame: {error}") from None


def _pack_actor(actor: Actor) -> str | tuple[int, str] | dict[str, str] | None:
    if actor.local:
        return {"name": actor.name}
    if actor.bearer:
        return actor.bearer
    return None if actor.identity is None else (actor.identity.value_index, actor.identity.handle)


def _unpack_actor(packed: Any) -> Actor:
    match packed:
        case None:
            return ANONYMOUS
        case {"name": str(name)}:
            return Actor(local=True, name=name)
        case str(bearer) if bearer:
            return Actor(bearer=bearer)
        case [int(index), str(handle)]:
            return Actor(Identity(handle, index))
    raise ValueError("actor")


def _unpack_origin(packed: list[Any]) -> Origin:
    """Nobody is at this machine by saying so: that is who the actor is."""
    match packed:
        case []:
            return Origin()
        case [[str(protocol), bytes(peer)]] if protocol in _PROTOCOLS and len(peer) in _PEER_BYTES:
            return Origin(protocol, peer)
    raise ValueError("origin")


def _pack_fields(command: Command) -> list[object]:
    fields: list[object] = list(command)
    if isinstance(command, Put | Add | Modify):
        fields[1] = encode_values(command.values)
    return fields


def _unpack_fields(kind: type[Any], fields: list[Any]) -> Command:
    if kind in (Put, Add, Modify):
        fields[1] = decode_values(fields[1])
    elif kind is Remove:
        fields[1] = tuple(_of(int, index) for index in fields[1])
    elif kind in _PAIRS:
        pairs = [(*_of(list, pair),) for pair in fields[_PAIRS[kind]]]
        fields[_PAIRS[kind]] = tuple((_of(str, field), _of(str, reason)) for field, reason in pairs)
    command: Command = kind(*fields)
    for member, wanted in zip(command, _MEMBERS[kind], strict=True):
        if wanted is not None and type(member) is not wanted:
            raise ValueError(f"a member of {kind.__name__} is no {wanted.__name__}")
    return command


def _of(wanted: type, member: Any) -> Any:
    if type(member) is not wanted:
        raise ValueError(f"a member is no {wanted.__name__}")
    return member


def _frame(members: tuple[object, ...]) -> bytes:
    body: bytes = msgpack.packb(members)
    return len(body).to_bytes(_LENGTH, "big") + body


class Frames:
    """Cuts a stream into the bodies of frames. Bounds: FRAME_BYTES_MAX a frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take octets; return the bodies that are complete. Errors: WireError for one that is too long."""
        self._buffer += data
        bodies, start = [], 0
        while len(self._buffer) - start >= _LENGTH:
            length = int.from_bytes(self._buffer[start : start + _LENGTH], "big")
            if length > limits.FRAME_BYTES_MAX:
                raise WireError(f"a frame of {length} octets; at most {limits.FRAME_BYTES_MAX} are allowed")
            stop = start + _LENGTH + length
            if len(self._buffer) < stop:
                break
            bodies.append(bytes(self._buffer[start + _LENGTH : stop]))
            start = stop
        del self._buffer[:start]
        return bodies
