"""Where a node that is put back goes on: no serial twice, each restore elsewhere, secondaries of DNS follow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.changes import Serial
from core.clock import Millis
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine
from core.store.restart import RESTARTED_KEY, serial_after
from core.store.zone_row import ZONE_KEY, zone_serial

_MODULUS = 1 << 32
_HALF = 1 << 31
_NOW_S = 1_795_325_400

watermarks = st.integers(0, _NOW_S * 1_000_000) | st.sampled_from((_MODULUS - 1, _MODULUS, _HALF))
seconds = st.integers(_NOW_S, 8_500_000_000)  # until 2239


@given(watermarks, seconds)
def test_a_serial_lies_far_behind_the_copys_and_below_what_json_can_say(watermark: int, second: int) -> None:
    serial = serial_after(watermark, Millis(second * 1_000))
    assert watermark + limits.RESTORED_SERIALS <= serial < 1 << 53


@given(watermarks, seconds, st.integers(0, limits.RESTORED_SERIALS_AHEAD - 1), st.integers(0, 1 << 30))
def test_a_secondary_takes_the_zone_of_a_restored_node(watermark: int, second: int, after: int, ago: int) -> None:
    """Whatever it has: a serial from up to 2**30 changes before the copy, or that the former node gave after it."""
    serial = serial_after(watermark, Millis(second * 1_000))
    for had in (watermark + after, max(0, watermark - ago)):
        assert 0 < (serial - had) % _MODULUS < _HALF


@given(watermarks, seconds, st.integers(1, 1_000_000_000))
def test_the_same_copy_put_back_again_goes_on_elsewhere(watermark: int, second: int, later_s: int) -> None:
    """Later and apart by what a node may have given since, up to the length of a range."""
    first = serial_after(watermark, Millis(second * 1_000))
    again = serial_after(watermark, Millis((second + later_s) * 1_000))
    assert again - first >= min(later_s, limits.RESTORED_SERIALS_S) * limits.RESTORED_SERIALS_A_SECOND


@given(seconds, st.lists(st.integers(0, 100_000), min_size=2, max_size=6))
def test_a_node_that_is_put_back_again_and_again_never_goes_back(second: int, pauses: list[int]) -> None:
    serial = 1_000
    for pause in pauses:
        second += pause
        after = serial_after(serial, Millis(second * 1_000))
        assert after >= serial + limits.RESTORED_SERIALS
        assert 0 < (after - serial) % _MODULUS < _HALF
        serial = after + 7


def test_the_zone_of_a_store_that_was_put_back_has_its_serial_until_a_change_touches_it() -> None:
    store = MemoryEngine()
    for key, serial, wanted in ((ZONE_KEY, 7, 7), (RESTARTED_KEY, 1 << 40, 1 << 40), (ZONE_KEY, (1 << 40) + 3, None)):
        batch = Batch()
        batch.put(Table.META, key, serial.to_bytes(8, "big"))
        store.commit(batch)
        with store.snapshot() as snapshot:
            assert zone_serial(snapshot) == Serial(wanted or serial)
