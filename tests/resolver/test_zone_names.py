"""Settings that make no zone are refused, by name, before anything is answered; those that do make the right names."""

from __future__ import annotations

import dns.rdatatype
import pytest

from core import limits
from core.errors import ConfigError
from core.wire.dns import Labels, Type
from resolver.zone import Zones
from tests.kit.zones import ONS, ORS, SETTINGS, ZoneStore, labels, rdata

LONG = ".".join(["a" * 60] * 3)


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("dns.ons_suffix", {"ons_suffix": "oid-res.org"}),
        ("dns.ons_suffix", {"ons_suffix": "OID-RES.org."}),
        ("dns.ons_suffix", {"ons_suffix": "ons.oid-res.org"}),
        ("dns.ons_suffix", {"ors_suffix": "oid.gs1.id.onsepc.com"}),
        ("dns.ors_suffix", {"ors_suffix": "."}),
        ("dns.ors_suffix", {"ors_suffix": "a..b"}),
        ("dns.ors_suffix", {"ors_suffix": "a b.org"}),
        ("dns.ors_suffix", {"ors_suffix": LONG}),
        ("dns.ons_suffix", {"ons_suffix": f"{LONG}.{'b' * 44}"}),
        ("dns.ors_services", {"ors_services": ()}),
        ("dns.ors_services", {"ors_services": ("COID", "MINF")}),
        ("dns.ors_services", {"ors_services": ("LINF=x",)}),
        ("dns.ors_services", {"ors_services": ("XINF",)}),
        ("dns.ors_services", {"ors_services": ("COID", "COID=x")}),
        ("dns.ors_services", {"ors_services": ("COID=",)}),
        ("dns.ors_services", {"ors_services": ("COID=盐",)}),
        ("dns.ors_services", {"ors_services": (f"COID={'x' * 256}",)}),
        ("dns.ons_service", {"ons_service": "a\nb"}),
        ("dns.nameservers", {"nameservers": ("other.oid-res.org",)}),
        ("dns.nameservers", {"nameservers": ("gs1.id.onsepc.com",)}),
        ("dns.nameservers", {"nameservers": ("",)}),
        ("dns.nameservers", {"nameservers": ("192.0.2.53",)}),
        ("dns.nameservers", {"nameservers": ("2001:db8::53",)}),
        ("node.public_url", {"public_url": "https://" + "x" * 98}),
        ("node.public_url", {"public_url": ""}),
        *(
            ("dns.oid_labels", {"oid_labels": entries})
            for entries in (
                ("1.2=7",), ("1.2=７",), ("1.2=",), ("1.2",), ("=iso",), ("1.2=a.b",), ("1.2=a。b",), ("01=iso",),
                ("3=x",),
                ("1.2=ors-dummy",), ("1=NS",), ("1=iso", "1=ISO"), ("1=x", "2=x"), ("1.2=-a",), (f"1.2={'x' * 64}",),
                (f"1.2.{'1' * 38}.{'1' * 38}.{'1' * 38}={'x' * 63}",), ("1.2=\\046",),
                tuple(f"1.2.{number}=x{number}" for number in range(limits.DNS_LABELS_MAX + 1)),
            )
        ),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_zone_is_refused(setting: str, changes: dict[str, object]) -> None:
    """The error names it, in both languages."""
    base = SETTINGS._replace(ors_suffix=f"{'s' * 60}.{'s' * 50}") if "x" * 63 in str(changes) else SETTINGS
    with pytest.raises(ConfigError, match=r"[一-鿿].*[A-Za-z]") as caught:
        Zones(base._replace(**changes))
    assert caught.value.message.startswith(setting) or "dns.ons_suffix" in caught.value.message
    assert caught.value.fields["setting"] == setting


def fixed(**changes: object) -> dict[Labels, list[tuple[str, str]]]:
    """Return the records of empty zones but the SOA: type and data by name."""
    found: dict[Labels, list[tuple[str, str]]] = {}
    zones, store = Zones(SETTINGS._replace(**changes)), ZoneStore()
    for apex in zones.apexes:
        for rr in store.records(zones, apex):
            if rr.type != Type.SOA:
                found.setdefault(rr.name, []).append((dns.rdatatype.to_text(rr.type), rdata(rr).to_text()))
    return found


def test_names_of_arcs_stand_beside_the_numbers() -> None:
    """In lower case, as A-labels, below the number of the arc above."""
    arcs = ("1=ISO", "1.2.156=cn", "urn:oid:1.2.156=中国")
    assert fixed(ons_suffix="", nameservers=("a.example",), oid_labels=arcs) == {
        ORS: [("NS", "a.example.")],
        labels("iso") + ORS: [("DNAME", "1.oid-res.org.")],
        labels("cn.2.1") + ORS: [("DNAME", "156.2.1.oid-res.org.")],
        labels("xn--fiqs8s.2.1") + ORS: [("DNAME", "156.2.1.oid-res.org.")],
    }  # fmt: skip


def test_a_zone_has_the_name_servers_of_the_settings() -> None:
    """Else ns below itself, with the addresses of this node; one of them may lie in one zone and outside the other."""
    own = [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")]
    assert fixed(oid_labels=()) == {
        ORS: [("NS", "ns.oid-res.org.")], (b"ns", *ORS): own,
        ONS: [("NS", "ns.gs1.id.onsepc.com.")], (b"ns", *ONS): own,
    }  # fmt: skip
    assert fixed(oid_labels=(), nameservers=("NS.oid-res.org", "b.example.", "b.example")) == {
        ORS: [("NS", "ns.oid-res.org."), ("NS", "b.example.")], (b"ns", *ORS): own,
        ONS: [("NS", "ns.oid-res.org."), ("NS", "b.example.")],
    }  # fmt: skip
    assert fixed(oid_labels=(), addresses=(), ons_suffix="") == {ORS: [("NS", "ns.oid-res.org.")]}


def test_the_soa_names_the_primary_and_the_mailbox() -> None:
    """Its TTL and its last number say how long others remember that there is none."""
    zones = Zones(SETTINGS._replace(nameservers=("a.example",), ttl=10, negative_ttl=77))
    store = ZoneStore()
    with store.engine.snapshot() as snapshot:
        serial = zones.serial(snapshot)
    first = store.records(zones, ORS)[0]
    assert (first.type, first.ttl) == (Type.SOA, 77)
    assert rdata(first).to_text() == f"a.example. hostmaster.oid-res.org. {serial} 900 300 604800 77"


def test_a_suffix_may_be_chinese() -> None:
    """Questions come as A-labels."""
    zones = Zones(SETTINGS._replace(ors_suffix="标识.中国"))
    assert zones.apexes[0] == (b"xn--iwvr90f", b"xn--fiqs8s")


def test_the_longest_suffix_takes_the_longest_oid() -> None:
    """ors-dummy, 127 characters of arcs and the suffix are a name of 255 octets."""
    suffix = ".".join(("s" * 60, "s" * 54))
    oid = "2.25." + ".".join(("9" * 38, "9" * 38, "9" * 38, "99999"))
    store, zones = ZoneStore({f"oid:{oid}": "88.1/A"}), Zones(SETTINGS._replace(ors_suffix=suffix, oid_labels=()))
    names = [rr.name for rr in store.records(zones, zones.apexes[0]) if rr.type == Type.NAPTR]
    assert max(sum(map(len, name)) + len(name) + 1 for name in names) == limits.DNS_NAME_BYTES_MAX
    assert {rr.type for rr in store.answer(zones, names[-1], Type.NAPTR).sections.answer} == {Type.NAPTR}
