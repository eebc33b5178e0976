"""What is remembered of others: as long as it holds, no more than there is room for. Time is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from resolver.recursion.cache import Cache, Held

MOST, BYTES_MOST = 4, 100
KEYS = st.sampled_from("abcdefg")


class Remembering(RuleBasedStateMachine):
    """A cache and a list of what was put, the last used at its end; whatever is asked, both say the same."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache[int](MOST, BYTES_MOST)
        self.model: list[tuple[str, Held[int]]] = []
        self.now_s = 0.0

    def forget(self, key: str) -> None:
        self.model = [(name, held) for name, held in self.model if name != key]

    @rule(key=KEYS, answer=st.integers(), size=st.integers(0, 120), lasts=st.integers(0, 9))
    def put(self, key: str, answer: int, size: int, lasts: int) -> None:
        held = Held(answer, size, self.now_s + lasts)
        self.cache.put(key, held)
        self.forget(key)
        if size <= BYTES_MOST:
            self.model.append((key, held))
        while len(self.model) > MOST or sum(each.size_bytes for _, each in self.model) > BYTES_MOST:
            self.model.pop(0)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = dict(self.model).get(key)
        self.forget(key)
        if found is not None and found.until_s > self.now_s:
            self.model.append((key, found))
        else:
            found = None
        assert self.cache.get(key, self.now_s) == found

    @precondition(lambda self: self.now_s < 100)
    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @invariant()
    def its_bounds_hold(self) -> None:
        held = self.cache._held.values()
        assert len(held) <= MOST
        assert self.cache._bytes == sum(each.size_bytes for each in held) <= BYTES_MOST


test_a_cache_says_what_its_model_says = Remembering.TestCase


@given(st.floats(0, 1e6), st.floats(0.001, 1e5))
def test_an_answer_is_gone_at_its_last_moment(now_s: float, ttl_s: float) -> None:
    """It holds before that, and not then."""
    cache = Cache[str](1, 10)
    cache.put("k", Held("yes", 3, now_s + ttl_s))
    assert cache.get("k", now_s + ttl_s / 2) is not None
    assert cache.get("k", now_s + ttl_s) is None
    assert cache.get("k", now_s) is None
