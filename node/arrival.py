"""When the request that a task answers came: for what does not leave at the end of the turn that brought it.

A front sets it before it answers what takes the long way; what is answered in between, in other tasks, has its own.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

ARRIVED_NS: Final[ContextVar[int]] = ContextVar("ARRIVED_NS", default=0)
"""On the clock that never jumps (``core/clock.py``); 0 where nobody looked."""
