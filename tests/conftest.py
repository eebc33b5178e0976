"""How long properties run (`make fuzz` sets SALTERN_FUZZ, which feeds them much longer); what chance begins with."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import settings

settings.register_profile("tests", max_examples=60, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None)
settings.load_profile("fuzz" if os.environ.get("SALTERN_FUZZ") else "tests")


@pytest.fixture
def seed() -> int:
    """What chance begins with: another number each time. A failure shows it, SALTERN_SEED repeats it."""
    drawn = int(os.environ.get("SALTERN_SEED") or random.SystemRandom().randrange(2**32))
    print(f"SALTERN_SEED={drawn}")
    return drawn
