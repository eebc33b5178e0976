"""Handle values and what is inside them: octets to value and back, total on any octets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.records import (
    AdminRecord,
    DhKey,
    DsaKey,
    HandleValue,
    Interface,
    OtherKey,
    RsaKey,
    ServerInfo,
    SiteInfo,
    ValueReference,
)
from core.wire.admin import decode_admin, decode_group, encode_admin, encode_group
from core.wire.cursor import Cursor, bstr, integer, text
from core.wire.jws import Jws, decode_jws, encode_jws
from core.wire.publickey import decode_public_key, encode_public_key
from core.wire.site import decode_site, encode_site
from core.wire.values import decode_value, decode_values, encode_value, encode_values
from core.wire.valuetypes import VALUE_TYPES
from tests.kit.vectors import load, reference_records, value_of

RSA = RsaKey(modulus=0xB5FF_CF6E_7092_C419, exponent=65_537)
SITE = SiteInfo(
    1, 2, 11, 1, True, False, 2, "", (("desc", "bench site"),),
    (ServerInfo(1, bytes(12) + b"\x7f\0\0\x01", encode_public_key(RSA), (Interface(3, 1, 2641),)),),
)  # fmt: skip


def decode_one(data: bytes) -> HandleValue:
    """Read one value, to the end."""
    cursor = Cursor(data)
    value = decode_value(cursor)
    cursor.end()
    return value


class Codec(NamedTuple):
    """One pair of functions, and what it is made for."""

    values: st.SearchStrategy[Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


CODECS = {
    "value": Codec(st.from_type(HandleValue), encode_value, decode_one),
    "values": Codec(st.lists(st.from_type(HandleValue), max_size=4).map(tuple), encode_values, decode_values),
    "admin": Codec(st.from_type(AdminRecord), encode_admin, decode_admin),
    "group": Codec(st.lists(st.from_type(ValueReference), max_size=5).map(tuple), encode_group, decode_group),
    "rsa key": Codec(st.from_type(RsaKey), encode_public_key, decode_public_key),
    "dsa key": Codec(st.from_type(DsaKey), encode_public_key, decode_public_key),
    "dh key": Codec(st.from_type(DhKey), encode_public_key, decode_public_key),
    "other key": Codec(st.from_type(OtherKey), encode_public_key, decode_public_key),
    "site": Codec(st.from_type(SiteInfo), encode_site, decode_site),
    "jws": Codec(st.from_type(Jws), encode_jws, decode_jws),
}
every_codec = pytest.mark.parametrize("name", CODECS)


@st.composite
def damaged(draw: st.DrawFn, codec: Codec) -> bytes:
    """Valid octets with a few bits, octets or lengths wrong, or cut off."""
    data = bytearray(codec.encode(draw(codec.values)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["cut", "flip", "insert", "delete", "length", "append"])):
            case "cut":
                del data[place:]
            case "flip" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=4))
            case "delete":
                del data[place : place + draw(st.integers(1, 4))]
            case "length":
                data[place : place + 4] = draw(st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\xff\xff"]))
            case _:
                data += draw(st.binary(min_size=1, max_size=4))
    return bytes(data)


def value_or_wire_error(codec: Codec, data: bytes) -> None:
    """Anything but a WireError fails the test; what is read can be written and read again."""
    try:
        value = codec.decode(data)
    except WireError as error:
        assert error.message
        return
    assert codec.decode(codec.encode(value)) == value


@every_codec
@given(draw=st.data())
def test_wire_round_trip(name: str, draw: st.DataObject) -> None:
    """decode(encode(v)) == v, with every integer, text and octet that the layout has room for."""
    codec = CODECS[name]
    value = draw.draw(codec.values)
    assert codec.decode(codec.encode(value)) == value


@every_codec
@given(data=st.binary(max_size=200))
@example(data=b"")
@example(data=b"\xff" * 64)
@example(data=bytes(64))
def test_wire_any_bytes_give_a_value_or_wire_error(name: str, data: bytes) -> None:
    """Octets from nowhere never raise anything but WireError."""
    value_or_wire_error(CODECS[name], data)


@every_codec
@given(draw=st.data())
def test_wire_total_on_damaged_encodings(name: str, draw: st.DataObject) -> None:
    """Nearly valid octets reach deeper than random ones: still a value or WireError."""
    codec = CODECS[name]
    value_or_wire_error(codec, draw.draw(damaged(codec)))


@pytest.mark.parametrize("name", [name for name in CODECS if name not in ("jws", "other key", "rsa key", "admin")])
@given(draw=st.data())
def test_wire_total_every_truncation_is_refused(name: str, draw: st.DataObject) -> None:
    """No prefix of an encoding is an encoding (keys of other kinds, spare octets and JWS apart)."""
    codec = CODECS[name]
    data = codec.encode(draw.draw(codec.values))
    cut = draw.draw(st.integers(0, max(len(data) - 1, 0)))
    with pytest.raises(WireError):
        codec.decode(data[:cut])


# --- layout -----------------------------------------------------------------


def test_a_value_has_the_layout_of_the_byte_map() -> None:
    """Index, timestamp, TTL type, TTL, permissions, type, data, references, big-endian (RFC 3651 s3.1)."""
    value = HandleValue(
        100, "URL", b"ab", 1_900_000_000, True, 0b1100, 1_700_000_000, (ValueReference("0.NA/88.9999.1", 300),)
    )
    expected = (
        "00000064" "6553f100" "01" "713fb300" "0c" "00000003" "55524c" "00000002" "6162"
        "00000001" "0000000e" "302e4e412f38382e393939392e31" "0000012c"
    )  # fmt: skip
    assert encode_value(value).hex() == expected
    assert decode_one(bytes.fromhex(expected)) == value


def test_an_hs_admin_value_has_the_reference_servers_octets() -> None:
    """Two octets of mask, bstr handle, int32 index: the very octets of the recorded HS_ADMIN."""
    admin = AdminRecord(0xFFF, "0.NA/88.9999.1", 200)
    assert encode_admin(admin).hex() == load("handle/records.json")["bulk_admin"]["data_hex"]


@pytest.mark.parametrize("handle", reference_records())
def test_every_recorded_value_decodes_and_encodes_identically(handle: str) -> None:
    """Values of the reference server, whole and inside: not one octet changes on the way through."""
    values = reference_records()[handle]
    assert decode_values(encode_values(values)) == values
    for value in values:
        if value.type in VALUE_TYPES:
            codec = VALUE_TYPES[value.type]
            assert codec.encode(codec.decode(value.data)) == value.data, value.type


def test_the_records_hold_every_structure_of_the_reference() -> None:
    """The vectors above do exercise administrators, groups, keys and sites."""
    kinds = {value.type for values in reference_records().values() for value in values}
    assert {"HS_ADMIN", "HS_VLIST", "HS_PUBKEY", "HS_SITE", "HS_SITE.PREFIX"} <= kinds
    assert value_of(load("handle/records.json")["bulk_admin"]).type == "HS_ADMIN"


# --- handle values ----------------------------------------------------------


def test_a_ttl_type_that_nobody_knows_is_refused() -> None:
    """Only 0 (relative) and 1 (absolute) exist."""
    data = bytearray(encode_value(HandleValue(1, "URL", b"")))
    data[8] = 2
    with pytest.raises(WireError, match="TTL type 2"):
        decode_one(bytes(data))


def test_octets_behind_the_last_value_are_refused() -> None:
    """A list of values is read to its end."""
    with pytest.raises(WireError, match="left over"):
        decode_values(encode_values((HandleValue(1, "URL", b"x"),)) + b"\0")


def test_a_type_that_is_not_utf8_is_refused() -> None:
    """Type names are UTF-8; data are octets."""
    data = encode_value(HandleValue(1, "URL", b"\xff")).replace(b"URL", b"U\xffL")
    with pytest.raises(WireError, match="not UTF-8"):
        decode_one(data)


def test_more_values_than_a_record_may_have_are_refused() -> None:
    """VALUES_PER_RECORD_MAX values pass, one more does not."""
    values = tuple(HandleValue(index, "T", b"") for index in range(1, limits.VALUES_PER_RECORD_MAX + 1))
    assert decode_values(encode_values(values)) == values
    with pytest.raises(WireError, match="does not fit"):
        decode_values(encode_values((*values, HandleValue(9_999, "T", b""))))


@pytest.mark.parametrize("count", [1, 2, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_an_announced_count_that_cannot_be_there_is_refused_before_reading(count: int) -> None:
    """A count is compared with the octets left, so a small message cannot ask for much work."""
    calls: list[int] = []
    cursor = Cursor(count.to_bytes(4, "big") + b"1234567")
    with pytest.raises(WireError, match="does not fit"):
        cursor.array(lambda: calls.append(1), 2**32, 8)
    assert calls == []


@pytest.mark.parametrize("octets", [b"", b"\x80", b"\xff\x00"])
def test_a_big_integer_that_is_empty_or_negative_is_refused(octets: bytes) -> None:
    """Keys hold numbers that are not negative, in two's complement with a sign octet."""
    with pytest.raises(WireError, match="empty or negative"):
        Cursor(bstr(octets)).integer()


@pytest.mark.parametrize(
    ("number", "octets"), [(0, b"\0"), (127, b"\x7f"), (128, b"\0\x80"), (255, b"\0\xff"), (65_537, b"\1\0\1")]
)
def test_a_big_integer_has_a_sign_octet_where_it_needs_one(number: int, octets: bytes) -> None:
    """The shortest two's complement form, as the reference server writes it."""
    assert integer(number) == bstr(octets)
    assert Cursor(bstr(octets)).integer() == number


# --- administrators and groups ----------------------------------------------


def test_old_administrators_keep_their_two_spare_octets() -> None:
    """What was read with the spare octets is written with them."""
    data = encode_admin(AdminRecord(0x010, "88.1/A", 300)) + b"\0\0"
    admin = decode_admin(data)
    assert admin.legacy
    assert encode_admin(admin) == data


@pytest.mark.parametrize("tail", [b"\0", b"\0\1", b"\0\0\0", b"\0\0\0\0"])
def test_other_octets_behind_an_administrator_are_refused(tail: bytes) -> None:
    """Only exactly two zero octets are the old form."""
    with pytest.raises(WireError, match="behind an HS_ADMIN"):
        decode_admin(encode_admin(AdminRecord(1, "88.1/A", 300)) + tail)


@pytest.mark.parametrize("bit", [0x1000, 0x8000])
def test_a_permission_bit_that_nobody_knows_is_refused(bit: int) -> None:
    """Twelve bits exist; a right that is not understood is never given."""
    with pytest.raises(WireError, match="nobody knows"):
        decode_admin(encode_admin(AdminRecord(bit | 1, "88.1/A", 300)))


def test_octets_behind_a_group_are_refused() -> None:
    """An HS_VLIST is read to its end."""
    with pytest.raises(WireError, match="left over"):
        decode_group(encode_group((ValueReference("88.1/A", 1),)) + b"\0")


# --- public keys ------------------------------------------------------------


def test_an_rsa_key_is_written_with_four_spare_zero_octets_and_read_without() -> None:
    """The reference server writes them; older writers do not."""
    data = encode_public_key(RSA)
    assert data.endswith(b"\0\0\0\0")
    assert decode_public_key(data) == decode_public_key(data[:-4]) == RSA


@pytest.mark.parametrize("tail", [b"\0", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\0\0"])
def test_other_octets_behind_an_rsa_key_are_refused(tail: bytes) -> None:
    """Only none, or exactly four zero octets."""
    with pytest.raises(WireError):
        decode_public_key(encode_public_key(RSA)[:-4] + tail)


def test_rsa_is_exponent_then_modulus_dsa_qpgy_dh_ypg() -> None:
    """The order of the numbers differs from key to key (HANDLE.NET layout)."""
    head = b"\0\0\0\x0bRSA_PUB_KEY\0\0"
    assert encode_public_key(RsaKey(modulus=5, exponent=3)) == head + integer(3) + integer(5) + bytes(4)
    dsa = text("DSA_PUB_KEY") + b"\0\0" + b"".join(map(integer, (1, 2, 3, 4)))
    assert decode_public_key(dsa) == DsaKey(q=1, p=2, g=3, y=4)
    dh = text("DH_PUB_KEY") + b"\0\0" + b"".join(map(integer, (1, 2, 3)))
    assert decode_public_key(dh) == DhKey(y=1, p=2, g=3)


def test_a_national_key_is_kept_as_octets() -> None:
    """SM2_PUB_KEY is not read, and not lost."""
    data = text("SM2_PUB_KEY") + b"\0\0" + b"\4" + bytes(range(64))
    assert decode_public_key(data) == OtherKey("SM2_PUB_KEY", b"\4" + bytes(range(64)))


def test_a_key_with_flags_is_refused() -> None:
    """The two octets of flags are zero."""
    with pytest.raises(WireError, match="flags"):
        decode_public_key(text("RSA_PUB_KEY") + b"\0\1" + integer(3) + integer(5))


# --- sites ------------------------------------------------------------------


def test_a_site_has_no_trailing_octets() -> None:
    """Nothing may stand behind the last server."""
    with pytest.raises(WireError, match="left over"):
        decode_site(encode_site(SITE) + b"\0")


@pytest.mark.parametrize(("primary", "multi", "octet"), [(1, 0, 0x80), (0, 1, 0x40), (1, 1, 0xC0), (0, 0, 0)])
def test_the_flags_of_a_site_are_the_two_high_bits(primary: int, multi: int, octet: int) -> None:
    """80 primary, 40 multi-primary, at offset 6."""
    site = SITE._replace(primary=bool(primary), multi_primary=bool(multi))
    assert encode_site(site)[6] == octet
    assert decode_site(encode_site(site)) == site


def test_site_flags_that_nobody_knows_are_refused() -> None:
    """A bit that would be lost on the way back is an error."""
    data = bytearray(encode_site(SITE))
    data[6] |= 1
    with pytest.raises(WireError, match="site flags"):
        decode_site(bytes(data))


def test_a_site_has_bounds() -> None:
    """SITE_SERVERS_MAX servers, SITE_INTERFACES_MAX doors, SITE_ATTRIBUTES_MAX attributes; no more."""
    server = SITE.servers[0]._replace(public_key=b"")
    door = server.interfaces[0]
    too_much = (
        SITE._replace(servers=(server,) * (limits.SITE_SERVERS_MAX + 1)),
        SITE._replace(servers=(server._replace(interfaces=(door,) * (limits.SITE_INTERFACES_MAX + 1)),)),
        SITE._replace(attributes=(("a", "b"),) * (limits.SITE_ATTRIBUTES_MAX + 1)),
    )
    for site in too_much:
        with pytest.raises(WireError, match="does not fit"):
            decode_site(encode_site(site))
    most = SITE._replace(servers=(server,) * limits.SITE_SERVERS_MAX)
    assert decode_site(encode_site(most)) == most


# --- JWS --------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"a.b", b"YQ.YQ.YQ.YQ", b"YQ==.YQ.YQ", b"YQ.YR.YQ", b"Y.YQ.YQ", b"+/.YQ.YQ", b"YQ.YQ.Y Q", b"YQ.YQ.YQ\n"],
    ids=["empty", "two parts", "four parts", "padded", "loose bits", "one sextet", "base64", "blank", "newline"],
)
def test_a_jws_that_is_not_canonical_is_refused(data: bytes) -> None:
    """Two texts never mean one signature: what is read is written identically."""
    with pytest.raises(WireError):
        decode_jws(data)


def test_a_jws_keeps_its_three_parts_as_octets() -> None:
    """Nothing that a signature covers is written anew."""
    data = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIzMDA6MC5OQS84OC4xIn0._-8"
    jws = decode_jws(data)
    assert jws == Jws(b'{"alg":"RS256"}', b'{"iss":"300:0.NA/88.1"}', b"\xff\xef")
    assert encode_jws(jws) == data
