"""The JSON form of values: there and back, octet by octet, and every way to send it wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import NodeError, RecordError, WireError
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
    Values,
)
from core.wire.admin import encode_admin, encode_group
from core.wire.jsondata import dump_octets
from core.wire.jsonform import dump_value, dump_values, load_values, parse_handle_member, parse_values
from core.wire.jsontext import parse, quote
from core.wire.jws import Jws, encode_jws
from core.wire.publickey import encode_public_key
from core.wire.site import encode_site
from core.wire.valuetypes import VALUE_TYPES
from tests.kit.vectors import load, reference_records

NOW = 1_795_226_614
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.from_type(RsaKey | DsaKey | DhKey | OtherKey).map(encode_public_key)
# A door is of kind 0 … 3 and has a port that exists: see test_a_site_that_json_cannot_say_is_written_as_octets.
DOORS = st.lists(st.builds(Interface, st.integers(0, 3), st.integers(0, 255), st.integers(0, 65_535)), max_size=2)
ADDRESSES = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=4, max_size=4).map(lambda four: bytes(12) + four),
    st.sampled_from([bytes(16), bytes(10) + b"\xff\xff\1\2\3\4", bytes(11) + b"\1" + bytes(4)]),
)
SERVERS = st.builds(
    ServerInfo,
    st.integers(-(2**31), 2**31 - 1),
    ADDRESSES,
    st.one_of(KEYS, st.binary(max_size=20)),
    DOORS.map(tuple),
)
SITES = st.builds(
    lambda site, servers: encode_site(site._replace(servers=servers)),
    st.from_type(SiteInfo),
    st.lists(SERVERS, max_size=2).map(tuple),
)
STRUCTURES = st.one_of(
    st.from_type(AdminRecord).map(encode_admin),
    st.lists(st.from_type(ValueReference), max_size=3).map(lambda members: encode_group(tuple(members))),
    KEYS,
    SITES,
    st.from_type(Jws).map(encode_jws),
)
DATA = st.one_of(st.binary(max_size=60), TEXT.map(str.encode), STRUCTURES)
VALUES: st.SearchStrategy[HandleValue] = st.builds(
    lambda index, kind, data, ttl, permissions, at, references: HandleValue(
        index, kind, data, ttl[0], ttl[1], permissions, at, references
    ),
    st.integers(1, 2**31 - 1),
    st.one_of(st.sampled_from(sorted(VALUE_TYPES)), TEXT),
    DATA,
    st.one_of(
        st.tuples(st.integers(0, 2**31 - 1), st.just(False)), st.tuples(st.integers(0, 2**32 - 1), st.just(True))
    ),
    st.integers(0, 15),
    st.integers(0, 2**32 - 1),
    st.lists(st.from_type(ValueReference), max_size=2).map(tuple),
)


def there_and_back(values: Values) -> Values:
    """Write and read again. ``now`` is 0: a timestamp of 0 is not written."""
    return load_values(parse_values(dump_values(values)), 0, keep_timestamps=True)


def data_of(form: object, kind: str = "T") -> bytes:
    """Return the octets of one member ``data``."""
    body = json.dumps([{"index": 1, "type": kind, "data": form}]).encode()
    return load_values(parse_values(body), NOW)[0].data


# --- round trips ------------------------------------------------------------


@given(values=st.lists(VALUES, max_size=3).map(tuple))
def test_json_round_trip_of_any_values(values: Values) -> None:
    """Every member and every octet of data survives, of every type, structured or not."""
    assert there_and_back(values) == values


@given(data=st.binary(max_size=60), kind=st.sampled_from(sorted(VALUE_TYPES)))
def test_json_round_trip_of_structured_types_with_any_octets(data: bytes, kind: str) -> None:
    """A structured type whose octets do not decode is written as string or base64: nothing is lost."""
    assert there_and_back((HandleValue(1, kind, data),))[0].data == data


@pytest.mark.parametrize("handle", reference_records())
def test_json_round_trip_of_the_reference_records(handle: str) -> None:
    """What the reference server held goes through JSON unchanged."""
    values = reference_records()[handle]
    assert there_and_back(values) == values


@given(data=st.binary(max_size=60))
@example(data=b"\xed\xa0\x80")
def test_json_round_trip_of_any_octets_without_structure(data: bytes) -> None:
    """The format is string or base64, whichever gives the octets back."""
    form = json.loads(dump_octets(data))
    assert data_of(form) == data
    assert form["format"] in ("string", "base64")


@given(text=TEXT)
def test_json_round_trip_of_any_text(text: str) -> None:
    """quote() is JSON for any reader, and leaves no control character or line separator raw."""
    quoted = quote(text)
    assert json.loads(quoted) == text
    assert not any(char in quoted for char in map(chr, [*range(32), 0x2028, 0x2029]))


DOOR_OF_KIND_4 = SiteInfo(1, 2, 11, 1, True, False, 2, "", (), (ServerInfo(1, bytes(16), b"", (Interface(4, 0, 1),)),))
PORT_OUT_OF_BOUNDS = SiteInfo(
    1, 2, 11, 1, True, False, 2, "", (), (ServerInfo(1, bytes(16), b"", (Interface(3, 0, 65_536),)),)
)


@pytest.mark.parametrize("site", [DOOR_OF_KIND_4, PORT_OUT_OF_BOUNDS], ids=["door of kind 4", "port 65536"])
def test_a_site_that_json_cannot_say_is_written_as_octets(site: SiteInfo) -> None:
    """Nothing is lost by the structured form."""
    data = encode_site(site)
    assert there_and_back((HandleValue(1, "HS_SITE", data),))[0].data == data


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (encode_public_key(RsaKey(5, 3))[:-4], encode_public_key(RsaKey(5, 3))),
        (
            encode_public_key(DsaKey(1, 2, 3, 4)).replace(b"\0\0\0\1\4", b"\0\0\0\2\0\4"),
            encode_public_key(DsaKey(1, 2, 3, 4)),
        ),
    ],
    ids=["RSA key without spare octets", "number with a spare octet"],
)
def test_a_key_comes_back_as_the_same_key(data: bytes, written: bytes) -> None:
    """An older writer's octets are a key all the same; read from JSON it is written as everybody does now."""
    assert there_and_back((HandleValue(1, "HS_PUBKEY", data),))[0].data == written


# --- texts of the reference server ------------------------------------------

EXCHANGES = {exchange["name"]: exchange for exchange in load("handle/rest_json.json")["exchanges"]}
WHOLE_RECORDS = [
    "get_all_http",
    "get_lowercase",
    "get_mixed_all_kinds",
    "get_serv_site_key_vlist",
    "get_prefix_handle",
    "get_unicode_pct",
]


@pytest.mark.parametrize("name", WHOLE_RECORDS)
def test_the_values_are_written_exactly_as_the_reference_server_writes_them(name: str) -> None:
    """Members, order, escapes, keys, sites: the very octets of its answer, for the public values."""
    answer = bytes.fromhex(EXCHANGES[name]["response_hex"]).partition(b"\r\n\r\n")[2]
    handle = json.loads(answer)["handle"]
    records = {known.upper(): values for known, values in reference_records().items()}
    public = tuple(value for value in records[handle.upper()] if value.public_read)
    assert answer.endswith(b'"values":' + dump_values(public) + b"}")


def test_a_record_without_values_is_an_empty_array() -> None:
    """As in the answer to a record that exists and holds nothing."""
    answer = bytes.fromhex(EXCHANGES["get_empty_record"]["response_hex"]).partition(b"\r\n\r\n")[2]
    assert b'"values":' + dump_values(reference_records()["88.9999.1/EMPTY"]) + b"," in answer


def test_a_private_value_is_written_with_its_permissions() -> None:
    """The answer to an authenticated reader: permissions stand before ttl, as text of four digits."""
    answer = bytes.fromhex(EXCHANGES["get_private_auth"]["response_hex"]).partition(b"\r\n\r\n")[2]
    secret = next(value for value in reference_records()["88.9999.1/MIXED"] if value.value_index == 4)
    assert answer.endswith(b'"values":' + dump_values((secret,)) + b"}")


def test_every_member_stands_in_its_place() -> None:
    """index, type, data, permissions, ttl, timestamp, references."""
    value = HandleValue(7, "RW", b"x", 1_900_000_000, True, 0b1111, 1_700_000_000, (ValueReference("88.1/A", 1),))
    assert dump_value(value) == (
        '{"index":7,"type":"RW","data":{"format":"string","value":"x"},"permissions":"1111",'
        '"ttl":"2030-03-17T17:46:40Z","timestamp":"2023-11-14T22:13:20Z","references":[{"handle":"88.1/A","index":1}]}'
    )
    assert dump_value(HandleValue(1, "T", b"")) == (
        '{"index":1,"type":"T","data":{"format":"string","value":""},"ttl":86400}'
    )


def test_a_site_names_what_differs_from_the_usual() -> None:
    """hashOption and hashFilter stand after multiPrimary if they are not 2 and empty; IPv6 in short form."""
    address = bytes.fromhex("20010db8000000000000000000000001")
    doors = (Interface(1, 0, 2641), Interface(2, 3, 8443), Interface(3, 9, 1))
    site = SiteInfo(1, 2, 11, 3, False, True, 0, "f", (("desc", "盐"),), (ServerInfo(-1, address, b"\0\xff", doors),))
    assert dump_value(HandleValue(1, "HS_SITE", encode_site(site))) == (
        '{"index":1,"type":"HS_SITE","data":{"format":"site","value":{"version":1,"protocolVersion":"2.11",'
        '"serialNumber":3,"primarySite":false,"multiPrimary":true,"hashOption":0,"hashFilter":"f",'
        '"attributes":[{"name":"desc","value":"盐"}],"servers":[{"serverId":-1,"address":"2001:db8::1",'
        '"publicKey":{"format":"base64","value":"AP8="},"interfaces":['
        '{"query":false,"admin":true,"protocol":"UDP","port":2641},'
        '{"query":true,"admin":false,"protocol":"HTTPS","port":8443},'
        '{"query":true,"admin":true,"protocol":9,"port":1}]}]}},"ttl":86400}'
    )


def test_keys_are_jwk_and_what_is_no_rsa_or_dsa_key_is_octets() -> None:
    """base64url without padding and without the sign octet; DH and national keys stay base64."""
    assert '"value":{"kty":"RSA","n":"gA","e":"Aw"}' in dump_value(
        HandleValue(1, "HS_PUBKEY", encode_public_key(RsaKey(128, 3)))
    )
    assert '"value":{"kty":"DSA","y":"BA","p":"Ag","q":"AQ","g":"Aw"}' in dump_value(
        HandleValue(1, "HS_PUBKEY", encode_public_key(DsaKey(1, 2, 3, 4)))
    )
    assert '"format":"base64"' in dump_value(HandleValue(1, "HS_PUBKEY", encode_public_key(DhKey(1, 2, 3))))


def test_a_structured_type_counts_as_written() -> None:
    """hs_admin is plain text to the reference server; only HS_ADMIN is structured."""
    data = encode_admin(AdminRecord(1, "88.1/A", 1))
    assert '"format":"admin"' in dump_value(HandleValue(1, "HS_ADMIN", data))
    assert '"format":"admin"' not in dump_value(HandleValue(1, "hs_admin", data))


# --- string or base64, and escapes ------------------------------------------

ESCAPED = {"\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
CONTROLS = {"\x0b": "\\u000b", "\x0e": "\\u000e", "\x13": "\\u0013", "\u2028": "\\u2028", "\u2029": "\\u2029"}
RAW = ["<", ">", "&", "'", "=", "/", "\u0080", "\u00a0", "\ufeff", "\ufffe", "盐", "\U0001f9c2", "\U0010ffff"]


@pytest.mark.parametrize(("char", "written"), (ESCAPED | CONTROLS | {char: char for char in RAW}).items(), ids=ascii)
def test_a_character_of_data_is_written_as_the_reference_server_writes_it(char: str, written: str) -> None:
    """Escapes are those of the reference: short ones, small hexadecimal, U+2028 and U+2029; all else raw."""
    assert dump_octets(f"a{char}b".encode()) == f'{{"format":"string","value":"a{written}b"}}'


NOT_TEXT = {f"U+{code:04X}": bytes([code]) for code in [*range(9), *range(0x14, 0x20), 0x7F]} | {
    "encoded high surrogate": b"\xed\xa0\x80",
    "encoded surrogate pair": b"\xed\xa0\xbc\xed\xb7\x82",
    "above 10FFFF": b"\xf4\x90\x80\x80",
    "overlong": b"\xc0\x80",
    "cut off": b"\xe7\x9b",
    "octet FF": b"\xff",
}


@pytest.mark.parametrize("octets", NOT_TEXT.values(), ids=NOT_TEXT)
def test_data_that_is_no_text_is_base64(octets: bytes) -> None:
    """Controls 00-08, 14-1F and 7F, and what is no UTF-8 (DIVERGES for surrogates: nothing is lost)."""
    data = b"a" + octets + b"b"
    assert dump_octets(data) == f'{{"format":"base64","value":"{base64.b64encode(data).decode()}"}}'


def test_empty_data_is_the_empty_string() -> None:
    """Not base64, not left out."""
    assert dump_octets(b"") == '{"format":"string","value":""}'


# --- reading the formats ----------------------------------------------------

ADMIN = {"handle": "0.NA/88.1", "index": 200, "permissions": "111111111111"}
SERVER = {
    "serverId": 1,
    "address": "127.0.0.1",
    "publicKey": {"format": "hex", "value": "00ff"},
    "interfaces": [{"query": True, "admin": True, "protocol": "TCP", "port": 2641}],
}
SITE_SERVER = ServerInfo(1, bytes(12) + b"\x7f\0\0\1", b"\0\xff", (Interface(3, 1, 2641),))
SITE_OCTETS = encode_site(SiteInfo(1, 2, 11, 1, True, False, 2, "", (), (SITE_SERVER,)))
FORMATS: list[tuple[object, bytes]] = [
    ("plain", b"plain"),
    ("", b""),
    ({"format": "string", "value": "盐"}, "盐".encode()),
    ({"format": "string", "value": "\x7f\x00"}, b"\x7f\0"),
    ({"format": "base64", "value": "AAEC/w=="}, b"\0\1\2\xff"),
    ({"format": "base64", "value": "AAEC/w"}, b"\0\1\2\xff"),
    ({"format": "base64", "value": ""}, b""),
    ({"format": "hex", "value": "00fF"}, b"\0\xff"),
    ({"format": "admin", "value": ADMIN}, encode_admin(AdminRecord(0xFFF, "0.NA/88.1", 200))),
    ({"format": "admin", "value": ADMIN | {"index": "200"}}, encode_admin(AdminRecord(0xFFF, "0.NA/88.1", 200))),
    ({"format": "admin", "value": ADMIN | {"permissions": "*"}}, encode_admin(AdminRecord(0xFFF, "0.NA/88.1", 200))),
    ({"format": "admin", "value": ADMIN | {"permissions": "10"}}, encode_admin(AdminRecord(2, "0.NA/88.1", 200))),
    (
        {"format": "admin", "value": ADMIN | {"permissions": "", "legacyByteLength": True}},
        encode_admin(AdminRecord(0, "0.NA/88.1", 200, legacy=True)),
    ),
    ({"format": "vlist", "value": []}, bytes(4)),
    (
        {"format": "vlist", "value": [{"handle": "0.NA/88.1", "index": "300"}, {"handle": "A", "index": -1}]},
        encode_group((ValueReference("0.NA/88.1", 300), ValueReference("A", -1))),
    ),
    ({"format": "site", "value": {"servers": [SERVER]}}, SITE_OCTETS),
    ({"format": "key", "value": {"kty": "RSA", "n": "gA", "e": "Aw=="}}, encode_public_key(RsaKey(128, 3))),
    (
        {"format": "key", "value": {"kty": "dsa", "y": "BA", "p": "Ag", "q": "AQ", "g": "Aw"}},
        encode_public_key(DsaKey(1, 2, 3, 4)),
    ),
]


@pytest.mark.parametrize(("form", "octets"), FORMATS, ids=lambda value: ascii(value)[:60])
def test_a_format_is_read(form: object, octets: bytes) -> None:
    """Each format of data, with what the reference server tolerates: digits as text, missing padding."""
    assert data_of(form) == octets


def test_a_body_is_an_object_an_array_or_one_value() -> None:
    """The three bodies of a PUT mean the same."""
    one = {"index": 1, "type": "URL", "data": "u"}
    bodies = [{"values": [one]}, [one], one, {"handle": "88.1/A", "values": [one], "unknown": {"deep": []}}]
    read = [load_values(parse_values(json.dumps(body).encode()), NOW) for body in bodies]
    assert read == [(HandleValue(1, "URL", b"u", timestamp=NOW),)] * len(bodies)
    assert parse_handle_member(json.dumps(bodies[3]).encode()) == "88.1/A"
    assert parse_handle_member(json.dumps(bodies[1]).encode()) is None


def test_left_out_members_have_the_reference_servers_defaults() -> None:
    """TTL 86 400, permissions 1110, no references; null counts as left out; an index may be digits in text."""
    bare = b'[{"index":"7","type":"T","data":"x","ttl":null,"permissions":null,"timestamp":null,"references":null}]'
    assert load_values(parse_values(bare), NOW) == (HandleValue(7, "T", b"x", timestamp=NOW),)


def test_the_requests_timestamp_counts_for_an_import_alone() -> None:
    """Otherwise the server's own time stands."""
    body = b'[{"index":1,"type":"T","data":"","timestamp":"2023-11-14T22:13:20Z"}]'
    assert load_values(parse_values(body), NOW)[0].timestamp == NOW
    assert load_values(parse_values(body), NOW, keep_timestamps=True)[0].timestamp == 1_700_000_000


# --- reading what is wrong --------------------------------------------------

NESTED = b"[" * 100_000
ONE = '{{"index":1,"type":"T","data":"x",{}}}'
DATA_FORM = '{{"index":1,"type":"T","data":{{"format":"{}","value":{}}}}}'


def site_form(members: str) -> str:
    return DATA_FORM.format("site", '{"servers":[],' + members + "}")


def server_form(members: str) -> str:
    return DATA_FORM.format("site", '{"servers":[{' + members + "}]}")


BAD_MEMBERS = {
    "index 2^40": ('{"index":1099511627776,"type":"T","data":"x"}', "values[0].index: 1099511627776"),
    "index text": ('{"index":"x","type":"T","data":"x"}', "values[0].index: expected an integer"),
    "index blank": ('{"index":" 1","type":"T","data":"x"}', "values[0].index: expected an integer"),
    "index other digits": ('{"index":"１","type":"T","data":"x"}', "values[0].index: expected an integer"),
    "index float": ('{"index":1.5,"type":"T","data":"x"}', "index: expected int"),
    "index true": ('{"index":true,"type":"T","data":"x"}', "index: expected int"),
    "index huge": ('{"index":' + "9" * 400 + ',"type":"T","data":"x"}', "values[0].index: 999"),
    "index gigantic": ('{"index":' + "9" * 5_000 + ',"type":"T","data":"x"}', "index: integer value out of range"),
    "index infinite": ('{"index":1e999,"type":"T","data":"x"}', "index: number out of range"),
    "type number": ('{"index":1,"type":5,"data":"x"}', "type: expected str"),
    "data null": ('{"index":1,"type":"T","data":null}', "data: expected str | object"),
    "data without value": (
        '{"index":1,"type":"T","data":{"format":"string"}}',
        "data: object missing required field value",
    ),
    "data without format": (
        '{"index":1,"type":"T","data":{"value":"x"}}',
        "data: object missing required field format",
    ),
    "permissions 12": (ONE.format('"permissions":"12"'), "values[0].permissions: four of 0 and 1"),
    "permissions long": (ONE.format('"permissions":"11110"'), "values[0].permissions: four of 0 and 1"),
    "permissions other digits": (ONE.format('"permissions":"１１１０"'), "values[0].permissions: four of 0 and 1"),
    "permissions number": (ONE.format('"permissions":1110'), "permissions: expected str"),
    "ttl negative": (ONE.format('"ttl":-1'), "values[0].ttl: -1 is not in 0"),
    "ttl 2^31": (ONE.format('"ttl":2147483648'), "values[0].ttl: 2147483648 is not in 0"),
    "ttl float": (ONE.format('"ttl":1.5'), "ttl: expected int"),
    "ttl no time": (ONE.format('"ttl":"tomorrow"'), "values[0].ttl: 'tomorrow' is no time"),
    "ttl month 13": (ONE.format('"ttl":"2030-13-01T00:00:00Z"'), "values[0].ttl: '2030-13-01T00:00:00Z' is no time"),
    "ttl year 0": (ONE.format('"ttl":"0000-01-01T00:00:00Z"'), "values[0].ttl: '0000-01-01T00:00:00Z' is no time"),
    "ttl before 1970": (ONE.format('"ttl":"1969-12-31T23:59:59Z"'), "values[0].ttl: '1969"),
    "ttl beyond 2106": (ONE.format('"ttl":"2106-02-07T06:28:16Z"'), "values[0].ttl: '2106"),
    "timestamp": (ONE.format('"timestamp":"now"'), "values[0].timestamp: 'now' is no time"),
    "timestamp number": (ONE.format('"timestamp":5'), "timestamp: expected str"),
    "references object": (ONE.format('"references":{}'), "references: expected array"),
    "reference without handle": (
        ONE.format('"references":[{"index":1}]'),
        "references[0]: object missing required field handle",
    ),
    "reference index text": (
        ONE.format('"references":[{"handle":"A","index":"x"}]'),
        "values[0].references.index: expected an integer",
    ),
    "reference index 2^31": (
        ONE.format('"references":[{"handle":"A","index":2147483648}]'),
        "values[0].references.index: 2147483648",
    ),
    "format": (DATA_FORM.format("text", '"x"'), "values[0].data.format: 'text' is none of string, base64, hex, admin"),
    "string number": (DATA_FORM.format("string", "5"), "values[0].data.value: expected a string for the format string"),
    "base64": (DATA_FORM.format("base64", '"!"'), "values[0].data.value: no base64"),
    "base64 one sextet": (DATA_FORM.format("base64", '"A"'), "values[0].data.value: no base64"),
    "base64 other letters": (DATA_FORM.format("base64", '"ＡＡ"'), "values[0].data.value: no base64"),
    "hex odd": (DATA_FORM.format("hex", '"abc"'), "values[0].data.value: no hexadecimal"),
    "hex letter": (DATA_FORM.format("hex", '"0g"'), "values[0].data.value: no hexadecimal"),
    "hex other digits": (DATA_FORM.format("hex", '"１２"'), "values[0].data.value: no hexadecimal"),
    "admin text": (DATA_FORM.format("admin", '"x"'), "values[0].data.value: "),
    "admin without handle": (DATA_FORM.format("admin", '{"index":1}'), "missing required field handle"),
    "admin index": (
        DATA_FORM.format("admin", '{"handle":"A","index":"x"}'),
        "values[0].data.value.index: expected an integer",
    ),
    "admin index 2^31": (
        DATA_FORM.format("admin", '{"handle":"A","index":2147483648}'),
        "values[0].data.value.index: 2147483648",
    ),
    "admin permissions": (
        DATA_FORM.format("admin", '{"handle":"A","index":1,"permissions":"1111111111112"}'),
        "values[0].data.value.permissions: at most twelve",
    ),
    "vlist object": (DATA_FORM.format("vlist", "{}"), "values[0].data.value: Expected array"),
    "vlist index": (
        DATA_FORM.format("vlist", '[{"handle":"A","index":"x"}]'),
        "values[0].data.value.index: expected an integer",
    ),
    "key kind": (DATA_FORM.format("key", '{"kty":"EC"}'), "values[0].data.value.kty: RSA or DSA"),
    "key without number": (DATA_FORM.format("key", '{"kty":"RSA","e":"Aw"}'), "values[0].data.value.n: missing"),
    "key no base64": (DATA_FORM.format("key", '{"kty":"RSA","n":"gA","e":"?"}'), "values[0].data.value.e: no base64"),
    "site without servers": (DATA_FORM.format("site", "{}"), "missing required field servers"),
    "site version": (site_form('"version":65536'), "values[0].data.value.version: 65536 is not in 0"),
    "site protocol": (site_form('"protocolVersion":"2"'), "values[0].data.value.protocolVersion: two numbers"),
    "site protocol 256": (
        site_form('"protocolVersion":"2.256"'),
        "values[0].data.value.protocolVersion: 256 is not in 0",
    ),
    "site serial": (site_form('"serialNumber":-1'), "values[0].data.value.serialNumber: -1 is not in 0"),
    "site hash option": (site_form('"hashOption":256'), "values[0].data.value.hashOption: 256 is not in 0"),
    "site flag": (site_form('"primarySite":1'), "primarySite"),
    "server address": (
        server_form('"interfaces":[],"address":"salt.example"'),
        "values[0].data.value.servers[0].address: 'salt.example' is no IP address",
    ),
    "server id": (
        server_form('"interfaces":[],"address":"::1","serverId":2147483648'),
        "values[0].data.value.servers[0].serverId: 2147483648",
    ),
    "server key": (
        server_form('"interfaces":[],"address":"::1","publicKey":{"format":"zz","value":1}'),
        "values[0].data.value.servers[0].publicKey.format: 'zz'",
    ),
    "server key that is a site": (
        server_form('"interfaces":[],"address":"::1","publicKey":{"format":"site","value":{"servers":[]}}'),
        "values[0].data.value.servers[0].publicKey.format: a key, or string",
    ),
    "door protocol": (
        server_form('"address":"::1","interfaces":[{"protocol":"SCTP","port":1}]'),
        "values[0].data.value.servers[0].interfaces[0].protocol: expected an integer",
    ),
    "door port": (
        server_form('"address":"::1","interfaces":[{"protocol":"TCP","port":65536}]'),
        "values[0].data.value.servers[0].interfaces[0].port: 65536 is not in 0",
    ),
}


@pytest.mark.parametrize(("form", "message"), BAD_MEMBERS.values(), ids=BAD_MEMBERS)
def test_a_bad_member_is_refused_and_named(form: str, message: str) -> None:
    """400, and the text names the value and the member and says what is wrong."""
    with pytest.raises((WireError, RecordError)) as caught:
        load_values(parse_values(f"[{form}]".encode()), NOW, keep_timestamps=True)
    assert message in caught.value.message
    assert str(caught.value) == caught.value.message


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "expected an object or an array"),
    "text": (b'"x"', "expected an object or an array"),
    "null": (b"null", "expected an object or an array"),
    "byte order mark": (b"\xef\xbb\xbf[]", "expected an object or an array"),
    "cut off": (b'[{"index":1', "Invalid JSON: Input data was truncated"),
    "two documents": (b"[][]", "Invalid JSON"),
    "trailing comma": (b"[1,]", "Expected"),
    "neither": (b"{}", "neither values nor index, type and data"),
    "no data": (b'{"index":1,"type":"T"}', "neither values nor index, type and data"),
    "values number": (b'{"values":5}', "values: expected array"),
    "value number": (b"[5]", "[0]: expected object"),
    "second value": (b'[{"index":1,"type":"T","data":""},{"index":1}]', "[1]: object missing required field"),
    "no UTF-8": (b'[{"index":1,"type":"\xff","data":""}]', "is not UTF-8"),
    "raw surrogate": (b'[{"index":1,"type":"T","data":"\xed\xa0\x80"}]', "is not UTF-8"),
    "lone surrogate": (b'[{"index":1,"type":"T","data":"\\ud800"}]', "Invalid JSON"),
    "lone low surrogate": (b'[{"index":1,"type":"T","data":"\\udc00 later"}]', "Invalid JSON"),
    "wrong pair": (b'[{"index":1,"type":"T","data":"\\ud800\\u0041"}]', "Invalid JSON"),
    "control in text": (b'[{"index":1,"type":"T","data":"\x01"}]', "Invalid JSON"),
    "NaN": (b'[{"index":NaN,"type":"T","data":""}]', "Invalid JSON"),
    "array bomb": (NESTED, "[0]: expected object, got array"),
    "array bomb in an object": (b'{"values":' + NESTED, "nested too deeply"),
    "bomb in an unknown member": (b'[{"index":1,"type":"T","data":"","x":' + NESTED, "nested too deeply"),
    "bomb in data": (b'[{"index":1,"type":"T","data":{"format":"string","value":' + NESTED, "nested too deeply"),
    "object bomb": (b'{"a":' * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("body", "message"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_that_is_no_list_of_values_is_refused(body: bytes, message: str) -> None:
    """Bombs, bad UTF-8, halves of surrogate pairs, wrong shapes: WireError with a reason."""
    with pytest.raises(WireError) as caught:
        load_values(parse_values(body), NOW)
    assert message.lower() in caught.value.message.lower()


@pytest.mark.parametrize("depth", [10, 100, 200, 240, 246, 248, 400])
def test_sites_inside_sites_end_in_values_or_wire_error(depth: int) -> None:
    """A site's key may name the format site again; however deep, nothing but WireError comes out."""
    form = '{"format":"string","value":"x"}'
    for _ in range(depth):
        server = f'{{"address":"::1","interfaces":[],"publicKey":{form}}}'
        form = f'{{"format":"site","value":{{"servers":[{server}]}}}}'
    body = f'[{{"index":1,"type":"HS_SITE","data":{form}}}]'.encode()
    ended = _ending(lambda: load_values(parse_values(body), NOW))
    assert ended in ("value", "WireError")


def _ending(action: Callable[[], object]) -> str:
    try:
        action()
    except NodeError as error:
        return type(error).__name__
    return "value"


# --- totality ---------------------------------------------------------------

JSON_ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.sampled_from(["string", "base64", "hex", "admin", "vlist", "site", "key", "*", "1110", "2030-01-01T00:00:00Z"]),
)
MEMBERS = st.sampled_from(
    [
        "index",
        "type",
        "data",
        "format",
        "value",
        "values",
        "permissions",
        "ttl",
        "timestamp",
        "references",
        "handle",
        "kty",
        "n",
        "e",
        "y",
        "p",
        "q",
        "g",
        "servers",
        "address",
        "interfaces",
        "protocol",
        "port",
        "query",
        "admin",
        "serverId",
        "publicKey",
        "version",
        "protocolVersion",
        "hashOption",
        "attributes",
        "name",
    ]
)
JSON_SHAPES = st.recursive(
    JSON_ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=6), max_leaves=20
)
FORMATTED = st.builds(
    lambda index, kind, form, value, more: {
        "index": index, "type": kind, "data": {"format": form, "value": value}, **more
    },
    JSON_ATOMS,
    TEXT,
    st.sampled_from(["string", "base64", "hex", "admin", "vlist", "site", "key"]),
    JSON_SHAPES,
    st.dictionaries(st.sampled_from(["ttl", "permissions", "timestamp", "references"]), JSON_SHAPES, max_size=2),
)  # fmt: skip


@given(body=st.binary(max_size=100))
def test_json_any_bytes_give_a_document_or_wire_error(body: bytes) -> None:
    """parse() never raises anything but WireError."""
    assert _ending(lambda: parse(body)) in ("value", "WireError")
    assert _ending(lambda: parse_values(body)) in ("value", "WireError")
    assert _ending(lambda: parse_handle_member(body)) in ("value", "WireError")


@given(form=st.one_of(JSON_SHAPES, FORMATTED, st.lists(FORMATTED, max_size=2)))
def test_json_total_on_any_shape(form: Any) -> None:
    """Any JSON document gives values or an error of ours, and what was read can be written."""
    body = json.dumps(form, ensure_ascii=False).encode()
    try:
        values = load_values(parse_values(body), NOW, keep_timestamps=True)
    except (WireError, RecordError) as error:
        assert error.message
        return
    assert json.loads(dump_values(values)) is not None


@given(values=st.lists(st.from_type(HandleValue), max_size=2).map(tuple))
def test_json_total_on_any_wire_values(values: Values) -> None:
    """Whatever the wire form can hold is written as JSON that any reader takes."""
    written = json.loads(dump_values(values))
    assert [form["index"] for form in written] == [value.value_index for value in values]


@given(form=st.lists(FORMATTED, min_size=1, max_size=2), cut=st.integers(0, 400), octet=st.integers(0, 255))
def test_json_total_on_damaged_bodies(form: Any, cut: int, octet: int) -> None:
    """A body with one octet wrong, or cut off, gives values or an error of ours."""
    body = bytearray(json.dumps(form).encode())
    place = cut % len(body)
    damaged = bytes(body[:place]), bytes(body[:place] + bytes([octet]) + body[place + 1 :])
    for each in damaged:
        ended = _ending(lambda each=each: load_values(parse_values(each), NOW, keep_timestamps=True))  # type: ignore[misc] # bound now
        assert ended in ("value", "WireError", "RecordError")
