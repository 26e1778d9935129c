"""npm wsfed 6.0.0 under Express 4 as a process of its own, installed from its lock into a folder under var/."""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from deploy.local.backing import BackingServiceFailed, BackingServiceMissing
from deploy.setup.node import Node, node
from services.wsfed.domain.keys import RsaSigningKey

HERE = Path(__file__).parent / "peer"
START_WITHIN = 20.0


def install(folder: Path) -> Node:
    """Put the locked packages there, unless they are. Returns the node to run them. Raises Unavailable."""
    try:
        found = node()
    except FileNotFoundError as error:
        raise BackingServiceMissing(str(error)) from None
    lock = (HERE / "package-lock.json").read_bytes()
    mark, wanted = folder / "installed-from", hashlib.sha256(lock).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "server.js"):
        shutil.copyfile(HERE / name, folder / name)
    if mark.is_file() and mark.read_text() == wanted:
        return found
    environment = {**os.environ, "PATH": f"{found.folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [*found.npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise BackingServiceFailed(f"npm ci in {folder}: {done.stderr.strip()[-400:]}")
    mark.write_text(wanted)
    return found


@asynccontextmanager
async def peer(folder: Path, key: RsaSigningKey) -> AsyncIterator[tuple[int, int]]:
    """The running peer: its process id and port. It signs with `key`. Raises Unavailable."""
    found = await asyncio.to_thread(install, folder)
    private, certificate = folder / "key.pem", folder / "certificate.pem"
    await asyncio.to_thread(_write_key, private, certificate, key)
    process = await asyncio.create_subprocess_exec(
        *(found.node, "server.js", "0", str(private), str(certificate)),
        cwd=folder,
        env={**os.environ, "NODE_ENV": "production"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_WITHIN):
            line = (await process.stdout.readline()).decode()
        if not line.startswith("listening on "):
            raise BackingServiceFailed("the peer under Node.js did not start")
        yield process.pid, int(line.split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.to_thread(private.unlink, missing_ok=True)


def _write_key(private: Path, certificate: Path, key: RsaSigningKey) -> None:
    private.touch(mode=0o600)
    loaded = load_der_private_key(key.private_der(), password=None)
    private.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(x509.load_der_x509_certificate(key.certificate).public_bytes(Encoding.PEM))
