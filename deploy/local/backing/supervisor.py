"""Keeps one outside program (mongod, RabbitMQ) for as long as somebody holds the other end of stdin.

Run as a process of its own: `python supervisor.py LOCK -- PROGRAM ARGUMENT...`. It prints the program's pid on
one line and ends with the program. When stdin reaches its end (whoever wanted the program is gone, even by
kill -9) it asks the program to stop, then kills it, then kills everything the program left behind: on Linux
it is the "subreaper", so that daemons such as epmd fall to it. LOCK is held meanwhile: two supervisors never
share a folder. If the supervisor itself is killed, Linux kills its child (PR_SET_PDEATHSIG).

Only the standard library, and no import of ours: it starts in 30 ms.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE = 5.0  # seconds between "please stop" and kill -9
LOCK_WAIT = 6.0  # seconds for an earlier supervisor of the same folder to finish: longer than its GRACE
LOCKED = 75  # our exit code when it does not (EX_TEMPFAIL of sysexits.h)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                print(f"{path.parent} is in use by another process", file=sys.stderr)
                raise SystemExit(LOCKED) from None
            time.sleep(0.05)
        else:
            return handle


def _children() -> list[int]:
    """Pids of our children and theirs (Linux; elsewhere none beyond what waitpid tells)."""
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        with contextlib.suppress(OSError):  # any of them may end while we look
            for listing in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
                pids = [int(pid) for pid in listing.read_text().split()] if listing.exists() else []
                found += pids
                todo += pids
    return found


def _reap(program: subprocess.Popen[bytes]) -> None:
    """Collect every finished child; `program` first, so that its return code is not lost."""
    program.poll()
    for pid in _children():
        if pid != program.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _clear() -> None:
    """Kill and collect everything that is still there."""
    while pids := _children():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def at_end(command: list[str]) -> int:
    """Wait for the end of stdin, then run `command`: for what is not our child, such as a container."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(0, 64):
        pass
    return subprocess.call(command, stdin=subprocess.DEVNULL)


def main(lock: str, command: list[str]) -> int:
    """Run `command` until it ends or stdin does. Returns its exit code."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _lock(Path(lock))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # we end when our user or our child does
        signal.signal(ignored, lambda *_: None)
    program = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # one thread here: safe
    )
    print(program.pid, flush=True)
    asked_at = 0.0
    listening = [woken, 0]
    while program.poll() is None:
        ready, _, _ = select.select(listening, [], [], 0.2 if asked_at else None)
        if woken in ready:
            os.read(woken, 64)
            _reap(program)
        if 0 in ready and not os.read(0, 64):
            listening = [woken]
            asked_at = time.monotonic()
            program.terminate()
        if asked_at and time.monotonic() - asked_at > GRACE:
            program.kill()
    _clear()
    return program.returncode


if __name__ == "__main__":
    sys.exit(at_end(sys.argv[3:]) if sys.argv[1] == "--at-end" else main(sys.argv[1], sys.argv[3:]))
