"""The quick way of the Handle protocol answers as the service does, octet by octet, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import Millis, UnixSeconds
from core.events import Via
from core.hdl.dialogues import Dialogues
from core.hdl.exchange import Transport
from core.hdl.prover import Prover
from core.ident.handle import HandleRules
from core.records import HandleValue, SiteInfo
from core.store.memory_engine import MemoryEngine
from core.store.prefix_rows import DELEGATED
from core.store.run_store import RunStore
from core.wire.envelope import ENVELOPE_BYTES, decode_envelope
from node.handle_service import HandleService
from registry.commands import OPERATOR, Home, Put, Request
from registry.service import Registry
from resolver.handle_api import HandleApi
from resolver.handle_quick import QuickHandles
from resolver.plain import PlainReads
from resolver.service import Resolver
from resolver.units import Units
from tests.kit.handle_messages import Flag, Message, Op, bstr
from tests.kit.logs import MemorySpool, NoLog, NoNotes, at_once
from tests.kit.lots import lot_keys, put_lot, unit_of
from tests.kit.prefixes import suspend

PEER = bytes.fromhex("0fa0c0000201")
NOW = Millis(1_700_000_000_000)
SITE = SiteInfo(1, 2, 11, 7, True, False, 2, "", (), ())
NAMESPACE = b'<namespace><template delimiter="@"><foreach><value/></foreach></template></namespace>'
RECORDS = {
    "88.1/PUBLIC": (HandleValue(1, "URL", b"x"), HandleValue(2, "DESC", "盐".encode())),
    "88.1/LONG": (HandleValue(1, "DATA", b"y" * 2_000),),
    "88.1/HALF": (HandleValue(1, "URL", b"x"), HandleValue(2, "S", b"y", permissions=0b1100)),
    "88.1/HIDDEN": (HandleValue(2, "S", b"y", permissions=0b1100),),
    "88.1/EMPTY": (),
    "0.NA/88.1": (HandleValue(3, "HS_NAMESPACE", NAMESPACE),),
    "0.NA/88.2": (HandleValue(1, "HS_SITE", b"not read"),),
    "88.3/HELD": (HandleValue(1, "URL", b"x"),),
}
LOT = "88.1/L1"
UNITS = [LOT, LOT.lower(), *(unit_of(LOT, index) for index in (0, 99, 100))]
HANDLES = [
    *RECORDS, *UNITS, "88.1/public", "88.1/NONE", "88.1/PUBLIC@1", "88.2/ELSEWHERE", "88.3/NONE", "99.1/X", "NOSLASH",
    "",
    LOT + "2222222222", unit_of(LOT, 6), "/", "88.1/", "0.SITE/status", "88.1/" + "z" * 300, "88.1/\x00", "88..1/X",
]  # fmt: skip
USUAL = Flag.RECU | Flag.CACR | Flag.PUBL


class Both:
    """One store, answered both ways. ``spool``: what the quick way's resolutions left in the log."""

    def __init__(self, run: RunStore) -> None:
        store, rules = MemoryEngine(), HandleRules()
        requests = [Request(home, OPERATOR) for home in (Home("88.1"), Home("88.2", DELEGATED), Home("88.3"))]
        requests += [Request(Put(handle, values), OPERATOR) for handle, values in RECORDS.items()]
        registry = Registry(store, rules, founding=True, lot_keys=lot_keys())
        assert all(result.done for result in registry.run(requests, NOW))
        put_lot(registry, LOT, "88.1/PUBLIC", NOW)
        suspend(store, "88.3")
        units = Units(lot_keys())
        resolver = Resolver(rules, units=units)
        self.spool = MemorySpool()
        self.turn = at_once(self.spool)
        reads = PlainReads(store, rules, units=units)
        self._quick = QuickHandles(reads, resolver, SITE.serial, self.turn, lambda: UnixSeconds(NOW // 1_000))
        self.service = HandleService(
            (HandleApi(resolver, store, SITE, NoLog(), dict),),
            Prover(store, resolver.records),
            Dialogues(run, lambda: NOW),
            server_key=None, site_serial=SITE.serial, sessions_offered=True,
            require_here=lambda _: None, notes=NoNotes(), now_ms=lambda: NOW,
        )  # fmt: skip

    def quick(self, message: bytes, bytes_max: int = limits.MESSAGE_BYTES_MAX) -> bytes | None:
        if not self._quick.begin():
            return None
        try:
            return self._quick.answer(message, bytes_max, Via.HANDLE_UDP, PEER)
        finally:
            self._quick.end()

    def by_service(self, message: bytes) -> bytes:
        envelope, payload = decode_envelope(message), message[ENVELOPE_BYTES:]
        assert self.service.at_once(envelope, payload)
        return self.service.answer_at_once(envelope, payload, Transport.TCP, PEER).first.octets


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    run = RunStore(tmp_path_factory.mktemp("quick") / "run")
    yield Both(run)
    run.close()


def question(handle: str, tail: bytes = bytes(8), **fields: object) -> Message:
    return Message(Op.RESOLVE, body=bstr(handle) + tail, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("handle", ["88.1/PUBLIC", "88.1/public", "88.1/LONG", "88.1/NONE", *UNITS])
@pytest.mark.parametrize("minor", [0, 1, 7, 11, 12, 255])
def test_what_is_usual_is_quick(both: Both, handle: str, minor: int) -> None:
    """And the same as by the service; a credential length at the end may be missing."""
    message = question(handle, flags=int(USUAL), suggested=(2, minor), request_id=77, recursion=9).encode()
    answer = both.quick(message)
    assert answer is not None
    assert answer == both.by_service(message)
    assert both.quick(message, len(answer)) == answer
    assert both.quick(message, len(answer) - 1) is None


@pytest.mark.parametrize("handle", ["88.3/HELD", "88.3/NONE"])
def test_what_is_held_is_left_to_the_service(both: Both, handle: str) -> None:
    """Which says that there is no such handle."""
    message = question(handle, flags=int(USUAL), request_id=77).encode()
    assert both.quick(message) is None
    missing = question("88.1/NONE", flags=int(USUAL), request_id=77).encode()
    assert both.by_service(message) == both.by_service(missing)


@given(
    handle=st.sampled_from(HANDLES),
    tail=st.sampled_from([bytes(8)] * 6 + [bytes(4), bytes(9), b"\0\0\0\1\0\0\0\1" + bytes(4), bytes(12)]),
    flags=st.one_of(st.just(int(USUAL)), st.integers(0, 2**32 - 1), st.sampled_from([USUAL ^ each for each in Flag])),
    version=st.sampled_from([(2, 11), (2, 10), (2, 4), (2, 0), (3, 0), (5, 0)]),
    suggested=st.sampled_from([(2, 11), (2, 9), (2, 1), (2, 0), (0, 0), (1, 0), (3, 0)]),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "request_id": st.integers(0, 2**32 - 1), "serial": st.integers(0, 65_535), "recursion": st.integers(0, 255),
            "code": st.sampled_from([0, 1]), "sequence": st.integers(0, 3), "expiration": st.integers(0, 2**32 - 1),
        },
    ),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=2),
)  # fmt: skip
def test_quick_total_and_equal_to_the_service(
    both: Both, handle: str, tail: bytes, flags: int, version: tuple[int, int], suggested: tuple[int, int],
    fields: dict[str, int], flips: list[tuple[int, int]],
) -> None:  # fmt: skip
    """Whatever the message: the service's own octets, or nothing."""
    message = question(handle, tail, flags=int(flags), version=version, suggested=suggested, **fields)
    octets = bytearray(message.encode())
    for place, change in flips:
        octets[place % len(octets)] ^= change
    answer = both.quick(bytes(octets))
    if answer is not None:
        assert answer == both.by_service(bytes(octets))


@given(st.binary(max_size=120))
def test_quick_total_on_any_bytes(both: Both, octets: bytes) -> None:
    """Nothing that is no question gets a quick answer."""
    assert both.quick(octets) is None


def test_each_quick_answer_is_logged(both: Both) -> None:
    """As asked, by whom, over what, and how it ended; what needs a second look is not."""
    both.turn.end()
    both.spool.rows.clear()
    for handle in ("88.1/public", "88.1/NONE", "88.1/HALF"):
        both.quick(question(handle, flags=int(USUAL)).encode())
    both.turn.end()
    assert both.spool.rows == [
        (Via.HANDLE_UDP, "ok", PEER, b"88.1/public", ""),
        (Via.HANDLE_UDP, "handle-not-found", PEER, b"88.1/NONE", ""),
    ]


def test_nothing_is_quick_while_the_log_cannot_be_written(both: Both) -> None:
    """The service says why."""
    message = question("88.1/PUBLIC", flags=int(USUAL)).encode()
    both.spool.full = True
    assert both.quick(message) is not None
    both.turn.end()
    assert both.quick(message) is None
    both.spool.full = False
