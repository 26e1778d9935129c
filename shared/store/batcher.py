"""What is asked of the database at the same time, together: while one operation is under way, those that are asked for
meanwhile wait and go as one.

Without load nobody waits; under load one operation answers many, which is what a database and its client cost most
for. Nobody waits long for somebody else's operation either: after `PATIENCE` those that wait go on their own.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.store.port import Document

PATIENCE = 0.02
"""Seconds."""
AT_MOST = 200
"""Questions in one operation."""

Q = TypeVar("Q")
A = TypeVar("A")

Together = Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]]
"""The answers in the order of the questions; an exception is raised to its own asker. What it raises is everybody's."""


class Batcher(Generic[Q, A]):
    """Puts questions that are asked at the same time into one operation. Each is sent after it was asked."""

    def __init__(self, together: Together[Q, A]) -> None:
        self._together = together
        self._under_way = 0
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """Its answer. Raises what the operation raises."""
        if self._under_way:
            return await self._wait(question)
        self._under_way += 1
        try:
            (answer,) = await self._together([question])
        finally:
            self._ended()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _wait(self, question: Q) -> A:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, future))
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
        waiting, self._waiting = self._waiting, []
        task = asyncio.create_task(self._send(waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, waiting: list[tuple[Q, asyncio.Future[A]]]) -> None:
        self._under_way += 1
        try:
            answers = await self._together([question for question, _ in waiting])
        except Exception as error:  # theirs to hear, whatever it is
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
        except asyncio.CancelledError:
            for _, future in waiting:
                future.cancel()
            raise
        else:
            for (_, future), answer in zip(waiting, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        finally:
            self._ended()


Read = Callable[[Sequence[str]], Awaitable[Sequence[Document]]]
"""The documents of those different ids that exist, in any order. Raises Unavailable."""


class ReadBatcher:
    """Puts reads by `_id` of one collection into one query. Nobody gets an answer that is older than the question."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._batcher: Batcher[str, Document | None] = Batcher(self._together)

    async def one(self, document_id: str) -> Document | None:
        """The document, or None. Raises what the read raises."""
        return await self._batcher.ask(document_id)

    async def _together(self, document_ids: Sequence[str]) -> Sequence[Document | None]:
        found = {
            document["_id"]: document for document in await self._read(list(dict.fromkeys(document_ids)))
        }
        answers: list[Document | None] = []
        given = set[str]()
        for document_id in document_ids:
            document = found.get(document_id)
            # What one of them does with it is not the others' business.
            answers.append(copy.deepcopy(document) if document_id in given else document)
            given.add(document_id)
        return answers
