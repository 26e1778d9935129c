"""The key by which push services know us (RFC 8292). notify holds it; phones subscribe with its public half."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.files import replace_file
from shared.ids import b64u


def public_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """The uncompressed point, 65 octets (X9.62): the form that browsers and push services use."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def make_vapid_key(folder: Path) -> None:
    """Make `notify.vapid` (PKCS8 PEM, mode 0600) unless it is there, and `vapid.pub` (base64url).

    A new key makes every subscription useless: push services refuse another key than the one it was made with.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "notify.vapid"
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        replace_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "vapid.pub").write_text(b64u(public_point(load_vapid_key(folder).public_key())) + "\n")


def load_vapid_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """Read the VAPID private key from the folder of key files. Raises OSError, ValueError."""
    key = load_pem_private_key((folder / "notify.vapid").read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("notify.vapid is not a P-256 key")
    return key


def load_vapid_public(folder: Path) -> str:
    """The `applicationServerKey` that a phone subscribes with, base64url. Raises OSError."""
    return (folder / "vapid.pub").read_text().strip()
