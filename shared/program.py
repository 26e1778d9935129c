"""The life of a program: it starts, works until SIGTERM or SIGINT, stops in order, and is gone within ten seconds.

`run_program` holds to that whatever hangs. At the signal it cancels the program's coroutine, also while that is
still starting; what has begun by then is unwound by `stopping`, which waits `STOP_WITHIN` seconds and no longer.
Threads that still wait for a part that is away (the database driver's) are cut off when `END_WITHIN` is over.
"""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
import uvloop
from pydantic import ValidationError
from pydantic_settings.exceptions import SettingsError

from shared.errors import Blok365Error, Unavailable
from shared.settings import invalid_settings

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOP_WITHIN = 7.0
"""Seconds in which everything that was started is stopped in order."""
END_WITHIN = 9.0
"""Seconds from the signal to the end of the process; whoever stops us allows ten."""
OURS = tuple(str(Path(__file__).parents[1] / folder) + os.sep for folder in ("deploy", "services", "shared"))


class NotStopped(Unavailable):
    """Something that was being stopped did not end in time."""

    id = "shared.program.not_stopped"
    code = "not_stopped"

    def __init__(self, within: float) -> None:
        super().__init__(seconds=f"{within:.0f}")


@asynccontextmanager
async def stopping(within: float = STOP_WITHIN) -> AsyncIterator[AsyncExitStack]:
    """A stack whose callbacks get `within` seconds at the end, all together.

    All of them are called, also after one that failed. Raises NotStopped when they are not done by then, or what
    the last failing one raised; when the block itself failed that fault goes on, and a second one is only logged.
    """
    stack = AsyncExitStack()
    try:
        yield stack
    except Exception:
        try:
            await _unwound(stack, within)
        except Exception as another:
            reason, _ = explained(another)
            log.error("stop.failed", reason=reason)  # noqa: TRY400 - one line; the first fault is told
        raise
    except BaseException:  # a signal: the stop is all that can fail
        await _unwound(stack, within)
        raise
    else:
        await _unwound(stack, within)


async def _unwound(stack: AsyncExitStack, within: float) -> None:
    # A task of its own, because a callback that ignores its cancellation must not keep us.
    closing = asyncio.create_task(stack.aclose())
    done, _ = await asyncio.wait([closing], timeout=within)
    if not done:
        closing.cancel()
        raise NotStopped(within)
    await closing


def explained(error: BaseException) -> tuple[str, str]:
    """What happened and what to do, a sentence each, without a traceback."""
    if isinstance(error, Blok365Error):
        return error.detail or error.title, error.remedy
    if isinstance(error, SettingsError) or (
        isinstance(error, ValidationError) and error.title.endswith("Settings")
    ):
        return f"{invalid_settings(error)}.", "Correct the setting and start again."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}.", "See docs/setup.md for what must be there."
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(OURS)]
    place = f" at {'/'.join(Path(ours[-1].filename).parts[-2:])}:{ours[-1].lineno}" if ours else ""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{what}{place}", "This is a fault in Blok365: report it with this line."


Tell = Callable[[str, str], None]
"""Says the one line of a program that failed: reason and remedy."""


class _Ending:
    """The last seconds of the process, counted by a thread: the event loop may be what hangs."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._timer: threading.Timer | None = None
        self.exit_code: int | None = None
        """Once it is known."""

    def begin(self, within: float) -> None:
        """The process is gone in that many seconds. Only the first call counts."""
        if self._timer is None:
            self._timer = threading.Timer(within, self.cut)
            self._timer.daemon = True
            self._timer.start()

    def cut(self) -> None:
        """End the process at once, whatever still runs in it."""
        if self.exit_code is None:
            self.failed(NotStopped(END_WITHIN))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.exit_code or 0)

    def failed(self, error: Exception) -> None:
        """Record a failure and tell its cause; the exit code is 1."""
        self.exit_code = 1
        self._tell(*explained(error))


def run_program(main: Callable[[], Coroutine[Any, Any, None]], tell: Tell) -> int:
    """Run `main()` until it ends, fails, or is cancelled by SIGTERM or SIGINT. Returns the exit code.

    0 after a signal when all was stopped in order; 1, after one call of `tell`, when starting, working or stopping
    failed. Call it last: after a signal or a failure the process ends a few seconds later by itself, and further
    signals change nothing.
    """
    ending = _Ending(tell)
    try:
        uvloop.run(_until_signal(main, ending))
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    return ending.exit_code or 0


async def _until_signal(main: Callable[[], Coroutine[Any, Any, None]], ending: _Ending) -> None:
    work = asyncio.create_task(main())
    asked = False

    def stop() -> None:
        nonlocal asked
        if not asked:  # a second one must not interrupt the stop
            asked = True
            ending.begin(END_WITHIN)
            work.cancel()

    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.wait([work])
    error = None if work.cancelled() else work.exception()
    if isinstance(error, Exception):
        ending.failed(error)
        if isinstance(error, NotStopped):
            ending.cut()  # what hangs would keep the loop's own end as well
        ending.begin(END_WITHIN - STOP_WITHIN)
    elif error is not None:
        raise error
    else:
        ending.exit_code = 0
