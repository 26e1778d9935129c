"""Records in one gapless stream for each process, written in batches that wait for nothing but the disk.

While one write is under way the next records gather; when it returns they go together. No timer, no counter
shared between processes, and `append` returns only when its record is durable.
"""

import asyncio
import contextlib

from shared.errors import Unavailable
from shared.store.port import Collection, Document


class Sequencer:
    """Appends to `collection`. Ids are `<stream>/<number>`, numbers count from 1 without gaps.

    A batch whose result is unknown is written again under the same ids until it is known, so that a number is
    neither lost nor used twice.
    """

    def __init__(self, collection: Collection, stream: str) -> None:
        self.stream = stream
        self._collection = collection
        self._number = 0
        self._waiting: list[tuple[Document, asyncio.Future[int]]] = []
        self._unwritten: list[tuple[Document, asyncio.Future[int]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def append(self, record: Document) -> int:
        """Write it; the number under which it is durable. Raises Unavailable (it may still be written later)."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        while self._waiting or self._unwritten:
            if not self._unwritten:
                for record, future in self._waiting:
                    self._number += 1
                    numbered = {
                        **record,
                        "_id": f"{self.stream}/{self._number:012d}",
                        "stream": self.stream,
                        "number": self._number,
                    }
                    self._unwritten.append((numbered, future))
                self._waiting.clear()
            try:
                await self._collection.insert_many([record for record, _ in self._unwritten])
            except Unavailable as error:
                for _, future in [*self._unwritten, *self._waiting]:
                    if not future.done():
                        future.set_exception(error)
                self._waiting.clear()
                return  # the next append writes what is unwritten first: no gap
            for record, future in self._unwritten:
                if not future.done():
                    future.set_result(record["number"])
            self._unwritten.clear()

    async def flush(self) -> None:
        """Wait until everything is written, or say Unavailable. For shutdown."""
        if self._unwritten and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write())
        if self._writer is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        if self._unwritten:
            raise Unavailable("shared.store.unwritten", count=len(self._unwritten), stream=self.stream)
