"""OIDs over DNS by UDP, unsigned, beside Knot, which answers the same from a zone file.

N records, each with an OID as an alias; NAPTR is asked for, without EDNS, names at random, 128 questions outstanding
from one socket. The zone file of Knot is what our node gives a secondary. Both run on one core, and rounds take turns.

Fewer names are asked than the node remembers answers to. "Made anew": more questions than that, names in ever another
case, so that each is looked up and written; Knot is asked the former.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dns.message

from benchmarks import knot, records
from benchmarks.bench import UDP_DEPTH, Bench
from benchmarks.load import NO_COMPILER, Traffic, compile_programs, write_requests
from benchmarks.machine import Cores, read_once
from benchmarks.node import UNLIMITED, Node
from benchmarks.questions import ask_datagram, dns_question
from benchmarks.rounds import alone_row, ratio_row, take_turns
from benchmarks.table import Floor, Row
from core import clock, limits
from core.config import Config, load
from core.wire.dns import Type
from core.wire.dns_text import text_of
from node import wiring
from node.dns_settings import zone_settings
from node.site import Ports
from registry.alias_commands import AddAlias
from registry.commands import OPERATOR, Request
from resolver.zone import Zones

_REMEMBERED = ("OID over DNS by UDP, beside Knot", Floor("≥", 0.25), "–")
_ANEW = ("OID over DNS by UDP, each answer made anew, beside Knot", None, "–")
_PUBLIC_URL = "https://id.example.cn"
_ROOT = (1, 2, 156, 99_999)
_GROUP = 1_000
_REMEMBERED_NAMES = 20_000
_ANEW_QUESTIONS = 4 * limits.DNS_ANSWERS_KEPT_MAX


def measure(folder: Path, cores: Cores, *, names: int, rounds: int, seconds: float) -> list[Row]:
    """Return the rows of DNS. ``names``: OIDs in the zone."""
    folder.mkdir()
    node = Node(folder / "node", cores.server)
    node.load(records.record(number) for number in range(names))
    zone = _furnish(load(node.config, [f"node.public_url={_PUBLIC_URL}"]), folder / "zone", names)
    read_once(node.data_file)
    generators, program = compile_programs(folder, cores.client), knot.find()
    if generators is None:
        return [Row(name, None, floor=floor, note=NO_COMPILER) for name, floor, _ in (_REMEMBERED, _ANEW)]
    node.start(UNLIMITED | {"node.public_url": _PUBLIC_URL})
    with ExitStack() as servers:
        servers.callback(node.stop)
        bench = Bench(node, folder, cores, generators, [], rounds, seconds)
        paths = {"ours": _remembered(folder, names), "anew": _made_anew(folder, names)}
        sides = {
            name: bench.flat_out(Traffic("udp", "dns-udp", node.ready["dns"], path, depth=UDP_DEPTH), node.worker)
            for name, path in paths.items()
        }
        why = "one core only" if not cores.apart else "Knot is not installed" if program is None else ""
        if program is not None and not why:
            server = servers.enter_context(knot.Knot(program, folder / "knot", zone, cores.server))
            _require_same(ask_datagram(node.ready["dns"], zone.question), server.answer)
            traffic = Traffic("udp", "dns-udp", server.port, paths["ours"], depth=UDP_DEPTH)
            sides["knot"] = bench.flat_out(traffic, server.pid)
        found = take_turns(sides, rounds)
    if why:
        return [alone_row(*row, found[name], why) for row, name in ((_REMEMBERED, "ours"), (_ANEW, "anew"))]
    reference = f"Knot, NAPTR of {server.answer_bytes} B"
    return [ratio_row(*row, found, (name, "knot"), reference) for row, name in ((_REMEMBERED, "ours"), (_ANEW, "anew"))]


def _furnish(config: Config, path: Path, names: int) -> knot.ZoneFile:
    """Add the aliases to a node that is stopped, and write its zone as others are given it."""
    store = wiring.open_store(config)
    registry = wiring.make_registry(config, store)
    for start in range(0, names, _GROUP):
        numbers = range(start, min(start + _GROUP, names))
        commands = [AddAlias(records.handle(number), f"oid:{_oid(number)}") for number in numbers]
        results = registry.run([Request(command, OPERATOR) for command in commands], clock.now_ms())
        if not all(result.done for result in results):
            raise RuntimeError(f"an alias is refused: {next(each for each in results if not each.done)}")
    zones = Zones(zone_settings(config, Ports(0, None, 0, 0)))
    apex = zones.apexes[0]
    with store.snapshot() as snapshot, path.open("w") as file:
        for number, record in enumerate(zones.records(snapshot, apex)):
            if record.type != Type.SOA or not number:  # the last is the first again
                data = f"\\# {len(record.data)} {record.data.hex()}"  # RFC 3597 §5
                file.write(f"{text_of(record.name)}. {record.ttl} TYPE{record.type} {data}\n")
    store.close()
    return knot.ZoneFile(text_of(apex), _lines(path), _question(0))


def _lines(path: Path) -> Iterator[str]:
    with path.open() as file:
        yield from file


def _oid(number: int) -> str:
    return ".".join(map(str, (*_ROOT, number)))


def _name(number: int) -> str:
    return "ors-dummy." + ".".join(map(str, (number, *reversed(_ROOT)))) + ".oid-res.org."


def _question(number: int) -> bytes:
    return dns_question(_name(number), over_tcp=False, type_=Type.NAPTR)


def _remembered(folder: Path, names: int) -> Path:
    numbers = list(range(min(names, _REMEMBERED_NAMES)))
    random.Random(1).shuffle(numbers)
    path = folder / "remembered"
    write_requests(path, map(_question, numbers))
    return path


def _made_anew(folder: Path, names: int) -> Path:
    chance = random.Random(2)
    path = folder / "anew"

    def questions() -> Iterator[bytes]:
        for _ in range(_ANEW_QUESTIONS):
            name = "".join(chance.choice((letter, letter.upper())) for letter in _name(chance.randrange(names)))
            yield dns_question(name, over_tcp=False, type_=Type.NAPTR)

    write_requests(path, questions())
    return path


def _require_same(ours: bytes, theirs: bytes) -> None:
    """Both servers say the same. Errors: RuntimeError."""
    one, other = (dns.message.from_wire(each) for each in (ours, theirs))
    if not one.answer or one.answer != other.answer or one.rcode() != other.rcode():
        raise RuntimeError(f"the answers are not the same:\n{one}\n{other}")
