"""`var/run`: what a running `make run` tells the programs beside it, and the lock that shows that it runs.

The lock ends with the process, however that ends; so a file that a killed one left behind deceives nobody. Only the
standard library: whoever asks must get the answer at once.
"""

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

LOCK_WAIT = 0.3
"""Seconds to wait for the lock: a program that only looks has it for an instant."""
POKE = signal.SIGUSR1
"""Tells the running process to send at once what other programs have left in its outboxes."""


@dataclass(frozen=True)
class RunningNow:
    """The process that holds the folder's lock. `settings` is empty while it starts.

    `settings`: by their names in `shared.settings.Settings`, texts; some hold passwords. `front`, `entra`, `graph`:
    addresses of the front page and of the stand-ins of Entra and Microsoft Graph; of the last one empty where there is
    none.
    """

    pid: int
    settings: Mapping[str, str]
    front: str = ""
    entra: str = ""
    graph: str = ""

    @property
    def origin(self) -> str:
        """The sign-in origin; empty while it starts."""
        return self.settings.get("origin", "")

    def poke(self) -> None:
        """Have it send at once what waits in its outboxes. Nothing happens where we may not, nor while it starts: until
        it has announced itself the signal would end it, or, where its number is not written yet, ourselves.
        """
        if not self.settings:
            return
        with contextlib.suppress(OSError):
            os.kill(self.pid, POKE)


class AlreadyRunning(Exception):
    """Another process has the folder."""

    def __init__(self, other: RunningNow) -> None:
        super().__init__(f"process {other.pid}")
        self.other = other


@contextlib.contextmanager
def hold(var: Path) -> Iterator[None]:
    """Have the folder for this process. Raises AlreadyRunning, OSError."""
    _folder(var).mkdir(parents=True, exist_ok=True)
    with _lock_file(var).open("a+") as lock:
        deadline = time.monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AlreadyRunning(_read(var)) from None
                time.sleep(0.02)
        withdraw(var)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            withdraw(var)


def announce(
    var: Path, settings: Mapping[str, str], *, front: str = "", entra: str = "", graph: str = ""
) -> None:
    """Tell other programs where the system is that this process runs. Only its user may read the file."""
    made = _system_file(var).with_suffix(".new")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(RunningNow(os.getpid(), dict(settings), front, entra, graph)), file, indent=2)
    made.replace(_system_file(var))


def withdraw(var: Path) -> None:
    """Take `announce` back: from now on nobody may poke."""
    _system_file(var).unlink(missing_ok=True)


def find(var: Path) -> RunningNow | None:
    """The process that has the folder now; None when there is none."""
    try:
        with _lock_file(var).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(var)
    except OSError:
        return None
    return None


def log_file(var: Path) -> Path:
    """The log of the present run, or of the last one: a JSON object on each line."""
    return _folder(var) / "log.json"


def _read(var: Path) -> RunningNow:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return RunningNow(**json.loads(_system_file(var).read_text()))
    with contextlib.suppress(OSError, ValueError):
        return RunningNow(int(_lock_file(var).read_text()), {})
    return RunningNow(0, {})


def _folder(var: Path) -> Path:
    return var / "run"


def _lock_file(var: Path) -> Path:
    return _folder(var) / "lock"


def _system_file(var: Path) -> Path:
    return _folder(var) / "system.json"
