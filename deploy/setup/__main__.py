"""`python3 -m deploy.setup run|full`: make this machine ready. Doing it again costs a fraction of a second.

run   .venv with the locked packages, the one library that mongod needs, Node if there is none, and with it what our
      pages take from npm (deploy.assets)
full  also the programs that tests use (as root on Debian)

Nothing names a package index: pip, npm and apt use the machine's own settings.
"""
# ruff: noqa: E402 - the first statements must stand before the imports

import signal

# Ctrl-C ends it without a traceback, also one that `deploy/setup/setup` has held back; the next run goes on.
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

import fcntl
import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from deploy.assets.make import is_made
from deploy.setup import node, system

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
BUILD_LOCK = "requirements/build.txt"
LOCKS = ("requirements/runtime.txt", "requirements/dev.txt")
NODE_LOCKS = ("requirements/node.txt",)
PIP_LOG = ROOT / "var" / "pip.log"
NO_INDEX = re.compile(
    "NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|Network is unreachable"
)
"""What pip says of a package index that it cannot reach."""
COMMAND = """\
#!/bin/sh
exec "{root}/blok365" "$@"
"""


class SetupError(Exception):
    """The set-up cannot go on. The text is one line that says why, and the way out."""


def say(line: str) -> None:
    """One line for the person who waits."""
    print(f"setup: {line}", flush=True)


def make_venv() -> None:
    """Create .venv, or create it anew where its Python is gone or too old."""
    if PYTHON.exists():
        check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        if subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0:
            return
    say("creating .venv (the first time takes a minute or two)")
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)


def install(locks: tuple[str, ...], stamp_name: str) -> None:
    """Pip install exactly what the locks say, unless the stamp says that it was done. Raises SetupError."""
    contents = b"".join((ROOT / lock).read_bytes() for lock in (BUILD_LOCK, *locks))
    digest = hashlib.sha256(contents).hexdigest()
    stamp = VENV / stamp_name
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == digest:
        return
    make_venv()
    # --no-deps, --no-build-isolation: the locks are complete, and nothing that they do not name may come in.
    _pip((BUILD_LOCK,))
    _pip(locks, "--no-build-isolation")
    stamp.write_text(digest)


def _pip(locks: tuple[str, ...], *options: str) -> None:
    """Install what these locks say, and tell how far it is."""
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--require-hashes", "--no-deps"]
    command += ["--progress-bar", "off", "--disable-pip-version-check", *options]
    for lock in locks:
        command += ["-r", ROOT / lock]
    text = "".join((ROOT / lock).read_text() for lock in locks)
    progress = Progress(len(re.findall(r"^[\w.-]+(?:\[[\w,-]+\])?==", text, flags=re.MULTILINE)))
    with (
        PIP_LOG.open("w") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pip,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            progress.see(line)
    progress.end()
    if pip.returncode:
        raise SetupError(_why(PIP_LOG.read_text()))


def _why(said: str) -> str:
    """Why pip failed, by what it said, and the way out."""
    if NO_INDEX.search(said):
        return (
            "the Python packages cannot be fetched: no package index answers. Check the network, or name your "
            "proxy or index (HTTPS_PROXY, PIP_INDEX_URL), and run the same again: it goes on where it stopped."
        )
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    return (
        f"pip failed: {errors[0] if errors else 'it gave no reason'} ({PIP_LOG.relative_to(ROOT)} has it all)"
    )


class Progress:
    """How many packages are fetched: at a terminal one line that changes, otherwise a line now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._open = False
        self._retrying = False

    def see(self, line: str) -> None:
        """Take in a line that pip has printed."""
        if line.startswith(("Collecting ", "Requirement already satisfied")):
            self._done += 1
            self._show(f"setup: Python packages, {self._done} of {self._total}", self._done % 25 == 0)
        elif line.startswith("Installing collected packages"):
            self._show(f"setup: installing {self._total} Python packages", True)
        elif NO_INDEX.search(line) and not self._retrying:
            self._retrying = True
            self._show("setup: no package index answers; trying again", True)

    def _show(self, text: str, milestone: bool) -> None:
        if sys.stdout.isatty():
            print(f"\r{text:<60}", end="", flush=True)
            self._open = True
        elif milestone:
            print(text, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._open:
            print(flush=True)


def put_command() -> None:
    """`blok365` on the path of the virtual environment."""
    command, text = VENV / "bin" / "blok365", COMMAND.format(root=ROOT)
    if not command.exists() or command.read_text() != text:
        command.write_text(text)
        command.chmod(0o755)


def make_assets(mode: str) -> None:
    """What our pages take from npm. Where that cannot be had everything works, with less on the pages.

    Node is fetched for it where there is none; only for tests, which need Node themselves, is it a failure when that
    cannot be. Raises SetupError.
    """
    made = is_made()
    if node.on_path() is None and (mode == "full" or not made):
        try:
            install(NODE_LOCKS, "node.sha256")
        except SetupError as error:
            if mode == "full":
                raise
            say(f"{error} The pages do without icons, their font and the scanner until then.")
            return
    if not made:
        subprocess.run([PYTHON, "-m", "deploy.assets"], cwd=ROOT, check=False)


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
            say("or put a Python that has venv first on the PATH.")
            return 1
        try:
            install(LOCKS, "locks.sha256")
            make_assets(mode)
            put_command()
        except SetupError as error:
            say(str(error))
            return 1
        except subprocess.CalledProcessError as error:
            say(f"failed: {' '.join(map(str, error.cmd))}")
            return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "full"))
    except OSError as error:  # a folder that may not be written to, a full disk
        sys.exit(f"setup: {error.filename or ROOT}: {error.strerror}.")
