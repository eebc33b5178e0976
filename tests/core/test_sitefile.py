"""Sites of a delegated prefix as an operator gives them: every form read, every fault named, nothing let through."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import limits
from core.errors import WireError
from core.records import PERMISSIONS_USUAL, HashOption, Interface, ServerInfo, SiteInfo
from core.wire.jsondata import dump_site
from core.wire.jsonform import dump_values
from core.wire.site import PORTS, decode_site
from core.wire.sitefile import AddressPolicy, read_sites, site_faults, site_values

DOORS = (Interface(3, 1, 2641), Interface(2, 0, 2641), Interface(2, 3, 8443))
ANYWHERE = AddressPolicy(public=True)


def octets(address: str) -> bytes:
    return ipaddress.ip_address(address).packed.rjust(16, b"\0")


def server(address: str = "1.1.1.1", doors: tuple[Interface, ...] = DOORS) -> ServerInfo:
    return ServerInfo(1, octets(address), b"", doors)


def site(*servers: ServerInfo, option: int = HashOption.BY_ALL) -> SiteInfo:
    return SiteInfo(1, 2, 11, 7, True, False, option, "", (("desc", "盐"),), servers)


ONE, TWO = site(server()), site(server("2400:3200::1"), server())
FORM = json.loads(dump_site(ONE))
OTHER = json.loads(dump_site(TWO))
MINIMAL = {"servers": [{"address": "1.1.1.1", "interfaces": [{"protocol": "TCP", "port": 2641, "query": True}]}]}


def body(form: Any) -> bytes:
    return json.dumps(form).encode()


# --- reading -----------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        FORM, {"site": FORM}, {"responseCode": 1, "site": FORM}, {"format": "site", "value": FORM},
        [FORM], [{"site": FORM}], [{"format": "site", "value": FORM}], FORM | {"site": OTHER, "value": OTHER},
    ],
)  # fmt: skip
def test_each_form_of_a_site_is_read(form: Any) -> None:
    """What /api/site answers, the data of a handle value, the object alone, a list of them."""
    assert read_sites(body(form)) == (ONE,)


def test_a_list_keeps_its_order_and_may_mix_forms() -> None:
    assert read_sites(body([{"site": OTHER}, FORM, {"format": "site", "value": OTHER}])) == (TWO, ONE, TWO)
    assert read_sites(b"[]") == ()
    assert read_sites(body([FORM] * limits.DELEGATED_SITES_MAX)) == (ONE,) * limits.DELEGATED_SITES_MAX


def test_what_is_left_out_has_the_defaults_of_the_handle_interface() -> None:
    """A site by hand: an address and a door."""
    (read,) = read_sites(body(MINIMAL))
    assert read == SiteInfo(
        1, 2, 11, 1, True, False, HashOption.BY_ALL, "", (),
        (ServerInfo(1, octets("1.1.1.1"), b"", (Interface(2, 1, 2641),)),),
    )  # fmt: skip


def with_server(**members: Any) -> dict[str, Any]:
    return {"servers": [MINIMAL["servers"][0], MINIMAL["servers"][0] | members]}


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"null", "sites[0]: Expected object, got null"),
        (body([FORM, 1]), "sites[1]: Expected object, got int"),
        (body([FORM, [FORM]]), "sites[1]: Expected object, got array"),
        (body({}), "sites[0]: Object missing required field servers"),
        (body({"site": None}), "sites[0]: Expected object, got null"),
        (body({"format": "string", "value": "x"}), "sites[0]: Object missing required field servers"),
        (body({"format": "site", "value": []}), "sites[0]: Expected object, got array"),
        (body([FORM, with_server(address="salt.example")]), "sites[1].servers[1].address: 'salt.example' is no IP"),
        (body(with_server(interfaces=[{"protocol": "SCTP", "port": 1}])), "sites[0].servers[1].interfaces[0].protocol"),
        (body(with_server(interfaces=[{"protocol": "TCP", "port": -1}])), "interfaces[0].port: -1 is not in 0"),
        (body(with_server(interfaces=[{"protocol": "TCP"}])), "sites[0]: Object missing required field port - at $"),
        (body(with_server(publicKey={"format": "base64", "value": "?"})), "servers[1].publicKey.value: no base64"),
        (body(MINIMAL | {"hashOption": 256}), "sites[0].hashOption: 256 is not in 0"),
        (body([FORM] * (limits.DELEGATED_SITES_MAX + 1)), "8 sites at most, these are 9"),
        (b" " * (limits.SITE_FILE_BYTES_MAX + 1), "1048576 octets at most"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_where(form: bytes, message: str) -> None:
    """The place in the list, the member, what would be right."""
    with pytest.raises(WireError, match=re.escape(message)):
        read_sites(form)


def test_a_site_in_the_key_of_a_site_in_the_key_of_a_site() -> None:
    """However deep, it is refused as what it is."""
    for depth in (1, 100, 240, 10_000):
        inner = '{"servers":[{"address":"1.1.1.1","interfaces":[],"publicKey":{"format":"site","value":' * depth
        with pytest.raises(WireError):
            read_sites((inner + "{}" + "}}]}" * depth).encode())


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["site", "1.1.1.1", "::1", "TCP", "UDP", "2.11", "key", "base64"]),
)  # fmt: skip
NAMES = st.sampled_from([*FORM, *FORM["servers"][0], "protocol", "port", "query", "admin", "site", "format", "value"])
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=5))
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A right form in which one member, anywhere, is something else."""
    form = json.loads(json.dumps(draw(st.sampled_from([FORM, OTHER, {"site": FORM}, [FORM, OTHER]]))))
    place = form
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys)) if keys else None
        if key is None:
            return form
        if isinstance(place[key], dict | list) and draw(st.booleans()):
            place = place[key]
            continue
        place[key] = draw(ANY_JSON)
        return form


@given(st.one_of(ANY_JSON.map(body), damaged().map(body), st.binary(max_size=80)))
@example(body([]))
def test_read_sites_total(form: bytes) -> None:
    """Any octets: sites that can be checked, encoded and read back, or one WireError with a message."""
    try:
        sites = read_sites(form)
    except WireError as error:
        assert error.message
        return
    assert len(sites) <= limits.DELEGATED_SITES_MAX
    assert all(fault.zh and fault.en for fault in site_faults(sites, ANYWHERE.allows))
    assert tuple(decode_site(value.data) for value in site_values(sites, 1)) == sites


# --- checking ----------------------------------------------------------------


def told(*sites: SiteInfo, policy: AddressPolicy = ANYWHERE) -> list[tuple[str, str]]:
    return [(fault.path, fault.rule) for fault in site_faults(sites, policy.allows)]


def test_sites_that_can_be_used_have_no_fault() -> None:
    """One server or two, IPv4 or IPv6; UDP alone or TCP alone will do, at any port that there is."""
    assert told(ONE, TWO) == []
    for protocol in (0, 1):
        for port in (1, 65_535):
            assert told(site(server(doors=(Interface(2, protocol, port),)))) == []


@pytest.mark.parametrize(
    ("sites", "faults"),
    [
        ((), [("sites", "site.none")]),
        ((ONE,) * 9, [("sites", "site.many")]),
        ((ONE, site()), [("sites[1].servers", "site.no-server")]),
        ((site(server(), option=3),), [("sites[0].hashOption", "site.hash-option")]),
        ((site(server(), server(doors=())),), [("sites[0].servers[1].interfaces", "server.no-interface")]),
        ((site(server(doors=(Interface(1, 1, 2641),))),), [("sites[0].servers[0].interfaces", "server.no-interface")]),
        ((site(server(doors=DOORS[2:])),), [("sites[0].servers[0].interfaces", "server.no-interface")]),
        (
            (site(server(doors=(DOORS[0], Interface(3, 2, 0), Interface(3, 2, 65_536), Interface(3, 2, -1)))),),
            [(f"sites[0].servers[0].interfaces[{at}].port", "interface.port") for at in (1, 2, 3)],
        ),
        (
            (site(server("0.0.0.0", ())), site(option=9)),
            [
                ("sites[0].servers[0].address", "server.address"),
                ("sites[0].servers[0].interfaces", "server.no-interface"),
                ("sites[1].hashOption", "site.hash-option"),
                ("sites[1].servers", "site.no-server"),
            ],
        ),
    ],
)
def test_every_fault_is_told_at_once_and_in_order(sites: tuple[SiteInfo, ...], faults: list[tuple[str, str]]) -> None:
    """With its place, so that the form can be mended in one go."""
    assert told(*sites) == faults


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "239.1.2.3", "ff02::1", "::ffff:224.0.0.1"]
)
def test_no_policy_lets_in_what_is_no_address_of_a_server(address: str) -> None:
    """The unspecified address and groups."""
    everything = AddressPolicy((ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")), public=True)
    assert told(site(server(address)), policy=everything) == [("sites[0].servers[0].address", "server.address")]


GLOBAL = ["1.1.1.1", "2400:3200::1", "::ffff:1.1.1.1"]
LOCAL = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.1.1", "100.64.0.1", "192.0.2.1", "255.255.255.255",
    "0.0.0.1", "fe80::1", "fd00::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "2002:a00:1::1", "64:ff9b::a00:1", "fec0::1", "4000::1", "100::1",
]  # fmt: skip


@pytest.mark.parametrize("address", GLOBAL)
def test_public_addresses_are_allowed_where_the_policy_says_so(address: str) -> None:
    """And else only in its networks."""
    assert told(site(server(address))) == []
    assert told(site(server(address)), policy=AddressPolicy(public=False)) == [
        ("sites[0].servers[0].address", "server.address-policy")
    ]


@pytest.mark.parametrize("address", LOCAL)
def test_other_addresses_are_allowed_by_a_network_alone(address: str) -> None:
    """An IPv4 network also holds the addresses that are mapped into IPv6; one of IPv6 does not."""
    assert told(site(server(address))) == [("sites[0].servers[0].address", "server.address-policy")]
    version = 6 if ":" in address and "." not in address else 4
    for network, allowed in (("0.0.0.0/0", version == 4), ("::/0", version == 6)):
        policy = AddressPolicy((ipaddress.ip_network(network),), public=False)
        assert (told(site(server(address)), policy=policy) == []) is allowed
        assert policy.allows(ipaddress.ip_address(address)) is allowed


def test_a_network_ends_where_it_ends() -> None:
    policy = AddressPolicy((ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32")), public=False)
    for address, allowed in (("10.1.255.255", True), ("10.2.0.0", False), ("fd00:1::9", True), ("fd00:2::9", False)):
        assert policy.allows(ipaddress.ip_address(address)) is allowed


def test_a_fault_tells_people_what_would_be_right() -> None:
    """In both languages, with the address as people write it."""
    (fault,) = site_faults([site(server("::ffff:10.0.0.1"))], ANYWHERE.allows)
    assert "10.0.0.1" in fault.zh
    assert "10.0.0.1" in fault.en
    assert "网段" in fault.zh
    assert "network" in fault.en


@given(
    st.lists(st.from_type(SiteInfo), max_size=3),
    st.builds(AddressPolicy, st.just((ipaddress.ip_network("0.0.0.0/1"),)), st.booleans()),
)
def test_sites_without_a_fault_can_be_asked(sites: list[SiteInfo], policy: AddressPolicy) -> None:
    """Total on any sites; without a fault every handle finds a server, at an address and port that there are."""
    if not site_faults(sites, policy.allows):
        assert sites
        for each in sites:
            assert each.servers
            for one in each.servers:
                assert any(door.protocol < 2 and door.kind & 2 and door.port in PORTS for door in one.interfaces)


# --- handle values -----------------------------------------------------------


def test_site_values_are_those_of_a_prefix_handle() -> None:
    """HS_SITE from index 1 on, read by everyone, written by administrators; as JSON what was given."""
    values = site_values((TWO, ONE), 1_700_000_000)
    assert [(value.value_index, value.type, value.permissions) for value in values] == [
        (1, "HS_SITE", PERMISSIONS_USUAL),
        (2, "HS_SITE", PERMISSIONS_USUAL),
    ]
    assert {(value.timestamp, value.ttl, value.references) for value in values} == {(1_700_000_000, 86_400, ())}
    shown = json.loads(dump_values(values))
    assert [value["data"] for value in shown] == [{"format": "site", "value": form} for form in (OTHER, FORM)]
    assert read_sites(body([value["data"] for value in shown])) == (TWO, ONE)
    assert site_values((), 1) == ()
