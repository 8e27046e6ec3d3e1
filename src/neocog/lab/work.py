"""Computing away from the event loop: one thing at a time, few waiting, more refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from neocog.lab.guard import Refusal

Result = TypeVar("Result")
WAITING = 8


class Worker:
    """Runs one call at a time in a thread, in the order of their coming, with at most `waiting` behind it."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._turn, self._waiting, self._present = asyncio.Lock(), waiting, 0

    async def run(self, call: Callable[[], Result]) -> Result:
        """The call's result, or its exception. Raises Refusal (429) if too many are waiting.

        Who goes away while waiting leaves the queue; a call that has begun is ended before the next begins.
        """
        if self._present > self._waiting:
            raise Refusal(429, "too many requests are waiting; try again in a second", retry_after="1")
        self._present += 1
        try:
            async with self._turn:
                computed = asyncio.ensure_future(asyncio.to_thread(call))
                try:
                    return await asyncio.shield(computed)
                except asyncio.CancelledError:
                    await asyncio.wait([computed])
                    raise
        finally:
            self._present -= 1
