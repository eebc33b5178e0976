"""How long properties run: `make fuzz` sets SALTERN_FUZZ, which feeds each of them much longer."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("tests", max_examples=200, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None)
settings.load_profile("fuzz" if os.environ.get("SALTERN_FUZZ") else "tests")
