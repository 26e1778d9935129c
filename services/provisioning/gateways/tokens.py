"""Access tokens of the application (OAuth 2.0 client credentials, RFC 6749 section 4.4), one for each connection.

At most one request for a token of a connection is under way; a token is replaced five minutes before its end.
Microsoft identity platform: "OAuth 2.0 client credentials flow" and "Application authentication certificate
credentials".
"""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from services.provisioning.domain.answers import SignInFailed
from services.provisioning.ports import Target
from shared.canonical import canonical
from shared.clock import Clock
from shared.ids import Ids, b64u, new_id
from shared.text import clean_line

EARLY = timedelta(minutes=5)
ASSERTION_LIFE = timedelta(minutes=5)
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    until: float
    """On the monotonic clock."""


def _no_certificate() -> SignInFailed:
    """As Entra would answer: the certificate is none, or its key no RSA key."""
    return SignInFailed(400, error="invalid_client", codes=(700027,))


class Tokens:
    """The tokens of all connections, in memory only."""

    def __init__(self, session: "Sessions", clock: Clock, ids: Ids) -> None:
        self._session = session
        self._clock = clock
        self._ids = ids
        self._tokens: dict[str, tuple[int, _Token]] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def of(self, target: Target) -> str:
        """A token that is good for a while. Raises SignInFailed."""
        async with self._turns.setdefault(target.tenant, asyncio.Lock()):
            kept = self._tokens.get(target.tenant)
            if kept is not None and kept[0] == target.revision and self._clock.monotonic() < kept[1].until:
                return kept[1].value
            token = await self._ask(target)
            self._tokens[target.tenant] = (target.revision, token)
            return token.value

    def forget(self, target: Target, token: str) -> None:
        """Graph has refused that token. Another one, which came meanwhile, stays."""
        kept = self._tokens.get(target.tenant)
        if kept is not None and kept[1].value == token:
            del self._tokens[target.tenant]

    async def _ask(self, target: Target) -> _Token:
        url = f"{target.authority}/{target.secrets.tenant_domain}/oauth2/v2.0/token"
        form = {
            "grant_type": "client_credentials",
            "client_id": target.secrets.client_id,
            "scope": f"{target.audience}/.default",
        }
        if target.secrets.client_secret:
            form["client_secret"] = target.secrets.client_secret
        else:
            form["client_assertion_type"] = ASSERTION_TYPE
            form["client_assertion"] = self._assertion(target, url)
        asked = self._clock.monotonic()
        try:
            async with self._session.open().post(url, data=form, allow_redirects=False) as response:
                status, answer = response.status, await json_of(response, MAX_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SignInFailed(None) from error
        token, life = answer.get("access_token"), answer.get("expires_in")
        if status == 200 and isinstance(token, str) and token:
            seconds = float(life) if isinstance(life, (int, float, str)) and str(life).isdigit() else 300.0
            # One whose whole life is short is used for half of it.
            return _Token(token, asked + max(seconds - EARLY.total_seconds(), seconds / 2))
        codes = answer.get("error_codes")
        raise SignInFailed(
            status,
            error=clean_line(str(answer.get("error") or ""), 80),
            codes=tuple(each for each in codes if isinstance(each, int)) if isinstance(codes, list) else (),
            # Behind the words Entra repeats the trace id and the time.
            words=clean_line(str(answer.get("error_description") or "").partition(" Trace ID:")[0], 500),
            trace_id=clean_line(str(answer.get("trace_id") or ""), 64),
        )

    def _assertion(self, target: Target, audience: str) -> str:
        """A JWT signed with the certificate's key (RFC 7523). Raises SignInFailed for a certificate that is none."""
        try:
            certificate = x509.load_pem_x509_certificate(target.secrets.certificate.encode())
            key = serialization.load_pem_private_key(target.secrets.private_key.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _no_certificate() from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise _no_certificate()
        digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
        now = int(self._clock.now().timestamp())
        header = {"alg": "PS256", "typ": "JWT", "x5t#S256": b64u(digest)}
        claims = {
            "aud": audience,
            "iss": target.secrets.client_id,
            "sub": target.secrets.client_id,
            "jti": new_id(self._ids),
            "nbf": now - 60,
            "exp": now + int(ASSERTION_LIFE.total_seconds()),
        }
        signed = f"{b64u(canonical(header))}.{b64u(canonical(claims))}"
        salted = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
        try:
            signature = key.sign(signed.encode(), salted, hashes.SHA256())
        except ValueError as error:  # too short a key for this kind of signature
            raise _no_certificate() from error
        return f"{signed}.{b64u(signature)}"


class Sessions:
    """One client session for Microsoft's services, opened when it is needed first."""

    def __init__(self, timeout: aiohttp.ClientTimeout) -> None:
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={"User-Agent": "Blok365"},
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def json_of(response: aiohttp.ClientResponse, most: int) -> dict[str, Any]:
    """The JSON object in an answer; empty for anything else, and for more than `most` octets."""
    octets = bytearray()
    async for part in response.content.iter_any():
        octets += part
        if len(octets) > most:
            return {}
    return parsed(bytes(octets))


def parsed(octets: bytes) -> dict[str, Any]:
    """The JSON object in those octets; empty for anything else."""
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
