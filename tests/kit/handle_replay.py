"""Replaying recorded exchanges against a real node: what may vary is blanked, every other field must be equal."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.records import Values
from core.wire.jsondata import dump_site
from core.wire.site import decode_site
from tests.kit.handle_client import Tcp, Udp
from tests.kit.handle_messages import (
    Flag,
    Message,
    Reader,
    bstr,
    decode_reply,
    encode_values,
    join_packets,
    split_packets,
)
from tests.kit.handle_proofs import Credential, decode_dh_key, encode_rsa_key, server_signature_holds
from tests.kit.handle_recorded import PREFIX_VALUES
from tests.kit.node import Node, saltern
from tests.kit.vectors import import_lines, load, value_of

DIVERGENCES = Path(__file__).parent.parent.parent / "docs" / "standards" / "divergences.md"
ANSWER_S = 43_200
CHANGED = ("88.9999.1/MIXED", 7)
"""The one value of the recorded records that requests without proof change: its timestamp varies."""


class Turn(NamedTuple):
    """One recorded exchange: the request, and the answer if there is one; UDP as whole messages."""

    request: bytes
    answer: bytes
    packets: tuple[bytes, ...] = ()
    """Of UDP: those of the answer."""
    head: bytes = b""
    """Of HTTP: status line and headers of the answer."""


def recorded(name: str) -> dict[str, Turn]:
    """Read one set, in the order of the file."""
    file = load(f"handle/{name}.json")
    read = {"tcp": _over_tcp, "udp": _over_udp, "http": _over_http}[file["transport"]]
    return {each["name"]: read(each) for each in file["exchanges"]}


def _over_tcp(each: dict[str, Any]) -> Turn:
    return Turn(bytes.fromhex(each["request"]), bytes.fromhex(each["response"] or ""))


def _over_udp(each: dict[str, Any]) -> Turn:
    sent, came = ([bytes.fromhex(one) for one in each[f"{side}_packets"] or []] for side in ("request", "response"))
    request, answer = join_packets(sent) or b"", join_packets(came) or b""
    assert split_packets(request) == sent, "requests are cut as the recorded client did"
    return Turn(request, answer, tuple(came))


def _over_http(each: dict[str, Any]) -> Turn:
    head, _, body = bytes.fromhex(each["response"] or "").partition(b"\r\n\r\n")
    return Turn(bytes.fromhex(each["request"]), body, head=head)


# --- asking ---


def asked(transport: str, turn: Turn) -> Message:
    """The request of an exchange."""
    return Message.decode(turn.request.partition(b"\r\n\r\n")[2] if transport == "http" else turn.request)


def ask(node: Node, transport: str, turn: Turn) -> Turn:
    """Send the very octets of a recorded request; return what this node answers."""
    if transport == "http":
        return _ask_over_http(node, turn)
    if transport == "tcp":
        with Tcp("127.0.0.1", node.ready["handle"]) as line:
            return turn._replace(answer=line.exchange(turn.request)[0])
    udp = Udp("127.0.0.1", node.ready["handle"])
    answer = udp.exchange(turn.request)[0]
    assert split_packets(answer) == udp.packets, "cut in order into slices of 492 octets"
    return turn._replace(answer=answer, packets=tuple(udp.packets))


def _ask_over_http(node: Node, turn: Turn) -> Turn:
    with socket.create_connection(("127.0.0.1", node.ready["http"]), timeout=20) as line:
        line.sendall(turn.request)
        received = b""
        while chunk := line.recv(65_536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return turn._replace(answer=body, head=head)


# --- comparing ---


def http_fields(head: bytes) -> dict[str, str]:
    """What of the head of an HTTP answer carries meaning: status and headers but for Date and Connection."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return {"status": first} | {k: v for k, v in headers.items() if k not in ("Date", "Connection")}


def comparable(answer: Message, changed: Collection[int] = ()) -> dict[str, object]:
    """The fields of an answer, with all that varies between two runs of one server blanked.

    ``changed``: the indexes of the values that an earlier request changed, so that their timestamps vary.
    """
    fields = asdict(replace(answer, expiration=0, body=b"", credential=b""))
    if answer.code == 402:
        fields["session_id"] = "fresh" if 0 < answer.session_id < 1 << 31 else answer.session_id
    return fields | {"credential": _blank_credential(answer), "body": _blank_body(answer, changed)}


def _blank_credential(answer: Message) -> object:
    if not answer.credential:
        return None
    counter, kind, name, signature = Credential.decode(answer.credential)
    return counter, kind, name, len(signature)


def _blank_body(answer: Message, changed: Collection[int]) -> bytes:
    reply = decode_reply(answer)
    if answer.code == 402:
        assert len(reply.nonce) == 16, "a nonce has 16 octets"
        return answer.body.replace(bstr(reply.nonce), bstr(bytes(16)))
    if answer.op == 1 and answer.code == 1 and reply.handle is not None:
        if reply.handle.upper() == CHANGED[0]:
            changed = [*changed, CHANGED[1]]
        kept = [each._replace(timestamp=0) if each.index in changed else each for each in reply.values]
        plain = encode_values(reply.handle, reply.values)
        return answer.body.removesuffix(plain) + encode_values(reply.handle, kept)
    return answer.body


def differences(want: Message, got: Message, changed: Collection[int] = ()) -> list[str]:
    """The fields that differ."""
    expected, found = comparable(want, changed), comparable(got, changed)
    return [f"{name}: {expected[name]!r} -> {found[name]!r}" for name in expected if expected[name] != found[name]]


def require_same_set_up(want: Message, got: Message) -> None:
    """Two answers to one operation 400 differ in the session's id and the server's own key alone."""
    assert 0 < got.session_id < 1 << 31
    heads = [replace(each, body=bstr(""), code=2, flags=each.flags & ~int(Flag.RRDG)) for each in (want, got)]
    assert differences(replace(heads[0], session_id=got.session_id), heads[1]) == []
    assert want.flags == got.flags
    found = []
    for answer in (want, got):
        reply = decode_reply(answer)
        octets = Reader(reply.session_data)
        algorithm, (_, prime, generator) = octets.signed(), decode_dh_key(octets)
        found.append((reply.code, reply.digest, reply.session_mode, algorithm, prime, generator))
    assert found[0] == found[1]


def anchors() -> set[str]:
    """The anchors of the divergences' headings."""
    headings = re.findall(r"^## (.+)$", DIVERGENCES.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


# --- the node ---


def private_key(node: Node, name: str) -> rsa.RSAPrivateKey:
    """A key that `saltern init` made: "server" signs answers, "admin" is that of the first administrator."""
    key = load_pem_private_key((node.folder / "keys" / f"{name}.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def require_signed(node: Node, answer: Message) -> None:
    """Whatever answer carries HS_SIGNED is signed by this node."""
    if answer.credential and Credential.decode(answer.credential).kind == "HS_SIGNED":
        assert server_signature_holds(private_key(node, "server").public_key(), answer)


def bulk(count: int) -> dict[str, Values]:
    """The bulk records, as the note in records.json tells them."""
    admin = value_of(load("handle/records.json")["bulk_admin"])
    made = {}
    for number in range(count):
        values = [
            (1, "URL", f"https://trace.salt.example/bag/{number}"),
            (2, "BATCH", f'{{"batch":"L{number % 1000:05}","sku":"6901234567892"}}'),
        ]
        made[f"88.9999.1/B{number:08}"] = (
            *(admin._replace(value_index=index, type=kind, data=data.encode()) for index, kind, data in values),
            admin,
        )
    return made


@contextmanager
def reference_node(
    folder: Path, *prefixes: str, records: dict[str, Values], own_admin: str = "", **settings: object
) -> Iterator[Node]:
    """A running node that holds what the reference server held and says of itself what that said.

    ``own_admin``: the prefix handle whose HS_PUBKEY 300 stays the one of which `saltern init` made the private key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.json").write_text(dump_site(decode_site(PREFIX_VALUES[1])), "utf-8")
    with Node(folder / "node", *prefixes, **{"handle__site": "../site.json"} | settings) as node:
        if own_admin:
            data = encode_rsa_key(private_key(node, "admin").public_key())
            changed = [each._replace(data=data) if each.value_index == 300 else each for each in records[own_admin]]
            records = records | {own_admin: tuple(changed)}
        saltern("record", "import", "-", "--config", str(node.config), stdin=import_lines(records))
        yield node
