"""How the reference top node misbehaves: what SPEC says, as often as it says."""

from __future__ import annotations

from random import Random

import pytest

from core.errors import ConfigError
from sync.topnode.misbehave import DEFAULT, DELAY_MS_MAX, Misbehaviour, Plan, parse_spec

NOTHING = Plan()


def test_the_default_is_a_bit_of_all() -> None:
    """Each way has a chance, and most requests are well."""
    assert parse_spec("default") == DEFAULT
    assert all(0 < chance <= 0.1 for chance in DEFAULT.values())
    plans = [Misbehaviour("default", Random(seed)).plan() for seed in range(2_000)]
    assert 0.4 < sum(plan == NOTHING for plan in plans) / len(plans) < 0.8
    for name in Plan._fields:
        assert any(getattr(plan, name) != getattr(NOTHING, name) for plan in plans), name


def test_what_is_not_named_does_not_happen() -> None:
    """The others do, each time at 1."""
    misbehaviour = Misbehaviour("duplicate=1, refuse=1.0", Random(1))
    for _ in range(50):
        plan = misbehaviour.plan()
        assert plan.twice
        assert plan._replace(twice=False, second=False) == NOTHING
        assert misbehaviour.refuses()
    assert Misbehaviour("refuse=0", Random(1)).plan() == NOTHING


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("delay", "delay_before_ms", "delay_after_ms"),
        ("drop", "drop_before", "drop_after"),
        ("error", "error_before", "error_after"),
    ],
)
def test_before_or_after_but_never_both(name: str, first: str, second: str) -> None:
    """Each about as often."""
    misbehaviour = Misbehaviour(f"{name}=1", Random(1))
    plans = [misbehaviour.plan() for _ in range(400)]
    before, after = ([bool(getattr(plan, member)) for plan in plans] for member in (first, second))
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert 150 < sum(before) < 250
    assert all(max(plan.delay_before_ms, plan.delay_after_ms) <= DELAY_MS_MAX for plan in plans)


def test_an_answer_is_cut() -> None:
    """It is always shorter; a plan that says nothing of it leaves the answer whole."""
    plan = Misbehaviour("truncate=1", Random(1)).plan()
    assert len(plan.truncated(bytes(1_000))) == int(1_000 * plan.cut) < 1_000
    assert NOTHING.truncated(b"answer") == b"answer"


def test_the_same_seed_plans_the_same() -> None:
    """So that a failed test can be run again."""
    one, two = (Misbehaviour("default", Random(7)) for _ in range(2))
    assert [one.plan() for _ in range(100)] == [two.plan() for _ in range(100)]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("duplicat=0.1", "'duplicate'"),
        ("dely=0.1,drop=1", "'delay'"),
        ("", "is it"),
        ("default,drop=1", "is it"),
        ("drop", "from 0 to 1"),
        ("drop=2", "from 0 to 1"),
        ("drop=-0.1", "from 0 to 1"),
        ("drop=nan", "from 0 to 1"),
        ("drop=often", "from 0 to 1"),
    ],
)
def test_what_is_no_spec_is_an_error_that_says_what_is_meant(spec: str, said: str) -> None:
    """Unknown names name the nearest."""
    with pytest.raises(ConfigError, match=said):
        parse_spec(spec)
