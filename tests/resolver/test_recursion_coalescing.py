"""Equal questions are asked once; who leaves disturbs nobody; there are not too many, and they end with the node."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import NodeError, Outcome
from resolver.recursion.coalescing import Coalescing


class Elsewhere:
    """Somebody who answers when he is let, and counts what he is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = asyncio.Event()

    async def answer(self) -> int:
        self.asked += 1
        await self.let.wait()
        return self.asked


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_hundred_equal_questions_are_one() -> None:
    async def run() -> None:
        elsewhere, questions = Elsewhere(), Coalescing[int](1)
        asking = [asyncio.create_task(questions.ask("k", elsewhere.answer)) for _ in range(100)]
        await settle()
        elsewhere.let.set()
        assert await asyncio.gather(*asking) == [1] * 100
        assert await questions.ask("k", elsewhere.answer) == 2  # it was over: asked again

    asyncio.run(run())


def test_who_is_cancelled_cancels_nobody_else() -> None:
    """Not even the first one, who began the question; where all left it still comes to its end."""

    async def run() -> None:
        elsewhere, questions = Elsewhere(), Coalescing[int](1)
        asking = [asyncio.create_task(questions.ask("k", elsewhere.answer)) for _ in range(3)]
        await settle()
        asking[0].cancel()
        await settle()
        assert asking[0].cancelled()
        elsewhere.let.set()
        assert await asyncio.gather(*asking[1:]) == [1, 1]
        elsewhere.let.clear()
        alone = asyncio.create_task(questions.ask("k", elsewhere.answer))
        await settle()
        alone.cancel()
        await settle()
        elsewhere.let.set()
        await settle()
        assert elsewhere.asked == 2
        assert not questions._under_way

    asyncio.run(run())


def test_a_failure_is_told_to_all_and_remembered_by_nobody() -> None:
    async def run() -> None:
        async def fail() -> int:
            await asyncio.sleep(0)
            raise NodeError("away", outcome=Outcome.NO_ANSWER)

        questions = Coalescing[int](1)
        told = await asyncio.gather(*(questions.ask("k", fail) for _ in range(3)), return_exceptions=True)
        assert [str(each) for each in told] == ["away"] * 3
        elsewhere = Elsewhere()
        elsewhere.let.set()
        assert await questions.ask("k", elsewhere.answer) == 1

    asyncio.run(run())


def test_beyond_the_bound_another_question_is_refused_and_an_equal_one_is_not() -> None:
    async def run() -> None:
        elsewhere, questions = Elsewhere(), Coalescing[int](2)
        asking = [asyncio.create_task(questions.ask(key, elsewhere.answer)) for key in ("a", "b", "a")]
        await settle()
        with pytest.raises(NodeError) as refused:
            await questions.ask("c", elsewhere.answer)
        assert refused.value.ended is Outcome.OVERLOADED
        elsewhere.let.set()
        await asyncio.gather(*asking)
        assert await questions.ask("c", elsewhere.answer) == 3

    asyncio.run(run())


def test_the_end_of_the_node_is_told_to_who_waits() -> None:
    """OVERLOADED, so that the client comes again; and nothing more is begun."""

    async def run() -> None:
        elsewhere, questions = Elsewhere(), Coalescing[int](2)
        asking = [asyncio.create_task(questions.ask("a", elsewhere.answer)) for _ in range(2)]
        await settle()
        await questions.close()
        told = await asyncio.gather(*asking, questions.ask("b", elsewhere.answer), return_exceptions=True)
        assert [each.ended for each in told if isinstance(each, NodeError)] == [Outcome.OVERLOADED] * 3
        assert elsewhere.asked == 1

    asyncio.run(run())
