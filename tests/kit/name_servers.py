"""Real name servers for tests: Knot, unbound, kdig, all on loopback, in folders and at ports of their own."""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from core import clock

KNOT_CONF = Path(__file__).parent.parent.parent / "deploy" / "knot-signer.conf"
DEADLINE_S = 60.0


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip a test, with a word, where a program is absent."""
    missing = [each for each in programs if shutil.which(each) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if check and done.returncode:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def free_port() -> int:
    """Return a port that is free for UDP and TCP."""
    for _ in range(100):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port
    raise AssertionError("no port is free")


def wait_for(what: Callable[[], Any], why: Callable[[], str] = str) -> Any:
    """Return what is there once it is; AssertionError after DEADLINE_S."""
    end = clock.monotonic_s() + DEADLINE_S
    while not (found := what()):
        assert clock.monotonic_s() < end, why()
        clock.pause(0.05)
    return found


def ask(port: int, name: str, type_: str, *, dnssec: bool = False, timeout_s: float = 20) -> dns.message.Message:
    """Ask a server on loopback."""
    question = dns.message.make_query(name, type_, want_dnssec=dnssec, use_edns=0)
    return dns.query.udp(question, "127.0.0.1", timeout=timeout_s, port=port)


def answered(port: int, name: str, type_: str, *, dnssec: bool = False) -> dns.message.Message | None:
    """Ask a server that may not be there yet."""
    with contextlib.suppress(dns.exception.DNSException, OSError):
        return ask(port, name, type_, dnssec=dnssec, timeout_s=0.5)
    return None


class Server:
    """A program in a folder of its own, short enough for a socket's name; ended by its pid."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="saltern-ns-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> Self:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Knot(Server):
    """Knot with deploy/knot-signer.conf: its places are replaced, nothing else."""

    def __init__(self, node_port: int, key: str, port: int | None = None) -> None:
        """Take where the node answers DNS, what keymgr -t printed, and the port that the node tells."""
        super().__init__()
        self.port = port or self.port
        self.config = self.folder / "knot.conf"
        (self.folder / "tsig.conf").write_text(key)
        (self.folder / "db").mkdir()
        text = KNOT_CONF.read_text("utf-8")
        for place, own in (
            ("/etc/knot/saltern-tsig.conf", str(self.folder / "tsig.conf")),
            ("/run/knot", str(self.folder)),
            ("/var/lib/knot", str(self.folder / "db")),
            ('[ 0.0.0.0@53, "::@53" ]', f"127.0.0.1@{self.port}"),
            ("127.0.0.1@5300", f"127.0.0.1@{node_port}"),
            ("target: syslog", "target: stderr"),
        ):
            assert place in text
            text = text.replace(place, own)
        self.config.write_text(text)

    def command(self) -> list[str]:
        return ["knotd", "-c", str(self.config)]

    def control(self, *arguments: str) -> str:
        return run("knotc", "-c", str(self.config), *arguments)

    def anchor(self, zone: str) -> str:
        """Return the DS of the zone's key-signing key, as keymgr prints it."""
        lines = run("keymgr", "-c", str(self.config), zone, "ds").splitlines()
        return next(line for line in lines if " 13 2 " in line)  # ECDSA P-256, SHA-256


class Unbound(Server):
    """A validating resolver that knows one zone, its servers, and a trust anchor."""

    def __init__(self, zone: str, at_port: int, anchor: str) -> None:
        super().__init__()
        (self.folder / "unbound.conf").write_text(f"""
server:
    interface: 127.0.0.1@{self.port}
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    do-ip6: no
    username: ""
    chroot: ""
    pidfile: ""
    directory: "{self.folder}"
    use-syslog: no
    logfile: ""
    verbosity: 1
    module-config: "validator iterator"
    do-not-query-localhost: no
    trust-anchor: "{anchor}"
    val-log-level: 2
    num-threads: 1
remote-control:
    control-enable: no
stub-zone:
    name: "{zone}"
    stub-addr: 127.0.0.1@{at_port}
    stub-prime: no
""")

    def command(self) -> list[str]:
        return ["unbound", "-d", "-c", str(self.folder / "unbound.conf")]

    def start(self) -> Self:
        super().start()
        wait_for(lambda: answered(self.port, "localhost.", "A"), self.log)
        return self


class Relay:
    """Passes questions by UDP on to a server, and its answers back as ``alter`` leaves them."""

    def __init__(self, to_port: int, alter: Callable[[bytes], bytes]) -> None:
        self._to = ("127.0.0.1", to_port)
        self._alter = alter
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket, self._stopped], [], [])
            if self._stopped in ready:
                return
            question, address = self._socket.recvfrom(65_535)
            with socket.socket(type=socket.SOCK_DGRAM) as ahead:
                ahead.settimeout(10)
                ahead.sendto(question, self._to)
                with contextlib.suppress(TimeoutError):
                    self._socket.sendto(self._alter(ahead.recv(65_535)), address)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.send(b"x")
        self._thread.join()
        for each in (self._stop, self._stopped, self._socket):
            each.close()


def make_key(name: str = "saltern") -> tuple[str, str]:
    """Return what keymgr prints for Knot, and the line that the node reads."""
    printed = run("keymgr", "-t", name, "hmac-sha256")
    algorithm, name, secret = printed.splitlines()[0].removeprefix("# ").split(":")
    return printed, f"{name} {algorithm} {secret}\n"


def write_key(path: Path, line: str) -> Path:
    """Write a file of keys as the node wants it."""
    path.write_text(line)
    path.chmod(0o600)
    return path
