"""`python3 -m deploy.setup run|full`: make this machine ready. Doing it again costs a fraction of a second.

run   .venv with the locked packages, and the one library that mongod needs
full  also the programs that tests use (as root on Debian) and Node if there is none

Nothing names a package index: pip and apt use the machine's own settings.
"""

import fcntl
import hashlib
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

from deploy.setup import node, system

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
BUILD_LOCK = "requirements/build.txt"
LOCKS = ("requirements/runtime.txt", "requirements/dev.txt")
NODE_LOCKS = ("requirements/node.txt",)


def say(line: str) -> None:
    """One line for the person who waits."""
    print(f"setup: {line}", flush=True)


def make_venv() -> None:
    """Create .venv, or create it anew where its Python is gone or too old."""
    if PYTHON.exists():
        check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        if subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0:
            return
    say("creating .venv")
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)


def install(locks: tuple[str, ...], stamp_name: str) -> None:
    """Pip install exactly what the locks say, unless the stamp says that it was done."""
    contents = b"".join((ROOT / lock).read_bytes() for lock in (BUILD_LOCK, *locks))
    digest = hashlib.sha256(contents).hexdigest()
    stamp = VENV / stamp_name
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == digest:
        return
    make_venv()
    say(f"installing {', '.join(locks)}")
    # --no-deps, --no-build-isolation: the locks are complete, and nothing that they do not name may come in.
    pip: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
    subprocess.run([*pip, "-r", ROOT / BUILD_LOCK], check=True, stdin=subprocess.DEVNULL)
    for lock in locks:
        pip += ["-r", ROOT / lock]
    subprocess.run([*pip, "--no-build-isolation"], check=True, stdin=subprocess.DEVNULL)
    stamp.write_text(digest)


def main(mode: str) -> int:
    """Returns the exit code: 0 also where programs are missing that only some targets need."""
    (ROOT / "var").mkdir(exist_ok=True)
    with (ROOT / "var" / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once: the second waits
        needs = system.missing(system.FULL if mode == "full" else system.RUN)
        if importlib.util.find_spec("ensurepip") is None and not PYTHON.exists():
            needs = ["python3-venv", *needs]
        problem = system.provide(needs, ROOT / "var" / "apt.log")
        if problem:
            say(problem)
        if "python3-venv" in needs and problem:
            return 1
        try:
            install(LOCKS, "locks.sha256")
            if mode == "full" and node.on_path() is None:
                install(NODE_LOCKS, "node.sha256")
        except subprocess.CalledProcessError as error:
            say(f"failed: {' '.join(map(str, error.cmd))}")
            return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback; the next run goes on
    try:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "full"))
    except OSError as error:  # a folder that may not be written to, a full disk
        sys.exit(f"setup: {error.filename or ROOT}: {error.strerror}.")
