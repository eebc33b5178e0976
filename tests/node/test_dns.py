"""A running node asked over DNS, by dig, kdig and bare sockets: answers, length, log, fresh data, rates, kills."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import limits
from core.errors import Outcome
from core.events import Via
from tests.kit.dns import HOST, ask, dig, framed, is_cut, over_tcp, over_udp, rcode, read, unframed
from tests.kit.node import Node, admin_value, saltern
from tests.kit.spools import entries, own_name, told
from tests.node.test_rate_limits import line_from
from tests.node.test_serve import _metric as metric
from tests.node.test_serve import eventually

PREFIX = "88.118.7"
SALT = f"{PREFIX}/SKU01"
OID, NAME = "1.2.156.99999.7", "7.99999.156.2.1.oid-res.org"
DUMMY = f"ors-dummy.{NAME}"
LONG_URL = "https://" + "long-name." * 8 + "example.cn"
RECORD = [{"index": 1, "type": "URL", "data": "https://a.example/1"}, admin_value(f"0.NA/{PREFIX}")]


def made(folder: Path, **settings: object) -> Node:
    return Node(folder / "node", PREFIX, **{"node__public_url": "'https://id.example.cn'"} | settings)


def add_alias(node: Node, alias: str, handle: str = SALT) -> None:
    saltern("alias", "add", handle, alias, "--config", str(node.config))


def furnish(node: Node) -> None:
    """Register a product with an OID."""
    assert node.put(SALT, RECORD).status == 201
    add_alias(node, f"oid:{OID}")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with made(tmp_path_factory.mktemp("dns"), resolver__workers=2) as running:
        furnish(running)
        yield running


@pytest.fixture(scope="module")
def wordy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose answers are long."""
    with made(tmp_path_factory.mktemp("wordy"), node__public_url=f"'{LONG_URL}'") as running:
        furnish(running)
        yield running


@pytest.fixture(params=["dig", "kdig"])
def program(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


# --- transcripts ----------------------------------------------------------------


def said(text: str) -> dict[str, object]:
    """Return of a transcript: status, flags, and the records of answer and authority, blanks as one."""
    status = re.search(r"status: (\w+)", text)
    flags = re.search(r"[Ff]lags: ([a-z ]+)", text)
    assert status is not None and flags is not None, text
    sections = {
        title.lower(): [" ".join(line.split()) for line in body.splitlines() if line and line[0] != ";"]
        for title, body in re.findall(r";; (ANSWER|AUTHORITY) SECTION:\n(.*?)(?:\n\n|\Z)", text, re.DOTALL)
    }
    return {"status": status[1], "flags": set(flags[1].split()), "answer": [], "authority": []} | sections


@pytest.mark.parametrize("name", [NAME, DUMMY, NAME.upper(), DUMMY.title()])
def test_an_oid_is_naptr(node: Node, program: str, name: str) -> None:
    """At its name and at ors-dummy below it, in any case; the services of ORS in the order of the settings."""
    services = {
        "COID": f"urn:oid:{OID}", "CINF": f"https://id.example.cn/oid/{OID}/children.xml",
        "RINF": f"https://id.example.cn/oid/{OID}/registrant.xml", "UINF": f"https://id.example.cn/{SALT}",
    }  # fmt: skip
    got = said(dig(node.ready["dns"], name, "NAPTR", "+norecurse", program=program))
    assert (got["status"], got["flags"]) == ("NOERROR", {"qr", "aa"})
    shown = name if program == "dig" else name.lower()  # kdig shows names so
    assert got["answer"] == [
        f'{shown}. 3600 IN NAPTR 100 10 "u" "ORS+{service}" "!^.*$!{uri}!" .' for service, uri in services.items()
    ]


@pytest.mark.parametrize(
    ("name", "type_", "status"),
    [
        ("8.99999.156.2.1.oid-res.org", "NAPTR", "NXDOMAIN"),
        ("ors-dummy.8.99999.156.2.1.oid-res.org", "NAPTR", "NXDOMAIN"),
        (NAME, "TXT", "NOERROR"),
        (DUMMY, "AAAA", "NOERROR"),
        ("2.1.oid-res.org", "NAPTR", "NOERROR"),
    ],
)
def test_what_is_not_there_is_told_with_the_soa(node: Node, program: str, name: str, type_: str, status: str) -> None:
    """NXDOMAIN for a name that is none, NODATA for a type that it has not, and for a name with something below it."""
    got = said(dig(node.ready["dns"], name, type_, program=program))
    assert (got["status"], got["answer"]) == (status, [])
    (soa,) = got["authority"]  # type: ignore[misc]
    assert re.fullmatch(r"oid-res\.org\. 300 IN SOA ns\.oid-res\.org\. hostmaster\.oid-res\.org\. \d+ .* 300", soa)


def test_a_name_of_an_arc_leads_to_its_number(node: Node, program: str) -> None:
    """DNAMEs, and a CNAME made from each."""
    got = said(dig(node.ready["dns"], "7.99999.cn.member-body.iso.oid-res.org", "NAPTR", program=program))
    answer = " ".join(got["answer"])  # type: ignore[arg-type]
    assert (got["status"], answer.count(" DNAME "), answer.count(" CNAME "), answer.count(" NAPTR ")) == (
        "NOERROR", 3, 3, 4,
    )  # fmt: skip


def test_others_names_and_classes_are_refused(node: Node, program: str) -> None:
    """Nothing is said of the version, either."""
    for words in (("example.org", "NAPTR"), ("version.bind", "CH", "TXT"), ("id.server", "CH", "TXT")):
        got = said(dig(node.ready["dns"], *words, program=program))
        assert (got["status"], got["answer"], got["authority"]) == ("REFUSED", [], [])
    assert "aa" not in got["flags"]  # type: ignore[operator]


def test_a_later_version_of_edns_is_badvers(node: Node) -> None:
    if shutil.which("dig") is None:
        pytest.skip("dig is not installed")
    port = node.ready["dns"]
    assert said(dig(port, NAME, "NAPTR", "+edns=1", "+noednsnegotiation"))["status"] == "BADVERS"
    again = dig(port, NAME, "NAPTR", "+edns=1")
    assert said(again)["status"] == "NOERROR"
    assert "EDNS: version: 0" in again


def test_what_is_cut_comes_by_tcp(wordy: Node, program: str) -> None:
    """An answer over what the client takes says TC and is empty; the client asks again by TCP and has it whole."""
    port, bufsize = wordy.ready["dns"], "+bufsize=512"
    cut = said(dig(port, DUMMY, "NAPTR", bufsize, "+ignore", program=program))
    assert (cut["status"], cut["answer"]) == ("NOERROR", [])
    assert "tc" in cut["flags"]  # type: ignore[operator]
    text = dig(port, DUMMY, "NAPTR", bufsize, program=program)
    assert "(TCP)" in text and re.search(r"[Tt]runcated", text)
    assert len(said(text)["answer"]) == 4  # type: ignore[arg-type]


def test_a_zone_is_not_for_everybody(node: Node, program: str) -> None:
    """AXFR without a key is refused, by TCP and by UDP."""
    text = dig(node.ready["dns"], "oid-res.org", "AXFR", program=program)
    assert "SOA" not in text
    assert "failed" in text or "REFUSED" in text
    for type_ in ("AXFR", "IXFR"):
        for asked in (over_udp, over_tcp):
            (answer,) = asked(node.ready["dns"], ask("oid-res.org", type_))
            assert rcode(answer) == "REFUSED"


def test_many_questions_on_one_connection(node: Node) -> None:
    """Sent before the first is answered; in their order."""
    asked = [ask(NAME if number % 2 else "none.oid-res.org", number=number) for number in range(300)]
    found = over_tcp(node.ready["dns"], *asked)
    assert [read(each).id for each in found] == list(range(300))
    assert [rcode(each) for each in found[:2]] == ["NXDOMAIN", "NOERROR"]


# --- length ---------------------------------------------------------------------


@pytest.mark.parametrize("edns", [-1, 0])
def test_an_answer_by_udp_is_never_much_longer_than_its_question(wordy: Node, edns: int) -> None:
    """At most DNS_AMPLIFICATION_MAX times, for every name and type; else TC, and by TCP it is whole."""
    cut = 0
    for name in (NAME, DUMMY, "oid-res.org", "gs1.id.onsepc.com", ".", "org", "7.99999.cn.member-body.iso.oid-res.org"):
        for type_ in ("NAPTR", "ANY", "SOA", "NS", "DNAME", "A"):
            message = ask(name, type_, edns=edns, bufsize=65_535)
            (answer,) = over_udp(wordy.ready["dns"], message)
            assert len(answer) <= min(limits.DNS_AMPLIFICATION_MAX * len(message), limits.DNS_UDP_BYTES)
            if is_cut(answer):
                cut += 1
                assert len(answer) <= len(message)
                (whole,) = over_tcp(wordy.ready["dns"], message)
                assert len(whole) > len(answer) and not is_cut(whole)
    assert cut or edns == 0


# --- the log --------------------------------------------------------------------


def test_a_resolution_is_in_the_log_before_its_answer(node: Node) -> None:
    """With its outcome, its identifier, and who asked; by both ways, and also when the answer was remembered."""
    wanted = [
        (NAME, Outcome.OK, f"oid:{OID}"), (DUMMY, Outcome.OK, f"oid:{OID}"),
        ("9.99999.156.2.1.oid-res.org", Outcome.HANDLE_NOT_FOUND, "oid:1.2.156.99999.9"),
        ("example.org", Outcome.NOT_RESPONSIBLE, "example.org"), (NAME, Outcome.OK, f"oid:{OID}"),
    ]  # fmt: skip
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line, told(node) as new:
        line.connect((HOST, node.ready["dns"]))
        line.settimeout(20)
        for number, (name, outcome, identifier) in enumerate(wanted, 1):
            line.send(ask(name))
            line.recv(65_535)
            found = [each for each in entries(node) if each.peer == own_name(line)]
            assert len(found) == number
            last = found[-1]
            assert (last.via, last.outcome, last.identifier.decode()) == (Via.DNS_UDP, outcome, identifier)
    assert len(new) == len(wanted)
    with told(node) as new:
        over_tcp(node.ready["dns"], *(ask(name) for name, _, _ in wanted))
    assert [(each.via, each.outcome, each.identifier.decode()) for each in new] == [
        (Via.DNS_TCP, outcome, identifier) for _, outcome, identifier in wanted
    ]


def test_answers_are_counted(node: Node) -> None:
    """By transport and rcode."""
    for transport, asked in (("udp", over_udp), ("tcp", over_tcp)):
        for name, code in ((NAME, "noerror"), ("none.oid-res.org", "nxdomain"), ("example.org", "refused")):
            series = f'saltern_dns_answers_total{{rcode="{code}",transport="{transport}"}}'
            before = metric(node, series)
            asked(node.ready["dns"], *[ask(name)] * 3)
            assert metric(node, series) - before == 3


# --- fresh data -----------------------------------------------------------------


def test_what_is_acknowledged_is_answered_by_every_worker(node: Node) -> None:
    """A new alias by the very next question, although each worker remembers that there was none; and when it goes."""
    lines = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
    port = node.ready["dns"]
    for line in lines:
        line.connect((HOST, port))
        line.settimeout(20)

    def codes(name: str) -> set[str]:
        for line in lines:
            line.send(ask(name))
        return {rcode(line.recv(65_535)) for line in lines} | {rcode(over_tcp(port, ask(name))[0])}

    for number in range(20, 25):
        name, alias = f"{number}.99999.156.2.1.oid-res.org", f"oid:1.2.156.99999.{number}"
        assert codes(name) == {"NXDOMAIN"}
        add_alias(node, alias)
        assert codes(name) == {"NOERROR"}
        saltern("alias", "remove", alias, "--config", str(node.config))
        assert codes(name) == {"NXDOMAIN"}
    for line in lines:
        line.close()


# --- sources, kills, addresses ----------------------------------------------------


def test_whoever_asks_too_much_by_udp_hears_nothing_and_by_tcp_waits(tmp_path: Path) -> None:
    """Others are answered meanwhile."""
    rate = 2
    with made(tmp_path, dns__rate_limit=rate, resolver__rate_limit_exempt=["127.0.0.1/32"]) as strict:
        port = strict.ready["dns"]
        with line_from("127.0.2.1", port, socket.SOCK_DGRAM) as line:
            for number in range(1, 50):
                line.send(ask("oid-res.org", "SOA", number))
            over_udp(port, ask("oid-res.org", "SOA"))  # behind all of them
            line.setblocking(False)
            found = []
            while True:
                try:
                    found.append(read(line.recv(65_535)).id)
                except BlockingIOError:
                    break
        assert found == list(range(1, rate + 1))
        with line_from("127.0.2.2", port) as line:
            line.sendall(framed(*(ask("oid-res.org", "SOA", number) for number in range(2 * rate))))
            line.shutdown(socket.SHUT_WR)
            octets = b"".join(iter(lambda: line.recv(65_535), b""))
        assert [read(each).id for each in unframed(octets)] == list(range(2 * rate))
        assert metric(strict, 'saltern_rate_limited_total{front="dns"}') >= 48


def test_a_worker_that_is_killed_answers_again(node: Node) -> None:
    """On the same port, by both ways."""
    port = node.ready["dns"]
    for name in ("worker-0", "worker-1"):
        pid = node.children()[name]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda name=name, pid=pid: node.children().get(name, pid) != pid)
        for asked in (over_udp, over_tcp):
            for _ in range(8):
                (answer,) = eventually(lambda asked=asked: asked(port, ask(NAME), timeout_s=0.5))
                assert rcode(answer) == "NOERROR"


def test_ipv6(tmp_path: Path) -> None:
    """`::` listens on both families; the log has the address that asked."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    with made(tmp_path, dns__address="::") as both:
        for host, kind in (("::1", socket.AF_INET6), (HOST, socket.AF_INET)):
            with socket.socket(kind, socket.SOCK_DGRAM) as line:
                line.connect((host, both.ready["dns"]))
                line.settimeout(20)
                line.send(ask("oid-res.org", "SOA"))
                assert rcode(line.recv(65_535)) == "NOERROR"
                assert own_name(line) in {each.peer for each in entries(both)}


def test_a_port_in_use_is_named(node: Node, tmp_path: Path) -> None:
    """With its setting; so is an address that is none."""
    other = made(tmp_path)
    for setting, reason in (
        (f"dns.port={node.ready['dns']}", "dns.port: 无法监听。Cannot listen"),
        ("dns.address=nowhere", "dns.address: "),
    ):
        free = [part for name in ("http", "https", "handle", "management") for part in ("--set", f"{name}.port=0")]
        done = saltern("serve", "--config", str(other.config), *free, "--set", setting, check=False)
        assert done.returncode == 1
        assert reason in done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()
