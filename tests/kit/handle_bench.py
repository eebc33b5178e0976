"""The bench of the recorded rights: a node with their records, its administrator, and who asks.

The identities 400 to 413 of 88.9999.1/ADM have the secrets k0 to k13. The record 88.9999.1/MASK names twelve of them
as administrators, each with a single bit. The set-up stands in more.json as bodies of operation 100.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from core.records import Values
from tests.kit.handle_client import Client, Tcp
from tests.kit.handle_messages import (
    Flag,
    Op,
    Reader,
    Reply,
    Value,
    admin_data,
    bstr,
    decode_values,
    encode_indexes,
    encode_values,
)
from tests.kit.handle_proofs import RsaKey, SecretKey
from tests.kit.handle_recorded import MORE
from tests.kit.handle_replay import private_key, reference_node
from tests.kit.node import Node
from tests.kit.vectors import reference_records

ADM, MASK = "88.9999.1/ADM", "88.9999.1/MASK"
OPERATOR = "0.NA/88.9999.1"
HMAC_SHA256 = 0x13
SETUP = [bytes.fromhex(each["body"]) for each in MORE["setup"]]
PLAIN = Flag.RECU | Flag.CACR
"""The flags of the recorded requests: PUBL is clear."""


def values_of(body: bytes) -> tuple[Value, ...]:
    octets = Reader(body)
    octets.text()
    return decode_values(octets)


MASK_VALUES = values_of(SETUP[1])
MASK_PLAIN = tuple(each for each in MASK_VALUES if each.type != "HS_ADMIN")


class Ask(NamedTuple):
    """One request: what a recorded one has besides ids."""

    op: int
    body: bytes
    flags: Flag = PLAIN


def resolve(handle: str, *indexes: int) -> Ask:
    return Ask(Op.RESOLVE, bstr(handle) + encode_indexes(indexes) + bytes(4))


def admin(index: int, mask: int = 0xFFF, member: int = 400, handle: str = ADM, permissions: int = 0x0E) -> Value:
    return Value(index, "HS_ADMIN", admin_data(handle, member, mask), permissions=permissions)


def change(op: Op, *values: Value, overwrite: bool = False, handle: str = MASK) -> Ask:
    return Ask(op, encode_values(handle, values), PLAIN | overwrite * Flag.OVRW)


def remove(*indexes: int) -> Ask:
    return Ask(Op.REMOVE_VALUES, bstr(MASK) + encode_indexes(indexes))


NEW, NEW_ADMIN = Value(10, "X", b"1"), admin(11)
URL_V = Value(1, "URL", b"v")
CHANGED = (MASK_VALUES[0]._replace(data=b"changed"), *MASK_VALUES[1:])
OPERATIONS = {
    "delete_handle": Ask(Op.DELETE, bstr(MASK)),
    "add_value": change(Op.ADD_VALUES, NEW),
    "add_admin": change(Op.ADD_VALUES, NEW_ADMIN),
    "add_value_and_admin": change(Op.ADD_VALUES, NEW, NEW_ADMIN),
    "add_existing_index": change(Op.ADD_VALUES, URL_V),
    "add_overwrite_value": change(Op.ADD_VALUES, URL_V, overwrite=True),
    "add_overwrite_identical": change(Op.ADD_VALUES, Value(1, "URL", b"u"), overwrite=True),
    "modify_value": change(Op.MODIFY_VALUES, URL_V),
    "modify_public_write": change(Op.MODIFY_VALUES, Value(3, "RW", b"v", permissions=0x0F)),
    "modify_public_write_to_admin": change(Op.MODIFY_VALUES, admin(3)),
    "modify_no_admin_write": change(Op.MODIFY_VALUES, Value(4, "RO", b"v", permissions=0x0A)),
    "modify_admin": change(Op.MODIFY_VALUES, admin(100)),
    "modify_value_to_admin": change(Op.MODIFY_VALUES, admin(1)),
    "modify_admin_to_value": change(Op.MODIFY_VALUES, Value(100, "X", b"x")),
    "remove_value": remove(1),
    "remove_no_admin_write": remove(4),
    "remove_admin": remove(100),
    "remove_both": remove(1, 100),
    "remove_missing_index": remove(77),
    "read_private": resolve(MASK, 2),
    "read_all": resolve(MASK),
    "read_no_admin_read": resolve(MASK, 5),
    "create_existing": change(Op.CREATE, Value(1, "URL", b"u")),
    "overwrite_same": change(Op.CREATE, *MASK_VALUES, overwrite=True),
    "overwrite_modify_value": change(Op.CREATE, *CHANGED, overwrite=True),
    "overwrite_remove_all": change(Op.CREATE, Value(900, "Z", b"z"), overwrite=True),
}
"""The operations of the matrix; those that were recorded are held against the recorded requests."""

DERIVED = "0.NA/88.9999.2.7"
DERIVED_VALUES = (Value(1, "X", b"x"), admin(100, member=412))
PREFIX_OPERATIONS = {
    "create_handle": change(Op.CREATE, Value(1, "X", b"x"), handle="88.9999.2/C1"),
    "list_handles": Ask(Op.LIST_HANDLES, bstr("0.NA/88.9999.2")),
    "list_handles_noNA": Ask(Op.LIST_HANDLES, bstr("88.9999.2")),
    "create_derived": change(Op.CREATE, *DERIVED_VALUES, handle=DERIVED),
    "delete_derived": Ask(Op.DELETE, bstr(DERIVED)),
    "home": Ask(Op.HOME, bstr(DERIVED)),
    "unhome": Ask(Op.UNHOME, bstr("0.NA/88.9999.2")),
    "list_prefixes": Ask(Op.LIST_HOMED, bstr("/")),
    "site_status": resolve("0.SITE/status"),
}
"""The operations that ask for bits of the prefix handle 0.NA/88.9999.2, or for no bit."""


def identity(index: int, secret: bytes | None = None, handle: str = ADM) -> SecretKey:
    """One of the fourteen, with its secret or a wrong one."""
    return SecretKey(handle, index, f"k{index - 400}".encode() if secret is None else secret, HMAC_SHA256)


class Bench:
    """A running node, with a session of its server administrator."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.root = RsaKey(OPERATOR, 300, private_key(node, "admin"))
        self.line = Tcp("127.0.0.1", node.ready["handle"], keep=True)
        self.admin = Client(self.line, self.root)
        assert self.admin.open_session().code == 1

    def put_body(self, body: bytes) -> None:
        """Write a record as the server administrator."""
        reply = self.admin.raw(Op.CREATE, body, flags=PLAIN | Flag.OVRW)
        assert reply.code == 1, reply

    def put(self, handle: str, values: Sequence[Value]) -> None:
        self.put_body(encode_values(handle, list(values)))

    def put_mask(self, *administrators: Value) -> None:
        """Write MASK: as in the set-up, or with these administrators instead of its own."""
        self.put_body(encode_values(MASK, [*MASK_PLAIN, *administrators]) if administrators else SETUP[1])

    def put_prefix_administrators(self) -> None:
        """Identity 400+n has only bit n of 0.NA/88.9999.2."""
        self.put("0.NA/88.9999.2", [admin(100 + bit, 1 << bit, 400 + bit) for bit in range(12)])

    def ask(self, ask: Ask, auth: SecretKey | RsaKey | None = None) -> Reply:
        """Ask over the same connection, outside the session; answer a challenge if there is an identity."""
        return Client(self.line, auth).raw(ask.op, ask.body, flags=ask.flags)

    def close(self) -> None:
        self.line.close()


@contextmanager
def bench(
    folder: Path, *prefixes: str, records: dict[str, Values] | None = None, set_up: bool = True, **settings: object
) -> Iterator[Bench]:
    """A node with the recorded records, whose administrator 300 has a key that we know; ``prefixes``: further ones."""
    held = reference_records() if records is None else records
    homed = ("88.9999.1", "88.9999.2", "88.9999.3", *prefixes)
    with reference_node(folder, *homed, records=held, own_admin=OPERATOR, handle__root=True, **settings) as node:
        made = Bench(node)
        if set_up:
            made.put_body(SETUP[0])
        yield made
        made.close()
