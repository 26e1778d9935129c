"""Programs and libraries of the machine: what is missing, and apt-get where that may be used."""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Need:
    """One Debian package and how to see that what we need of it is here, however it came."""

    package: str
    program: str = ""
    library: str = ""
    path: str = ""

    def is_met(self) -> bool:
        """Look for the program on the PATH, load the library or look at the path."""
        if self.program:
            return shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None
        if self.library:
            with contextlib.suppress(OSError):
                ctypes.CDLL(self.library)
                return True
            return False
        return Path(self.path).exists()


# mongod of the wheel is linked against libcurl. That is all that make run, demo and test-fast need.
RUN = (Need("libcurl4", library="libcurl.so.4"),)
FULL = (
    *RUN,
    Need("rabbitmq-server", path="/usr/lib/rabbitmq/bin/rabbitmq-server"),
    Need("xmlsec1", program="xmlsec1"),
    Need("opensaml-tools", program="samlsign"),
    Need("opensaml-schemas", path="/usr/share/xml/opensaml/cs-sstc-schema-assertion-1.1.xsd"),
    Need("xmltooling-schemas", path="/usr/share/xml/xmltooling/xmldsig-core-schema.xsd"),
    Need("libxml2-utils", program="xmllint"),
    Need("caddy", program="caddy"),
    Need("chromium", program="chromium"),
    Need("fonts-dejavu-core", path="/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    Need("libsodium23", library="libsodium.so.23"),
    Need("zbar-tools", program="zbarimg"),
    Need("poppler-utils", program="pdftotext"),
)


def missing(needs: tuple[Need, ...]) -> list[str]:
    """The packages of this list whose programs or files are not on this machine."""
    return [need.package for need in needs if not need.is_met()]


def provide(packages: list[str], log: Path) -> str:
    """Install the packages if we are root and have apt-get. Returns what is wrong in one line, or ''."""
    if not packages:
        return ""
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        return f"this machine lacks what Debian calls {', '.join(packages)}; what needs it says so"
    if os.geteuid() != 0:
        return f"missing: {', '.join(packages)}; what needs it says so; as root run: {command}"
    print(f"setup: apt-get install {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    with log.open("wb") as output, _no_daemons():
        subprocess.run([*apt, "update"], env=environment, stdout=output, stderr=output, check=False)
        done = subprocess.run(
            [*apt, "install", "--no-install-recommends", *packages],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    return f"apt-get failed (see {log}); by hand: {command}" if done.returncode else ""


@contextlib.contextmanager
def _no_daemons() -> Iterator[None]:
    """Debian starts a server when it installs one, unless policy-rc.d says no. We want the programs only: the
    broker on the machine's default port would not be ours.
    """
    before = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            POLICY.unlink()
        else:
            POLICY.write_bytes(before)
