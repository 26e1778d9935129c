"""Records in one gapless stream for each process, written in batches that wait for nothing but the disk.

While one write is under way the next records gather; when it returns they go together. No timer, no counter
shared between processes, and `append` returns only when its record is durable.
"""

import asyncio

from shared.errors import Unavailable
from shared.store.port import Collection, Document


class Sequencer:
    """Appends to `collection`. Ids are `<stream>/<number>`, numbers count from 1 without gaps.

    A batch whose result is unknown is written again under the same ids until it is known, so that a number is
    neither lost nor used twice. Not handled: a record that the database will never take, for then nothing
    behind it is written either; callers append only values that it stores.
    """

    def __init__(self, collection: Collection, stream: str) -> None:
        self.stream = stream
        self._collection = collection
        self._number = 0
        self._waiting: list[tuple[Document, asyncio.Future[int]]] = []
        self._unwritten: list[tuple[Document, asyncio.Future[int]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def append(self, record: Document) -> int:
        """Write a record, and return the number under which it is durable.

        Raises Unavailable, or whatever else the write raised; the record may still be written later.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        self._start_writer()
        return await future

    def _start_writer(self) -> asyncio.Task[None]:
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return self._writer

    async def _write(self) -> None:
        """Until nothing waits, or a write fails: the next append writes what is unwritten first, so no gap."""
        try:
            while self._waiting or self._unwritten:
                self._number_waiting()
                await self._collection.insert_many([record for record, _ in self._unwritten])
                for record, future in self._unwritten:
                    if not future.done():
                        future.set_result(record["number"])
                self._unwritten.clear()
        except Exception as error:
            self._fail_waiters(error)
        except BaseException:  # cancelled: who waits must not wait for ever
            self._fail_waiters(Unavailable("shared.store.stream_ended", stream=self.stream))
            raise

    def _number_waiting(self) -> None:
        """Give numbers to what waits, unless an earlier batch has to be written again first."""
        if self._unwritten:
            return
        for record, future in self._waiting:
            self._number += 1
            own = {
                "_id": f"{self.stream}/{self._number:012d}",
                "stream": self.stream,
                "number": self._number,
            }
            self._unwritten.append(({**record, **own}, future))
        self._waiting.clear()

    def _fail_waiters(self, error: Exception) -> None:
        for _, future in [*self._unwritten, *self._waiting]:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()

    async def flush(self) -> None:
        """Wait until everything is written. For shutdown. Raises Unavailable."""
        if self._unwritten or self._waiting:
            await asyncio.wait([self._start_writer()])
        if self._unwritten:
            raise Unavailable("shared.store.unwritten", count=len(self._unwritten), stream=self.stream)
