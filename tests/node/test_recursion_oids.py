"""OIDs of others, by DNS: a name server of the tests, and Knot where it is installed."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.rcode
import pytest
import uvloop

from core import limits
from core.errors import Outcome
from node.recursion.oids import OidAsker
from node.recursion.places import Place
from resolver.recursion.found import Found, NoAnswerError, Service
from tests.kit.elsewhere import HOST, NameServer, name_server
from tests.kit.node import saltern

SUFFIX = "oid-res.org"
OID = "1.2.156.99999.7"
ZONE = f"""
$ORIGIN {SUFFIX}.
@ 3600 IN SOA ns hostmaster 1 3600 600 86400 120
@ 3600 IN NS ns
ns 3600 IN A 192.0.2.1
ors-dummy.7.99999.156.2.1 600 IN NAPTR 100 20 "u" "ORS+RINF" "!^.*$!https://r.example/!" .
ors-dummy.7.99999.156.2.1 600 IN NAPTR 100 30 "u" "ORS+UINF" "!^.*$!https://u.example/!" .
ors-dummy.7.99999.156.2.1 600 IN NAPTR 100 10 "u" "ORS+COID" "!^.*$!1.2.156.99999.7!" .
ors-dummy.8.99999.156.2.1 600 IN TXT "no NAPTR"
ors-dummy.9.99999.156.2.1 60 IN CNAME ors-dummy.7.99999.156.2.1
ors-dummy.10.99999.156.2.1 600 IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:x@example!" .
"""
SERVICES = (
    Service("ORS+UINF", "https://u.example/"),
    Service("ORS+COID", OID),
    Service("ORS+RINF", "https://r.example/"),
)


def ask(oid: str, suffix: str = SUFFIX, **told: Any) -> tuple[Found, NameServer]:
    """Ask a name server that behaves as told, in a loop as a worker's."""

    async def run() -> tuple[Found, NameServer]:
        async with name_server(ZONE, SUFFIX) as server:
            for name, value in told.items():
                setattr(server, name, value)
            return await OidAsker((server.place,), suffix).ask(oid), server

    return uvloop.run(run())


def test_an_oid_has_its_services() -> None:
    """UINF first, then by preference; of the AD flag is told what it says."""
    found, server = ask(OID)
    assert found == Found(Outcome.OK, 600, (f"ors-dummy.7.99999.156.2.1.{SUFFIX}. NAPTR",), None, SERVICES, None, False)
    assert server.asked == list(found.asked)
    assert ask(OID, secure=True)[0].secure is True


def test_an_alias_is_followed_and_its_ttl_counts() -> None:
    found, _ = ask("1.2.156.99999.9")
    assert (found.services, found.ttl_s) == (SERVICES, 60)


@pytest.mark.parametrize("oid", ["1.2.156.99999.99", "1.2.156.99999.8"], ids=["NXDOMAIN", "NODATA"])
def test_that_there_is_none_holds_as_long_as_the_zone_says(oid: str) -> None:
    found, _ = ask(oid)
    assert (found.outcome, found.services, found.ttl_s) == (Outcome.HANDLE_NOT_FOUND, None, 120)


def test_records_of_other_services_are_none() -> None:
    assert ask("1.2.156.99999.10")[0].outcome is Outcome.HANDLE_NOT_FOUND


def test_an_answer_that_is_cut_short_is_asked_for_by_tcp() -> None:
    found, server = ask(OID, truncating=True)
    assert found.services == SERVICES
    assert len(server.asked) == 2


def test_a_name_server_that_is_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECURSION_S", 0.3)
    with pytest.raises(NoAnswerError) as error:
        ask(OID, silent=True)
    assert "in time" in error.value.message


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_a_failure_is_no_answer(rcode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """SERVFAIL is what a validating resolver says of bogus data: it is no "none"."""
    monkeypatch.setattr(limits, "RECURSION_S", 0.5)
    with pytest.raises(NoAnswerError):
        ask(OID, rcode=rcode)


def test_without_a_suffix_nobody_is_asked() -> None:
    with pytest.raises(NoAnswerError) as error:
        ask(OID, "")
    assert "dns.ors_suffix" in error.value.message


def test_a_suffix_that_makes_a_name_too_long_is_no_answer() -> None:
    with pytest.raises(NoAnswerError):
        ask(OID, ".".join(["x" * 60] * 5))


# --- Knot -------------------------------------------------------------------------
def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


PORTS_TRIED = 5


@pytest.fixture
def knot(tmp_path: Path) -> Iterator[Place]:
    """Knot with the zone, on loopback."""
    program = shutil.which("knotd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("knotd is not installed")
    (tmp_path / f"{SUFFIX}.zone").write_text(ZONE)
    for _ in range(PORTS_TRIED):  # somebody else may take a port that was free
        place = Place(HOST, free_port())
        (tmp_path / "knot.conf").write_text(
            f"server:\n  rundir: {tmp_path}\n  listen: {HOST}@{place.port}\ndatabase:\n  storage: {tmp_path}\n"
            f"template:\n  - id: default\n    storage: {tmp_path}\nzone:\n  - domain: {SUFFIX}\n"
            f"    file: {SUFFIX}.zone\nlog:\n  - target: stderr\n    any: info\n"
        )
        process = subprocess.Popen([program, "-c", str(tmp_path / "knot.conf")], stderr=subprocess.PIPE)
        assert process.stderr is not None
        try:
            while b"server started" not in (line := process.stderr.readline()) and line:
                pass
            if line:
                yield place
                return
        finally:
            process.terminate()
            process.communicate(timeout=30)
    raise AssertionError("knotd did not start")


def test_knot_is_asked_and_understood(knot: Place) -> None:
    """The same answers as from the server of the tests: found, NXDOMAIN, NODATA."""

    async def run(oid: str) -> Found:
        return await OidAsker((knot,), SUFFIX).ask(oid)

    found = asyncio.run(run(OID))
    assert (found.services, found.ttl_s, found.secure) == (SERVICES, 600, False)
    for oid in ("1.2.156.99999.99", "1.2.156.99999.8"):
        none = asyncio.run(run(oid))
        assert (none.outcome, none.ttl_s) == (Outcome.HANDLE_NOT_FOUND, 120)


def test_the_command_asks_a_name_server_by_itself(knot: Place) -> None:
    """`--over dns`: services in their order, and what is nowhere is a failure."""
    server = ("--over", "dns", "--server", str(knot))
    done = saltern("resolve", f"urn:oid:{OID}", *server)
    assert [line.split() for line in done.stdout.decode().splitlines()[1:]] == [list(each) for each in SERVICES]
    assert "not validated" in done.stderr.decode()
    assert json.loads(saltern("resolve", OID, *server, "--json").stdout)["ttl"] == 600
    nowhere = saltern("resolve", "1.2.156.99999.99", *server, check=False)
    assert (nowhere.returncode, "handle-not-found" in nowhere.stderr.decode()) == (1, True)
