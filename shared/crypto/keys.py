"""Ed25519 keys: one for each service, its public half pinned by every other from one file."""

import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.files import replace_file
from shared.ids import Ids, b64u, unb64u

TrustedKeys = Mapping[str, tuple[Ed25519PublicKey, ...]]


def raw_public(key: Ed25519PrivateKey | Ed25519PublicKey) -> bytes:
    """The 32 octets of the public key (RFC 8032 section 5.1.5)."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_from_seed(seed: bytes) -> Ed25519PrivateKey:
    """The key of a 32-octet seed (RFC 8032 section 5.1.5)."""
    return Ed25519PrivateKey.from_private_bytes(seed)


def make_service_keys(folder: Path, services: tuple[str, ...], ids: Ids) -> None:
    """Make what is missing: `<service>.key` (PKCS8 PEM, mode 0600) and `trusted.json` with all public keys.

    Existing keys are kept. Run by set-up and by the operator's key ceremony, never by a service.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    trusted: dict[str, list[str]] = {}
    for service in services:
        path = folder / f"{service}.key"
        if not path.exists():
            key = key_from_seed(ids.random_bytes(32))
            replace_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        trusted[service] = [b64u(raw_public(load_service_key(path)))]
    (folder / "trusted.json").write_text(json.dumps(trusted, indent=2) + "\n")


def load_service_key(path: Path) -> Ed25519PrivateKey:
    """A service's own key. Raises ValueError when the file holds anything else."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path.name} is not an Ed25519 key")
    return key


def load_trusted_keys(path: Path) -> TrustedKeys:
    """The pinned public keys: `{service: [base64url, ...]}`; several while a key is rolled over."""
    raw: dict[str, list[str]] = json.loads(path.read_text())
    return {
        service: tuple(Ed25519PublicKey.from_public_bytes(unb64u(key)) for key in keys)
        for service, keys in raw.items()
    }
