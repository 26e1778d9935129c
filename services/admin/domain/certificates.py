"""What people compare of a token-signing certificate. Pure.

A module of its own, because the command line would wait for the import of X.509.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What people compare of a certificate. Thumbprints are upper-case hex digits; Microsoft's lists show SHA-1."""

    sha256: str
    sha1: str
    not_after: datetime | None
    """None: it is none that can be read."""


def certificate_facts(certificate: str) -> CertificateFacts:
    """Of a certificate in base64. Raises ValueError where it is no base64."""
    der = base64.b64decode(certificate, validate=True)
    try:
        not_after = x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError:
        not_after = None
    return CertificateFacts(
        sha256=hashlib.sha256(der).hexdigest().upper(),
        sha1=hashlib.sha1(der, usedforsecurity=False).hexdigest().upper(),
        not_after=not_after,
    )
