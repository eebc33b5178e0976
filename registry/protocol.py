"""Between a worker (or the command line) and the registrar: frames on a Unix socket.

    offset  width  field
    0       4      length of what follows, big-endian
    4              msgpack: request [id, kind, fields, actor, token, dry_run],
                   result [id, outcome, handle, message, body, replaced]

Values travel as on the Handle wire. ``actor`` is [index, handle], the word "operator",
or nil for anybody. Who can open the socket is trusted to say it (mode 0600).
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from core import limits
from core.admission import Identity
from core.errors import Outcome, WireError
from core.wire.values import decode_values, encode_values
from registry.commands import (
    ANONYMOUS,
    OPERATOR,
    Actor,
    Add,
    Command,
    Delete,
    Home,
    Modify,
    Put,
    PutBatch,
    Remove,
    Request,
    Result,
    Token,
    Unhome,
)

_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind for kind in (Put, Add, Modify, Remove, Delete, PutBatch, Home, Unhome)
}
_LENGTH: Final = 4
_OPERATOR: Final = "operator"


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
        )
    )


def decode_request(body: bytes) -> tuple[int, Request]:
    """Read the body of a request's frame. Errors: WireError."""
    try:
        number, kind, fields, actor, token, dry_run = msgpack.unpackb(body)
        command = _unpack_fields(_KINDS[kind], fields)
        return number, Request(command, _unpack_actor(actor), None if token is None else Token(*token), dry_run)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise WireError(f"no request frame: {error}") from None


def encode_result(number: int, result: Result) -> bytes:
    """Return one frame."""
    return _frame((number, result.outcome.value, result.handle, result.message, result.body, result.replaced))


def decode_result(body: bytes) -> tuple[int, Result]:
    """Read the body of a result's frame. Errors: WireError."""
    try:
        number, outcome, handle, message, content, replaced = msgpack.unpackb(body)
        return number, Result(Outcome(outcome), handle, message, content, replaced)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(f"no result frame: {error}") from None


def _pack_actor(actor: Actor) -> str | tuple[int, str] | None:
    if actor.operator:
        return _OPERATOR
    return None if actor.identity is None else (actor.identity.value_index, actor.identity.handle)


def _unpack_actor(packed: Any) -> Actor:
    if packed is None:
        return ANONYMOUS
    if packed == _OPERATOR:
        return OPERATOR
    if not isinstance(packed, list):
        raise ValueError("actor")
    index, handle = packed
    return Actor(Identity(handle, index))


def _pack_fields(command: Command) -> list[object]:
    fields: list[object] = list(command)
    if isinstance(command, Put | Add | Modify):
        fields[1] = encode_values(command.values)
    return fields


def _unpack_fields(kind: type[Any], fields: list[Any]) -> Command:
    if kind in (Put, Add, Modify):
        fields[1] = decode_values(fields[1])
    elif kind is Remove:
        fields[1] = tuple(fields[1])
    command: Command = kind(*fields)
    return command


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
