"""Reads by `_id`, together: while one is under way, those asked for meanwhile wait and go as one.

Nobody gets an answer that is older than the question: every read is sent after it was asked for. Without load
nobody waits; under load one operation answers many, which is what a database's client costs most for. Nobody waits
long for somebody else's read either: after `PATIENCE` those that wait go on their own.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence

from shared.store.port import Document

PATIENCE = 0.02
"""Seconds."""
AT_MOST = 200
"""Ids in one read."""

Read = Callable[[Sequence[str]], Awaitable[Sequence[Document]]]
"""The documents of those ids that exist, in any order. Raises Unavailable."""


class ReadBatcher:
    """Puts reads of one collection that are asked for at the same time into one query."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._under_way = 0
        self._waiting: dict[str, list[asyncio.Future[Document | None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def one(self, document_id: str) -> Document | None:
        """The document, or None. Raises what the read raises."""
        if self._under_way:
            return await self._wait(document_id)
        self._under_way += 1
        try:
            found = await self._read([document_id])
        finally:
            self._ended()
        return found[0] if found else None

    async def _wait(self, document_id: str) -> Document | None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Document | None] = loop.create_future()
        self._waiting.setdefault(document_id, []).append(future)
        if len(self._waiting) >= AT_MOST:
            self._go()
        elif self._timer is None:
            self._timer = loop.call_later(PATIENCE, self._go)
        return await future

    def _ended(self) -> None:
        self._under_way -= 1
        if self._waiting:
            self._go()

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        task = asyncio.create_task(self._together(waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _together(self, waiting: dict[str, list[asyncio.Future[Document | None]]]) -> None:
        self._under_way += 1
        try:
            found = {document["_id"]: document for document in await self._read(list(waiting))}
        except Exception as error:  # theirs to hear, whatever it is
            for future in _still_wanted(waiting):
                future.set_exception(error)
        except asyncio.CancelledError:
            for future in _still_wanted(waiting):
                future.cancel()
            raise
        else:
            for document_id, futures in waiting.items():
                for number, future in enumerate(futures):
                    if not future.done():
                        document = found.get(document_id)
                        # what one of them does with it is not the others' business
                        future.set_result(document if number == 0 else copy.deepcopy(document))
        finally:
            self._ended()


def _still_wanted(
    waiting: dict[str, list[asyncio.Future[Document | None]]],
) -> list[asyncio.Future[Document | None]]:
    return [future for futures in waiting.values() for future in futures if not future.done()]
