"""Who may change what: the reference server's matrix of operations and permission bits."""

from __future__ import annotations

import pytest

from core.admission import Identity
from core.clock import Millis
from core.errors import Outcome
from core.ident.handle import HandleRules
from core.outcomes import STATUSES
from core.records import AdminRecord, HandleValue, Values
from core.store.engine import Table
from core.store.memory_engine import MemoryEngine
from core.wire.admin import encode_admin
from core.wire.cursor import Cursor
from core.wire.values import decode_values
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
    Token,
    Unhome,
)
from registry.service import Registry
from resolver.service import Question, Resolver
from tests.kit.vectors import load

VECTORS = load("handle/mask_matrix.json")
MATRIX = VECTORS["mask_matrix"]["responseCodes"]
RECORD = "88.9999.1/MASK"
ADM = "88.9999.1/ADM"
NOW = Millis(1_700_000_000_000)


def setup_record(position: int) -> tuple[str, Values]:
    """Return handle and values of a create request's body."""
    cursor = Cursor(bytes.fromhex(VECTORS["setup"][position]["body"]))
    return cursor.text(), decode_values(cursor.rest())


MASK_VALUES = setup_record(1)[1]


def value(index: int, kind: str, data: bytes, permissions: int = 0b1110) -> HandleValue:
    return HandleValue(index, kind, data, permissions=permissions, timestamp=NOW // 1_000)


ADMIN_DATA = encode_admin(AdminRecord(0xFFF, ADM, 400))
CHANGED = (MASK_VALUES[0]._replace(data=b"changed", timestamp=NOW // 1_000), *MASK_VALUES[1:])

OPERATIONS: dict[str, Command] = {
    "delete_handle": Delete(RECORD),
    "add_value": Add(RECORD, (value(10, "X", b"1"),)),
    "add_admin": Add(RECORD, (value(11, "HS_ADMIN", ADMIN_DATA),)),
    "add_value_and_admin": Add(RECORD, (value(10, "X", b"1"), value(11, "HS_ADMIN", ADMIN_DATA))),
    "add_existing_index": Add(RECORD, (value(1, "URL", b"v"),)),
    "add_overwrite_value": Add(RECORD, (value(1, "URL", b"v"),), overwrite=True),
    "add_overwrite_identical": Add(RECORD, (value(1, "URL", b"u"),), overwrite=True),
    "modify_value": Modify(RECORD, (value(1, "URL", b"v"),)),
    "modify_public_write": Modify(RECORD, (value(3, "RW", b"v", 0b1111),)),
    "modify_public_write_to_admin": Modify(RECORD, (value(3, "HS_ADMIN", ADMIN_DATA),)),
    "modify_no_admin_write": Modify(RECORD, (value(4, "RO", b"v", 0b1010),)),
    "modify_admin": Modify(RECORD, (value(100, "HS_ADMIN", ADMIN_DATA),)),
    "modify_value_to_admin": Modify(RECORD, (value(1, "HS_ADMIN", ADMIN_DATA),)),
    "modify_admin_to_value": Modify(RECORD, (value(100, "X", b"x"),)),
    "remove_value": Remove(RECORD, (1,)),
    "remove_no_admin_write": Remove(RECORD, (4,)),
    "remove_admin": Remove(RECORD, (100,)),
    "remove_both": Remove(RECORD, (1, 100)),
    "remove_missing_index": Remove(RECORD, (77,)),
    "create_existing": Put(RECORD, (value(1, "URL", b"u"),)),
    "overwrite_same": Put(RECORD, MASK_VALUES, overwrite=True),
    "overwrite_modify_value": Put(RECORD, CHANGED, overwrite=True),
    "overwrite_remove_all": Put(RECORD, (value(900, "Z", b"z"),), overwrite=True),
}
READS: dict[str, frozenset[int]] = {
    "read_private": frozenset({2}),
    "read_all": frozenset(),
    "read_no_admin_read": frozenset({5}),
}


def prepared() -> tuple[MemoryEngine, Registry]:
    """Return a store with the reference server's set-up: one identity for each bit."""
    store = MemoryEngine()
    registry = Registry(store, HandleRules(), founding=True)
    requests = [Request(Home("88.9999.1"), OPERATOR)]
    requests += [Request(Put(*setup_record(position)), OPERATOR) for position in (0, 1)]
    assert all(result.done for result in registry.run(requests, NOW))
    return store, registry


def test_every_operation_of_the_matrix_is_tried() -> None:
    """No row of the vectors is left out."""
    assert set(MATRIX) == set(OPERATIONS) | set(READS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_change_needs_the_bits_that_the_reference_server_asks(name: str) -> None:
    """Each operation, by an identity that holds exactly one bit, ends with the reference's code."""
    for bit, code in enumerate(MATRIX[name]):
        store, registry = prepared()
        with store.snapshot() as snapshot:
            before = snapshot.serial()
        actor = Actor(Identity(ADM, 400 + bit))
        result = registry.run([Request(OPERATIONS[name], actor)], NOW)[0]
        assert STATUSES[result.outcome].handle == code, f"bit {bit}"
        with store.snapshot() as snapshot:
            assert result.done or snapshot.serial() == before, "a refusal changes nothing"


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_stranger_is_refused_as_by_the_reference_server(name: str) -> None:
    """An identity that no HS_ADMIN names."""
    _, registry = prepared()
    result = registry.run([Request(OPERATIONS[name], Actor(Identity(ADM, 413)))], NOW)[0]
    assert STATUSES[result.outcome].handle == VECTORS["mask_matrix"]["stranger"][name]


@pytest.mark.parametrize("name", READS)
def test_a_read_needs_the_authorised_read_bit(name: str) -> None:
    """Bit 400, and only it, opens what is not public; what nobody may read stays shut."""
    store, _ = prepared()
    resolver = Resolver(HandleRules())
    identities = [*range(12), None]
    codes = [*MATRIX[name], VECTORS["mask_matrix"]["anonymous"][name]]
    for bit, code in zip(identities, codes, strict=True):
        identity = None if bit is None else Identity(ADM, 400 + bit)
        question = Question(RECORD, READS[name], public_only=False, identity=identity)
        with store.snapshot() as snapshot:
            assert STATUSES[resolver.resolve(snapshot, question).outcome].handle == code, f"bit {bit}"


PREFIX_LEVEL = VECTORS["mask_matrix"]["prefix_level"]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("create_handle", Put("88.9999.1/NEW", (value(1, "URL", b"u"),))),
        ("create_derived", Put("0.NA/88.9999.1.5", (value(1, "URL", b"u"),))),
    ],
)
def test_creation_needs_the_prefix_handles_bits(name: str, command: Command) -> None:
    """001 for a handle, 004 for a derived prefix, of the prefix handle."""
    admins = tuple(
        value(100 + bit, "HS_ADMIN", encode_admin(AdminRecord(1 << bit, ADM, 400 + bit))) for bit in range(12)
    )
    for bit, code in enumerate(PREFIX_LEVEL[name]):
        _, registry = prepared()
        assert registry.run([Request(Put("0.NA/88.9999.1", admins), OPERATOR)], NOW)[0].done
        result = registry.run([Request(command, Actor(Identity(ADM, 400 + bit)))], NOW)[0]
        assert STATUSES[result.outcome].handle == code, f"bit {bit}"


def test_listing_needs_bit_800_of_the_prefix_handle() -> None:
    """As the reference server: list_handles."""
    admins = tuple(
        value(100 + bit, "HS_ADMIN", encode_admin(AdminRecord(1 << bit, ADM, 400 + bit))) for bit in range(12)
    )
    store, registry = prepared()
    registry.run([Request(Put("0.NA/88.9999.1", admins), OPERATOR)], NOW)
    resolver = Resolver(HandleRules())
    with store.snapshot() as snapshot:
        admitted = [resolver.may_list(snapshot, b"88.9999.1", Identity(ADM, 400 + bit)) for bit in range(12)]
    assert admitted == [code == 1 for code in PREFIX_LEVEL["list_handles"]]


def test_a_server_administrator_has_every_right() -> None:
    """Whatever HS_ADMIN says."""
    store = MemoryEngine()
    admin = Identity("0.NA/88.9999.1", 300)
    registry = Registry(store, HandleRules(), server_admins=frozenset({(b"0.NA/88.9999.1", 300)}), founding=True)
    results = registry.run(
        [
            Request(Home("88.9999.1"), OPERATOR),
            Request(Put("88.9999.1/X", (value(1, "URL", b"u"),)), Actor(admin)),
            Request(Delete("88.9999.1/X"), Actor(admin)),
            Request(Home("88.9999.2"), Actor(admin)),
        ],
        NOW,
    )
    assert [result.done for result in results] == [True, True, True, True]


@pytest.mark.parametrize("name", OPERATIONS)
def test_anybody_may_change_values_with_public_write_and_nothing_else(name: str) -> None:
    """As the reference server, but that nobody learns what exists by creating it."""
    store, registry = prepared()
    with store.snapshot() as snapshot:
        before = snapshot.serial()
    result = registry.run([Request(OPERATIONS[name], ANONYMOUS, Token("t", b"d"))], NOW)[0]
    expected = VECTORS["mask_matrix"]["anonymous"] | {"create_existing": 402}
    assert STATUSES[result.outcome].handle == expected[name]
    with store.snapshot() as snapshot:
        assert snapshot.serial() == before + result.done
        assert not list(snapshot.scan(Table.TOKENS, b"")), "nobody's token is kept"


def test_anybody_is_told_value_by_value() -> None:
    """104: missing handle, missing value, read-only value, credentials: whatever comes first in the request."""
    _, registry = prepared()
    public, plain, closed = (
        value(3, "RW", b"v", 0b1111),
        value(1, "URL", b"v"),
        value(4, "RO", b"v", 0b1010),
    )
    cases: list[tuple[Command, Outcome]] = [
        (Modify("88.9999.1/NONE", (public,)), Outcome.HANDLE_NOT_FOUND),
        (Modify("88.1/NONE", (public,)), Outcome.NOT_RESPONSIBLE),
        (Modify(RECORD, (public, value(77, "X", b""))), Outcome.VALUE_NOT_FOUND),
        (Modify(RECORD, (public, plain)), Outcome.AUTHENTICATION_NEEDED),
        (Modify(RECORD, (public, closed)), Outcome.ACCESS_DENIED),
        (Modify(RECORD, (plain, closed)), Outcome.AUTHENTICATION_NEEDED),
        (Modify(RECORD, (closed, plain)), Outcome.ACCESS_DENIED),
        (Modify(RECORD, ()), Outcome.OK),
        (PutBatch(b"[]", lines=False), Outcome.AUTHENTICATION_NEEDED),
        (Home("88.9999.1"), Outcome.AUTHENTICATION_NEEDED),
        (Unhome("88.9999.1"), Outcome.AUTHENTICATION_NEEDED),
    ]
    for command, outcome in cases:
        assert registry.run([Request(command, ANONYMOUS)], NOW)[0].outcome is outcome, command


@pytest.mark.parametrize("first", ["88.9999.1/NEW", "0.NA/88.9999.1.5"])
def test_a_right_that_was_found_is_no_other_right(first: str) -> None:
    """In one group: 001 of the prefix handle creates handles and no derived prefix, in whatever order."""
    admins = (value(100, "HS_ADMIN", encode_admin(AdminRecord(0x001, ADM, 400))),)
    _, registry = prepared()
    registry.run([Request(Put("0.NA/88.9999.1", admins), OPERATOR)], NOW)
    handles = [first, "88.9999.1/OTHER", "0.NA/88.9999.1.6"]
    requests = [Request(Put(handle, (value(1, "URL", b"u"),)), Actor(Identity(ADM, 400))) for handle in handles]
    results = registry.run(requests, NOW)
    assert [result.done for result in results] == [not handle.startswith("0.NA/") for handle in handles]
