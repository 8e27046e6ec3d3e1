"""Computing away from the event loop: one thing at a time, few waiting, more refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from neocog.lab.guard import Refusal

Result = TypeVar("Result")
WAITING = 8


class Worker:
    """Runs one call at a time in a thread, in the order of their coming, with at most `waiting` behind it."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._turn, self._waiting, self._present = asyncio.Lock(), waiting, 0

    async def run(self, call: Callable[[], Result], request: Request) -> Result:
        """The call's result, or its exception. Raises Refusal (429) if too many are waiting.

        A client that goes away leaves the queue; a call that has begun is ended before the next begins.
        """
        if self._present > self._waiting:
            raise Refusal(429, "too many requests are waiting; try again in a second", retry_after="1")
        begun = False

        async def work() -> Result:
            nonlocal begun
            async with self._turn:
                begun = True
                return await asyncio.to_thread(call)

        self._present += 1
        working, leaving = asyncio.create_task(work()), asyncio.create_task(_left(request))
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not (begun or working.done()):
                working.cancel()
                raise Refusal(499, "the client has gone")
            return await working
        finally:
            leaving.cancel()
            self._present -= 1


async def _left(request: Request) -> None:
    """Wait until the client of a request, whose body has been read, goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
