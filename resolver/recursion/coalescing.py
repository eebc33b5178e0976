"""Equal questions that are under way at once are asked once, and all who wait get the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from core.errors import NodeError, Outcome

T = TypeVar("T")


class Coalescing(Generic[T]):
    """At most ``most`` different questions at once.

    A question goes on when nobody waits for it any more: what it finds is remembered, and it ends with its own time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}
        self._closed = False

    async def ask(self, key: Hashable, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the answer; ``begin`` asks where nobody asks the same just now.

        Errors: those of ``begin``; NodeError OVERLOADED where too many are under way, or the node ends.
        """
        task = self._under_way.get(key)
        if task is None:
            if self._closed or len(self._under_way) >= self._most:
                raise _overloaded()
            task = asyncio.get_running_loop().create_task(begin())
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        await asyncio.wait([task])  # whoever is cancelled here leaves the question alone
        if task.cancelled():
            raise _overloaded()
        return task.result()

    async def close(self) -> None:
        """End what is under way, and take nothing more."""
        self._closed = True
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _done(self, key: Hashable, done: asyncio.Task[T]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # it was told to those who waited; where nobody did, it is nobody's


def _overloaded() -> NodeError:
    return NodeError(
        "正在向外解析的标识过多，请稍后再试。Too many identifiers of others are being resolved; try again later",
        outcome=Outcome.OVERLOADED,
    )
