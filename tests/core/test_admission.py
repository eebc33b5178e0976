"""Who may do what: masks of HS_ADMIN, groups inside groups, and identities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.admission import Identity, Records, may, parse_identity, parse_server_admins, same_identity
from core.errors import WireError
from core.ident.handle import HandleRules
from core.records import AdminPermission, AdminRecord, HandleValue, ValueReference, Values
from core.wire.admin import encode_admin, encode_group
from tests.kit.known import KnownRecords

P = AdminPermission
ALICE = Identity("88.1/alice", 300)
NOBODY = KnownRecords(lambda _: None)
RULES = HandleRules()


def admin(handle: str, index: int, mask: int = 0xFFF, at: int = 100) -> HandleValue:
    """Return an HS_ADMIN value."""
    return HandleValue(at, "HS_ADMIN", encode_admin(AdminRecord(mask, handle, index)))


def group(*members: tuple[str, int], at: int = 200) -> HandleValue:
    """Return an HS_VLIST value."""
    return HandleValue(at, "HS_VLIST", encode_group(tuple(ValueReference(*member) for member in members)))


def records(rules: HandleRules = RULES, **values: Values) -> Records:
    """Return records below 88.1."""
    known = {rules.key(f"88.1/{name}"): each for name, each in values.items()}
    return KnownRecords(known.get, rules)


# --- the identity itself ----------------------------------------------------

SAME = [
    (("88.1/alice", 300), True),
    (("88.1/ALICE", 300), True),
    (("88.1/alice", 0), True),
    (("88.1/ALICE", 0), True),
    (("88.1/alice", 301), False),
    (("88.1/alicé", 300), False),
    (("88.2/alice", 300), False),
    (("", 0), False),
]


@pytest.mark.parametrize(("named", "same"), SAME, ids=str)
def test_an_administrator_is_named_by_handle_and_index(named: tuple[str, int], same: bool) -> None:
    """a-z folded in prefix and suffix, index 0 is any index, nothing else is."""
    assert same_identity(ValueReference(*named), ALICE, NOBODY) is same
    assert may((admin(*named),), ALICE, NOBODY, P.ADD_VALUE) is same


def test_a_prefix_handle_and_its_short_name_are_one_identity() -> None:
    """88.1 without "/" is read as 0.NA/88.1."""
    assert same_identity(ValueReference("0.na/88.1", 300), Identity("88.1", 300), NOBODY)


def test_index_0_of_who_asks_is_not_any() -> None:
    """Zero means any in HS_ADMIN, not in the identity that asks."""
    assert not may((admin("88.1/alice", 300),), Identity("88.1/alice", 0), NOBODY, P.ADD_VALUE)


def test_where_case_matters_two_spellings_of_a_suffix_are_two() -> None:
    """Of identities, groups and server administrators; prefixes and prefix handles fold all the same."""
    rules = HandleRules(case_sensitive=True)
    nobody = KnownRecords(lambda _: None, rules)
    for named, same in (("88.1/alice", True), ("88.1/ALICE", False), ("88.a/x", False)):
        assert same_identity(ValueReference(named, 300), ALICE, nobody) is same
        assert may((admin(named, 300),), ALICE, nobody, P.ADD_VALUE) is same
    assert same_identity(ValueReference("0.na/88.a", 300), Identity("88.A", 300), nobody)
    assert same_identity(ValueReference("88.a/x", 300), Identity("88.A/x", 300), nobody)
    groups = records(rules, team=(group(ALICE),), TEAM=(group(("88.1/ALICE", 300)),))
    assert may((admin("88.1/team", 200),), ALICE, groups, P.ADD_VALUE)
    assert not may((admin("88.1/TEAM", 200),), ALICE, groups, P.ADD_VALUE)
    assert parse_server_admins((300, "1:88.a/Adm"), "88.a", rules) == {(b"0.NA/88.A", 300), (b"88.A/Adm", 1)}


# --- masks ------------------------------------------------------------------


def test_several_bits_must_stand_in_one_value() -> None:
    """240 in one HS_ADMIN value admits; 040 and 200 in two do not (seen at the reference server)."""
    needed = P.ADD_VALUE | P.ADD_ADMIN
    assert may((admin("88.1/alice", 300, 0x240),), ALICE, NOBODY, needed)
    assert not may((admin("88.1/alice", 300, 0x040), admin("88.1/alice", 300, 0x200, at=101)), ALICE, NOBODY, needed)
    assert may((admin("88.1/alice", 300, 0x040), admin("88.1/alice", 300, 0x240, at=101)), ALICE, NOBODY, needed)


@pytest.mark.parametrize("bit", P, ids=lambda bit: str(bit.name))
def test_each_bit_admits_to_itself_alone(bit: AdminPermission) -> None:
    """A mask with one bit gives that right and no other; all others give every right but that."""
    only, others = (admin("88.1/alice", 300, mask) for mask in (bit, 0xFFF & ~bit))
    for right in P:
        assert may((only,), ALICE, NOBODY, right) is (right is bit)
        assert may((others,), ALICE, NOBODY, right) is (right is not bit)


def test_one_alternative_is_enough() -> None:
    """Either all bits of one alternative, or all of another; never half of each."""
    values = (admin("88.1/alice", 300, P.ADD_ADMIN),)
    assert may(values, ALICE, NOBODY, P.MODIFY_VALUE | P.ADD_VALUE, P.ADD_ADMIN)
    assert not may(values, ALICE, NOBODY, P.MODIFY_VALUE | P.ADD_ADMIN, P.ADD_VALUE)


def test_a_record_without_administrators_admits_nobody() -> None:
    """Nor does an HS_ADMIN that cannot be read, or one under another name."""
    readable = admin("88.1/alice", 300)
    assert not may((), ALICE, NOBODY, P.ADD_VALUE)
    assert not may((readable._replace(data=readable.data[:-1]),), ALICE, NOBODY, P.ADD_VALUE)
    assert not may((readable._replace(type="hs_admin"),), ALICE, NOBODY, P.ADD_VALUE)
    assert may((readable._replace(data=b"\xff"), readable), ALICE, NOBODY, P.ADD_VALUE)


def test_an_unreadable_hs_admin_value_counts() -> None:
    """Lists and HS_ADMIN values count even where nobody may read them."""
    load = records(team=(group(ALICE)._replace(permissions=0),))
    values = (admin("88.1/team", 200)._replace(permissions=0),)
    assert may(values, ALICE, load, 0xFFF)


# --- groups -----------------------------------------------------------------


def test_members_of_a_group_count_as_the_administrator() -> None:
    """HS_ADMIN names an HS_VLIST value; its members have the mask."""
    load = records(team=(group(("88.1/bob", 300), ("88.1/ALICE", 300)),))
    assert may((admin("88.1/team", 200, 0x040),), ALICE, load, P.ADD_VALUE)
    assert not may((admin("88.1/team", 200, 0x040),), ALICE, load, P.ADD_ADMIN)
    assert not may((admin("88.1/team", 200),), Identity("88.1/carol", 300), load, P.ADD_VALUE)


def test_a_group_is_followed_by_its_index_and_type() -> None:
    """Another index of the record, or a value that is no HS_VLIST, is not the group; index 0 is any."""
    load = records(team=(group(ALICE, at=201), group(("88.1/bob", 300))._replace(type="DESC")))
    assert not may((admin("88.1/team", 200),), ALICE, load, P.ADD_VALUE)
    assert may((admin("88.1/team", 201),), ALICE, load, P.ADD_VALUE)
    assert may((admin("88.1/team", 0),), ALICE, load, P.ADD_VALUE)


def test_a_member_with_index_0_is_any_value_of_that_handle() -> None:
    """As in HS_ADMIN itself."""
    load = records(team=(group(("88.1/alice", 0)),))
    assert may((admin("88.1/team", 200),), ALICE, load, P.ADD_VALUE)


def test_groups_nest_without_a_limit_of_depth() -> None:
    """A chain of groups, each in a record of its own."""
    chain = {f"g{n}": (group((f"88.1/g{n + 1}", 200)),) for n in range(50)}
    load = records(**chain, g50=(group(ALICE),))
    assert may((admin("88.1/g0", 200),), ALICE, load, P.ADD_VALUE)


def test_a_circle_of_groups_ends() -> None:
    """Each group is read once, also a group that names itself under another spelling."""
    read: list[bytes] = []
    load = records(a=(group(("88.1/b", 200), ("88.1/A", 200)),), b=(group(("88.1/a", 200), ("88.1/B", 0)),))

    def counting(key: bytes) -> Values | None:
        read.append(key)
        return load.load(RULES.key(key.decode()))

    assert not may((admin("88.1/a", 200),), ALICE, KnownRecords(counting), P.ADD_VALUE)
    assert sorted(read) == [b"88.1/A", b"88.1/B", b"88.1/B"]
    with_alice = records(a=(group(("88.1/b", 200)),), b=(group(("88.1/a", 200), ALICE),))
    assert may((admin("88.1/a", 200),), ALICE, with_alice, P.ADD_VALUE)


def test_following_a_group_is_bounded() -> None:
    """However many members a group has, ADMIN_GROUP_HANDLES_MAX of them are followed."""
    read: list[bytes] = []
    many = group(*((f"88.1/m{n}", 200) for n in range(5_000)))

    def load(key: bytes) -> Values | None:
        read.append(key)
        return (many,) if key == b"88.1/TEAM" else None

    assert not may((admin("88.1/team", 200),), ALICE, KnownRecords(load), P.ADD_VALUE)
    assert len(read) == limits.ADMIN_GROUP_HANDLES_MAX


def test_a_direct_member_is_found_however_large_the_group() -> None:
    """The bound counts records that are read, not members that are compared."""
    load = records(team=(group(*((f"88.1/m{n}", 200) for n in range(5_000)), ALICE),))
    assert may((admin("88.1/team", 200),), ALICE, load, P.ADD_VALUE)


def test_a_group_that_cannot_be_read_admits_nobody() -> None:
    """And does not hide the other groups of the record."""
    load = records(team=(HandleValue(1, "HS_VLIST", b"\xff"), group(ALICE)))
    assert not may((admin("88.1/team", 1),), ALICE, load, P.ADD_VALUE)
    assert may((admin("88.1/team", 0),), ALICE, load, P.ADD_VALUE)


@given(data=st.binary(max_size=60), members=st.binary(max_size=60))
def test_admission_any_bytes_in_admin_and_group_values(data: bytes, members: bytes) -> None:
    """Octets from nowhere give an answer, and only a value that names the identity admits it."""
    values = (HandleValue(1, "HS_ADMIN", data), admin("88.1/team", 0))
    load = records(team=(HandleValue(2, "HS_VLIST", members),))
    allowed = may(values, ALICE, load, P.ADD_VALUE)
    assert not allowed or b"alice" in (data + members).lower()


# --- identities as text -----------------------------------------------------

IDENTITIES = {
    "300:0.NA/88.118.7": Identity("0.NA/88.118.7", 300),
    "0:88.1/a:b": Identity("88.1/a:b", 0),
    "2147483647:盐/1": Identity("盐/1", 2**31 - 1),
    "007:x": Identity("x", 7),
}
NO_IDENTITIES = [
    "", ":", "300", "300:", ":88.1/a", "x:88.1/a", "-1:88.1/a", "+1:88.1/a", " 1:88.1/a", "1 :88.1/a", "１:88.1/a",
    "²:88.1/a", "2147483648:88.1/a", "00000000001:88.1/a", "1:\ud800",
]  # fmt: skip


@pytest.mark.parametrize(("text", "identity"), IDENTITIES.items())
def test_an_identity_is_index_colon_handle(text: str, identity: Identity) -> None:
    """The first colon divides; the handle may hold more."""
    assert parse_identity(text) == identity


@pytest.mark.parametrize("text", NO_IDENTITIES, ids=ascii)
def test_what_is_no_identity_is_refused(text: str) -> None:
    """WireError; digits are ASCII and fit in 31 bits."""
    with pytest.raises(WireError):
        parse_identity(text)


@given(text=st.text(st.characters(codec=None), max_size=40))
def test_identity_total_on_any_text(text: str) -> None:
    """An identity that can be folded, or WireError."""
    try:
        identity = parse_identity(text)
    except WireError as error:
        assert error.message.encode()
    else:
        assert RULES.key(identity.handle)
        assert 0 <= identity.value_index < 2**31


def test_server_administrators_are_numbers_of_the_nodes_own_prefix_or_identities() -> None:
    """handle.server_admins = [300, "301:0.na/88.2"]."""
    assert parse_server_admins((300, "301:0.na/88.2"), "88.118.7", RULES) == {
        (b"0.NA/88.118.7", 300),
        (b"0.NA/88.2", 301),
    }
    assert parse_server_admins((), "", RULES) == frozenset()
    with pytest.raises(WireError):
        parse_server_admins(("admin",), "88.118.7", RULES)


def test_a_decision_looks_at_a_bounded_number_of_members() -> None:
    """However many HS_ADMIN values name however large groups: the records are read once, the rest is not looked at."""
    reads: list[bytes] = []
    crowd = group(*[Identity(f"88.1/x{number}", 1) for number in range(9_000)])

    def load(key: bytes) -> Values | None:
        reads.append(key)
        return (crowd,) if key.startswith(b"88.1/CROWD") else None

    values = tuple(admin(f"88.1/crowd{number}", 200, at=number + 1) for number in range(200))
    assert not may(values, ALICE, KnownRecords(load), P.ADD_VALUE)
    assert len(reads) <= limits.ADMIN_GROUP_HANDLES_MAX
    assert len([key for key in reads if key.startswith(b"88.1/CROWD")]) <= 2
