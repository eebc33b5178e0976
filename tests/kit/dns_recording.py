"""Records what dig and kdig send, into tests/vectors/dns/questions.json: ``python -m tests.kit.dns_recording``.

Each is asked of a socket of our own on loopback, over UDP or TCP. What is expected of it is told by hand, below.
"""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent / "vectors" / "dns" / "questions.json"
OID = "ors-dummy.7.99999.156.2.1.oid-res.org"
ONS = "0.0.6.2.2.3.1.4.1.4.1.6.0.gtin.gs1.id.onsepc.com"
KEY = "hmac-sha256:key.example:c2FsdCBpcyBub3QgYSBrZXkgYnV0IGl0IGlzIGxvbmc="
KDIG = ("kdig", "@127.0.0.1", "+retry=0", "+timeout=2")
DIG = ("dig", "-r", "@127.0.0.1", "+tries=1", "+timeout=2")


def plain(name: str, type_: int, edns: tuple[int, bool] | None = None, **more: Any) -> dict[str, Any]:
    """What a plain question says. ``edns``: size and DO."""
    size, dnssec_ok = edns or (None, None)
    told = {"name": name, "type": type_, "class": 1, "udp_bytes": size, "dnssec_ok": dnssec_ok}
    return {**told, "recursion_desired": True, **more}


SPOKEN: tuple[tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]], ...] = (
    (KDIG, (OID, "NAPTR"), plain(OID, 35)),
    (KDIG, (OID, "NAPTR", "+edns", "+bufsize=4096"), plain(OID, 35, (4096, False))),
    (KDIG, (OID, "NAPTR", "+dnssec", "+bufsize=1232"), plain(OID, 35, (1232, True))),
    (KDIG, (OID, "NAPTR", "+norecurse", "+cd", "+nsid"), plain(OID, 35, (4096, False), recursion_desired=False)),
    (KDIG, (OID, "NAPTR", "+padding=128"), plain(OID, 35, (4096, False))),
    (KDIG, (OID, "NAPTR", "+cookie=0123456789abcdef"), plain(OID, 35, (4096, False))),
    (KDIG, (OID, "NAPTR", "+subnet=192.0.2.0/24"), plain(OID, 35, (4096, False))),
    (KDIG, (OID, "NAPTR", "+tcp"), plain(OID, 35)),
    (KDIG, (ONS, "TYPE65534"), plain(ONS, 65_534)),
    (KDIG, (".", "NS"), plain("", 2)),
    (KDIG, ("OID-Res.Org", "SOA"), plain("oid-res.org", 6)),  # kdig asks in lower case
    (KDIG, ("-c", "CH", "version.bind", "TXT"), plain("version.bind", 16, **{"class": 3})),
    (KDIG, ("-t", "NOTIFY", "oid-res.org"), {"ending": "NOTIMP"}),
    (KDIG, (OID, "NAPTR", "+edns=1"), {"ending": "BADVERS"}),
    (KDIG, ("oid-res.org", "AXFR"), {"ending": "not plain"}),
    (KDIG, ("oid-res.org", "IXFR=7"), {"ending": "not plain"}),
    (KDIG, ("-y", KEY, OID, "NAPTR"), {"ending": "not plain"}),
    (DIG, (OID, "NAPTR"), plain(OID, 35, (1232, False))),
    (DIG, (OID, "NAPTR", "+noedns"), plain(OID, 35)),
    (DIG, (OID, "NAPTR", "+dnssec", "+nocookie", "+bufsize=512"), plain(OID, 35, (512, True))),
    (DIG, (OID, "NAPTR", "+tcp", "+keepalive", "+expire", "+nsid"), plain(OID, 35, (1232, False))),
    (DIG, (OID, "NAPTR", "+ednsopt=65001:c0ffee", "+ednsflags=0x4000"), plain(OID, 35, (1232, False))),
    (DIG, (ONS, "ANY", "+notcp"), plain(ONS, 255, (1232, False))),
    (DIG, ("*.Oid-Res.Org", "AAAA"), plain("*.Oid-Res.Org", 28, (1232, False))),
    (DIG, ("a\\.b\\000c.example", "A"), plain("a\\.b\\000c.example", 1, (1232, False))),
    (DIG, (OID, "NAPTR", "+header-only"), {"ending": "FORMERR"}),
    (DIG, (OID, "NAPTR", "+opcode=UPDATE"), {"ending": "NOTIMP"}),
    (DIG, (OID, "NAPTR", "+edns=255"), {"ending": "BADVERS"}),
    (DIG, ("oid-res.org", "AXFR"), {"ending": "not plain"}),
    (DIG, ("oid-res.org", "IXFR=7", "+notcp"), {"ending": "not plain"}),
    (DIG, ("-y", KEY, OID, "NAPTR"), {"ending": "not plain"}),
)


def heard(udp: socket.socket, tcp: socket.socket, command: list[str]) -> bytes:
    """Run a command, return the first question that it sends. The answer is that question, as REFUSED."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking:
        while asking.poll() is None:
            for front in (udp, tcp):
                try:
                    octets = said_on(front)
                except TimeoutError:
                    continue
                asking.wait()
                return octets
    raise AssertionError(f"it asked nothing: {command}")


def said_on(front: socket.socket) -> bytes:
    """Take one question and answer it. Errors: TimeoutError: none came."""
    if front.type == socket.SOCK_DGRAM:
        octets, peer = front.recvfrom(65_535)
        front.sendto(refused(octets), peer)
        return octets
    connection, _ = front.accept()
    with connection, connection.makefile("rb") as reading:
        octets = reading.read(int.from_bytes(reading.read(2), "big"))
        connection.sendall(len(octets).to_bytes(2, "big") + refused(octets))
    return octets


def refused(octets: bytes) -> bytes:
    return octets[:2] + bytes((octets[2] | 0x80, 5)) + octets[4:]


def record() -> None:
    """Run all, write the file."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
        tcp.bind(("127.0.0.1", port))
        tcp.listen()
        for front in (udp, tcp):
            front.settimeout(0.05)
        rows = [
            {
                "command": " ".join((client[0], *arguments)),
                "hex": heard(udp, tcp, [*client, "-p", str(port), *arguments]).hex(),
                **expected,
            }
            for client, arguments, expected in SPOKEN
        ]
    versions = [subprocess.run([name, "-V"], capture_output=True, text=True) for name in ("kdig", "dig")]
    by = [(each.stdout or each.stderr).splitlines()[0] for each in versions]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({"recorded_with": by, "questions": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    record()
