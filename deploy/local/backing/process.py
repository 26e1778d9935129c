"""A backing service that is a program of this machine, kept by `supervisor.py`."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.local.backing.port import BackingServiceFailed, FolderInUse
from deploy.local.backing.supervisor import LOCKED

SUPERVISOR = Path(__file__).with_name("supervisor.py")


class Lasting(subprocess.Popen[bytes]):
    """A process that lives by a keep-alive pipe, and so outlives whoever started it."""

    def __del__(self) -> None:
        """Nothing, where Popen warns that the process is still running."""


class Process:
    """Start, watch and end one program in its folder.

    `keep_alive`: a FIFO; the program lives while somebody has it open for writing. Without one it lives as
    long as this Python process. Seconds are the unit of every time-out.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        keep_alive: Path | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._command = list(command)
        self._environment = dict(environment) if environment is not None else None
        self._keep_alive = keep_alive
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """The program's pid; 0 when it is not running."""
        return self._pid if self._supervisor is not None and self._supervisor.poll() is None else 0

    def start(self, ready: Callable[[], bool], *, within: float) -> None:
        """Start the program and return when `ready()`. Raises BackingServiceFailed with the log's last lines."""
        if self.pid:
            return
        stdin = subprocess.PIPE if self._keep_alive is None else os.open(self._keep_alive, os.O_RDONLY)
        try:
            with self.log.open("wb") as log:
                popen = subprocess.Popen[bytes] if self._keep_alive is None else Lasting
                self._supervisor = popen(
                    [
                        sys.executable,
                        "-ISE",
                        str(SUPERVISOR),
                        str(self.folder / "lock"),
                        "--",
                        *self._command,
                    ],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._environment,
                    cwd=self.folder,
                    start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the backing service in order
                )
        finally:
            if self._keep_alive is not None:
                os.close(stdin)
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as said:
            self._pid = int(said.readline() or 0)
        deadline = time.monotonic() + within
        while not ready():
            if self._supervisor.poll() is not None:
                raise self._failed("ended at once")
            if time.monotonic() > deadline:
                self.kill()
                raise self._failed(f"did not answer within {within:.0f} s")
            time.sleep(0.02)

    def stop(self, *, within: float = 15) -> None:
        """SIGTERM, then kill -9 after `within` seconds."""
        if self._supervisor is None:
            return
        if self.pid:
            self._signal(signal.SIGTERM)
            try:
                self._supervisor.wait(within)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        self._gone()

    def kill(self) -> None:
        """End the program at once by SIGKILL."""
        if self.pid:
            self._signal(signal.SIGKILL)
        self._gone()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _gone(self) -> None:
        if self._supervisor is None:
            return
        self._supervisor.wait(15)
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
        self._supervisor = None
        self._pid = 0

    def _failed(self, what: str) -> BackingServiceFailed:
        code = self._supervisor.poll() if self._supervisor is not None else None
        if code == LOCKED:
            self._gone()
            return FolderInUse(name=self.name, folder=self.folder)
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        self._gone()
        return BackingServiceFailed("\n  ".join([f"{self.name} {what} (its log: {self.log})", *lines]))
