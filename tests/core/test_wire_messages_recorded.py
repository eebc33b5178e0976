"""Every recorded message of the Handle protocol, read and written by the node's own codecs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from core.errors import WireError
from core.hdl.session import decrypt
from core.wire import body as bodies
from core.wire.codepoints import OpCode, OpFlag
from core.wire.credential import decode_credential, encode_credential
from core.wire.cursor import Cursor
from core.wire.envelope import ENVELOPE_BYTES, Assembly, Envelope, decode_envelope, encode_envelope
from core.wire.message import decode_message, encode_message
from tests.kit.handle_recorded import DH, TURNS
from tests.kit.vectors import load

SESSION_KEY = bytes.fromhex(DH["session_key_32"])


class Recorded(NamedTuple):
    """One message as it was on the wire, and a name for it."""

    name: str
    octets: bytes


def recorded() -> Iterator[Recorded]:
    for file in ("more", "set_e_three_server_site_tcp"):
        for each in load(f"handle/{file}.json")["exchanges"]:
            if each.get("transport", "tcp") == "tcp":
                for side in ("request", "response"):
                    yield Recorded(each.get("name", each.get("handle")), bytes.fromhex(each[side]))
    for each in DH["messages"]:
        for side in ("request", "response"):
            yield Recorded(each["name"], bytes.fromhex(each[side]))
    for turn in TURNS:
        for octets in (turn.request, *turn.answers):
            yield Recorded(turn.flow, octets)


RECORDED = list(recorded())


def whole_messages() -> Iterator[tuple[str, Envelope, bytes]]:
    """The recorded messages behind their envelopes, packets put together, those of the session decrypted."""
    assembly: Assembly | None = None
    for name, octets in RECORDED:
        envelope, payload = decode_envelope(octets), octets[ENVELOPE_BYTES:]
        if envelope.in_packets:
            if envelope.sequence == 0:
                assembly = Assembly(envelope)
            assert assembly is not None
            whole = assembly.add(envelope, payload)
            if whole is None:
                continue
            envelope, payload = whole
        if envelope.encrypted:
            try:
                payload = decrypt(SESSION_KEY, payload)
            except WireError:
                assert name.startswith("decrypt_") or envelope.session_id != DH["session_id"]
                continue
        yield name, envelope, payload


WHOLE = list(whole_messages())
CHANGE = (bodies.decode_change, bodies.encode_change)
READERS: dict[int, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    1: (bodies.decode_question, bodies.encode_question),
    **dict.fromkeys((100, 102, 104), CHANGE),
    103: (bodies.decode_removal, bodies.encode_removal),
    200: (bodies.decode_challenge_response, bodies.encode_challenge_response),
    400: (bodies.decode_session_setup, bodies.encode_session_setup),
    2001: (lambda body: bodies.decode_reference(Cursor(body)), bodies.encode_reference),
}


def test_every_recorded_envelope_is_read_and_written_alike() -> None:
    """More than 600 of them: every flag bit that was ever sent."""
    assert len(RECORDED) > 600
    for name, octets in RECORDED:
        envelope, payload = decode_envelope(octets), octets[ENVELOPE_BYTES:]
        assert encode_envelope(envelope) == octets[:ENVELOPE_BYTES], name
        assert envelope.in_packets or envelope.length == len(payload), name


def test_every_recorded_message_is_read_and_written_alike() -> None:
    """Not one octet changes, in requests and answers of every operation, version and code."""
    assert len(WHOLE) > 550
    for name, _, payload in WHOLE:
        assert encode_message(decode_message(payload)) == payload, name
    seen = {(message.header.op, message.header.code) for message in (decode_message(each[2]) for each in WHOLE)}
    assert {op for op, _ in seen} >= {1, 2, 100, 101, 102, 103, 104, 105, 200, 300, 301, 302, 400, 401}
    assert {code for _, code in seen} >= {0, 1, 100, 101, 200, 201, 202, 301, 303, 400, 402, 403, 500, 501, 502, 505}


def test_the_body_of_every_recorded_request_is_read_and_written_alike() -> None:
    """By the reader of its operation; a body that is damaged on purpose is a WireError."""
    read = 0
    for name, _, payload in WHOLE:
        message = decode_message(payload)
        if message.header.code:
            continue
        decode, encode = READERS.get(message.header.op, (bodies.decode_handle, bodies.encode_handle))
        try:
            value = decode(message.body)
        except WireError:
            continue
        read += 1
        again = encode(value)
        assert message.body.startswith(again) or again.startswith(message.body), name
    assert read > 250


def test_the_body_of_every_recorded_answer_is_read() -> None:
    """Digest, values, lists, challenge, session and text, each to its end."""
    for name, envelope, payload in WHOLE:
        header, body, _ = decode_message(payload)
        if not header.code:
            continue
        cursor = Cursor(body)
        if header.has(OpFlag.RETURN_DIGEST):
            assert len(bodies.decode_digest(cursor)) in (16, 20, 32)
        if header.code == 1 and header.op in (OpCode.RESOLUTION, OpCode.CREATE_HANDLE):
            if header.op == OpCode.RESOLUTION or cursor.left:
                assert bodies.decode_answer_values(cursor).handle
        elif header.code == 1 and header.op in (OpCode.LIST_HANDLES, OpCode.LIST_PREFIXES):
            bodies.decode_texts(cursor)
        elif header.code == 1 and header.op == OpCode.SESSION_SETUP:
            mode, _ = bodies.decode_session_answer(cursor)
            assert (mode, cursor.octets(2)) == (4, b"\0\0")
        elif header.code == 1:
            cursor.rest()
        elif header.code == 402:
            assert len(cursor.bstr()) == 16
            assert envelope.version >= (2, 1) or len(cursor.bstr()) == 16
        elif header.code == 303 and envelope.version >= (2, 5):
            bodies.decode_answer_values(cursor)
        else:
            cursor.text()
        assert cursor.left == 0, name


def test_every_recorded_credential_is_read_and_written_alike() -> None:
    """HS_SIGNED and HS_MAC, whatever the version."""
    kinds = set()
    for name, _, payload in WHOLE:
        octets = decode_message(payload).credential
        if octets:
            credential = decode_credential(octets)
            assert encode_credential(credential) == octets, name
            kinds.add((credential.kind, credential.algorithm))
    assert kinds >= {("HS_MAC", "HMAC-SHA256"), ("HS_SIGNED", "SHA-256"), ("HS_SIGNED", "SHA1")}
