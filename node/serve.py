"""The supervisor: opens every socket, starts the processes, keeps them going.

1. It opens no store and runs no event loop, so that it can fork at any time.
2. It opens one socket per worker and port (SO_REUSEPORT) and keeps the descriptors:
   a worker that is started again loses no connection that waits to be accepted.
3. A child that ends is started again, at once the first time, then with a growing
   delay; a child that cannot start at all ends the node with the child's reason.
4. SIGTERM and SIGINT: workers drain, then registrar and keeper end; exit code 0.
5. The first line on standard output is the ready line, once every port answers.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from core import clock, limits
from core.config import Config
from core.errors import ConfigError
from node import serving, wiring
from node.dns_settings import require_dns
from node.duties import load_duties
from node.listening import listeners, paired_listeners, port_of
from node.lock import DataLock
from node.processes import (
    READY,
    Child,
    Sockets,
    end_with_parent,
    run_keeper,
    run_monitor,
    run_registrar,
    run_sync,
    run_worker,
)
from node.recursion.places import require_places
from node.signing import load_signer
from node.site import Ports, answers_dns, configured_ports, keep_ports, site_info
from node.telemetry import Counters

_LOG: Final = logging.getLogger("saltern.supervisor")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_REASON_BYTES_MAX: Final = 4_096
_LOOK_S: Final = 0.1  # between two looks for a signal while a child starts

Main = Callable[[Child], Awaitable[None]]


@dataclass
class Process:
    """One child: what it does, and how it fares."""

    name: str
    main: Main
    pid: int = 0
    started_s: float = 0.0
    delay_s: float = limits.RESTART_DELAY_S_MIN
    start_at_s: float | None = field(default=None)


def serve(config: Config) -> int:
    """Run a node until it is told to stop; return the exit code. Errors: ConfigError."""
    if not wiring.store_folder(config).is_dir():
        raise ConfigError(f"no store in {config.data}; `saltern init DIR --prefix P` makes one")
    _raise_descriptors()
    wiring.tls_context(config)  # a certificate that cannot be used is found before anything starts
    load_signer(config)  # and a key to sign the logs with
    require_dns(config, configured_ports(config))
    require_places(config)
    warning = load_duties(config).warning(clock.now_ms())  # so is what a node in production lacks
    if warning is not None:
        _LOG.warning("%s", warning)
    lock = DataLock(config.data)
    try:
        wiring.open_store(config).close()  # a store that cannot be used is found, one of an earlier version completed
        return _Supervisor(config).run()
    finally:
        lock.close()


def _raise_descriptors() -> None:
    """Let the node open as many descriptors as the system allows; shells begin with 1 024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, limits.DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _paired(config: Config, front: str, workers: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """Open the sockets of TCP and of UDP of a protocol that has both."""
    return paired_listeners(config.text(f"{front}.address"), config.integer(f"{front}.port"), workers, f"{front}.port")


class _Supervisor:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._stopping = False
        workers = config.integer("resolver.workers") or len(os.sched_getaffinity(0))
        address = config.text("http.address")
        http = listeners(address, config.integer("http.port"), workers, "http.port")
        https: list[socket.socket] | None = None
        if config.file("https.certificate") is not None:
            https = listeners(address, config.integer("https.port"), workers, "https.port")
        tcp, udp = _paired(config, "handle", workers)
        dns = _paired(config, "dns", workers) if answers_dns(config) else None
        off = [None] * workers
        management = listeners("127.0.0.1", config.integer("management.port"), 1, "management.port")[0]
        self._ports = Ports(
            port_of(http[0]), None if https is None else port_of(https[0]), port_of(tcp[0]), port_of(management),
            None if dns is None else port_of(dns[0][0]),
        )  # fmt: skip
        site_info(config, self._ports)
        wiring.server_admins(config)
        wiring.rate_limit_exempt(config)
        wiring.trusted_proxies(config)
        self._rates = serving.make_rates()
        self._workers = [
            Process(f"worker-{number}", self._worker(Sockets(*each)))
            for number, each in enumerate(zip(http, https or off, tcp, udp, *(dns or (off, off)), strict=True))
        ]
        self._registrar = Process("registrar", lambda child: run_registrar(child, config))
        self._keeper = Process("keeper", lambda child: run_keeper(child, config, management))
        self._sync = Process("sync", lambda child: run_sync(child, config))
        self._monitor = Process("monitor", lambda child: run_monitor(child, config))
        self._all = [self._registrar, self._keeper, *self._workers, self._sync, self._monitor]

    def _worker(self, sockets: Sockets) -> Main:
        return lambda child: run_worker(child, self._config, self._ports, sockets, self._rates)

    def run(self) -> int:
        run = wiring.run_folder(self._config)
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(mode=0o700)
        keep_ports(self._config, self._ports)  # before any process starts: all of them see the same
        self._counters = Counters(run, "supervisor")
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._start_all()
            print(self._ready_line(), flush=True)
            _LOG.info("ready: %s", self._ready_line())
            while not self._stopping:
                self._turn()
        finally:
            self._stop_all()
        return 0

    def _start_all(self) -> None:
        for process in self._all:
            self._start(process)

    def _start(self, process: Process) -> None:
        """Fork a child and wait until it is ready. Errors: ConfigError with its reason."""
        read_end, write_end = os.pipe()
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        process.pid = os.fork()
        if process.pid == 0:
            code = 1
            try:
                end_with_parent(parent)
                os.close(read_end)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
                code = Child(process.name, write_end).run(process.main)
            except BaseException:
                _LOG.exception("%s failed", process.name)
            finally:
                logging.shutdown()
                os._exit(code)
        os.close(write_end)
        process.started_s = clock.monotonic_s()
        process.start_at_s = None
        try:
            reason = _await_ready(read_end)
        finally:
            os.close(read_end)
        if reason is not None:
            _signal(process, signal.SIGKILL)  # one that hangs; SIGCHLD brings its restart
            raise ConfigError(f"{process.name} 无法启动。{process.name} cannot start: {reason}")

    def _turn(self) -> None:
        """Wait for a signal or for the time of the next restart, and do what it asks."""
        now = clock.monotonic_s()
        due = [process.start_at_s for process in self._all if process.start_at_s is not None]
        caught = signal.sigtimedwait(_SIGNALS, max(0.0, min(due) - now) if due else 3_600.0)
        if caught is not None and caught.si_signo in (signal.SIGTERM, signal.SIGINT):
            self._stopping = True
            return
        self._reap()
        for process in self._all:
            if process.start_at_s is not None and process.start_at_s <= clock.monotonic_s():
                self._restart(process)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for process in self._all:
                if process.pid == pid:
                    self._ended(process, status)

    def _ended(self, process: Process, status: int) -> None:
        now = clock.monotonic_s()
        if now - process.started_s > limits.RESTART_HEALTHY_S:
            process.delay_s = limits.RESTART_DELAY_S_MIN
        process.pid = 0
        process.start_at_s = now + process.delay_s
        _LOG.warning(
            "%s ended (%s); it is started again in %.2f s",
            process.name, _how(status), process.delay_s,
        )  # fmt: skip
        process.delay_s = min(process.delay_s * 2, limits.RESTART_DELAY_S_MAX)

    def _restart(self, process: Process) -> None:
        self._counters.restart()
        try:
            self._start(process)
        except ConfigError as error:
            _LOG.error("%s", error.message)
            return
        _LOG.info("%s is ready again", process.name)

    def _stop_all(self) -> None:
        """End the workers first: a change under way still finds its registrar. The keeper publishes what they did."""
        for group in (self._workers, [self._registrar], [self._keeper, self._sync, self._monitor]):
            for process in group:
                _signal(process, signal.SIGTERM)
            deadline = clock.monotonic_s() + limits.DRAIN_S + 1
            for process in group:
                _await_end(process, deadline)

    def _ready_line(self) -> str:
        return json.dumps(
            {
                "ready": True,
                "http": self._ports.http,
                "https": self._ports.https,
                "handle": self._ports.handle,
                "dns": self._ports.dns,
                "management": self._ports.management,
                "pid": os.getpid(),
            }
        )


def _await_ready(read_end: int) -> str | None:
    """Wait for a child's word; return None if it is ready, else why not. SIGTERM ends the wait."""
    deadline = clock.monotonic_s() + limits.READY_S
    while not select.select([read_end], [], [], _LOOK_S)[0]:
        if signal.sigpending() & {signal.SIGTERM, signal.SIGINT}:
            return "the node is told to stop"
        if clock.monotonic_s() > deadline:
            return f"not ready after {limits.READY_S:.0f} s"
    word = os.read(read_end, _REASON_BYTES_MAX)
    if word == READY:
        return None
    return word.decode("utf-8", "replace") or "it ended before it was ready; see its log"


def _signal(process: Process, number: signal.Signals) -> None:
    if process.pid:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            process.pid = 0


def _await_end(process: Process, deadline_s: float) -> None:
    while process.pid:
        try:
            pid, _ = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            pid = process.pid
        if pid:
            process.pid = 0
        elif clock.monotonic_s() > deadline_s:
            _LOG.warning("%s does not end by itself and is killed", process.name)
            _signal(process, signal.SIGKILL)
            deadline_s = clock.monotonic_s() + 1
        else:
            clock.pause(0.01)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit code {os.waitstatus_to_exitcode(status)}"
