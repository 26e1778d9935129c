"""Sends to push services (RFC 8030): only to listed hosts, only at public addresses, never to where one redirects."""

import socket
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from services.notify.domain.delivery import Failed, Gone, Later, Outcome, Sent
from services.notify.domain.endpoint import AllowedEndpoint, NotAllowed, check_endpoint, is_public
from services.notify.domain.webpush import REQUEST, authorization, encrypt
from shared.clock import Clock
from shared.contracts.notify import PushSubscription
from shared.ids import Ids

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
LONGEST_RETRY_AFTER = timedelta(hours=1)
_TAKEN = (200, 201, 202, 204)


class NotPublic(OSError):
    """The name of a push service has an address that is not public, always or just now (DNS rebinding)."""


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only. aiohttp connects to exactly these, so there is no second look-up."""

    def __init__(self, inner: AbstractResolver, local: Collection[str]) -> None:
        self._inner = inner
        self._local = frozenset(each.rpartition(":")[0] for each in local)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host not in self._local and not all(is_public(each["host"]) for each in found):
            raise NotPublic(f"{host} is at an address that is not public")
        return found

    async def close(self) -> None:
        await self._inner.close()


class WebPush:
    """Implements `ports.Pusher`."""

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        *,
        contact: str,
        hosts: Collection[str],
        local: Collection[str],
        clock: Clock,
        ids: Ids,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._key = key
        self._contact = contact
        self._hosts = hosts
        self._local = local
        self._clock = clock
        self._ids = ids
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections to push services."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def destination(self, to: PushSubscription) -> str | None:
        allowed = self._allowed(to)
        return None if allowed is None else allowed.host

    def _allowed(self, to: PushSubscription) -> AllowedEndpoint | None:
        try:
            return check_endpoint(to.endpoint, self._hosts, self._local)
        except NotAllowed:
            return None

    async def send(
        self, to: PushSubscription, payload: bytes, lifetime: timedelta, topic: str = REQUEST
    ) -> Outcome:
        allowed = self._allowed(to)
        if allowed is None:
            return Gone("not a push service that we speak to")
        body = encrypt(
            payload,
            p256dh=to.p256dh,
            auth=to.auth,
            salt=self._ids.random_bytes(16),
            ephemeral=ec.generate_private_key(ec.SECP256R1()),
        )
        headers = {
            "Authorization": authorization(
                self._key, audience=allowed.origin, contact=self._contact, now=self._clock.now()
            ),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(max(0, int(lifetime.total_seconds()))),
            "Urgency": "high",
            "Topic": topic,
        }
        try:
            async with self._open().post(
                URL(allowed.url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response:
                return read_answer(response.status, response.headers.get("Retry-After"), self._clock.now())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Later(type(error).__name__)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = PublicResolver(self._resolver or ThreadedResolver(), self._local)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=0, ttl_dns_cache=30),
                timeout=TIMEOUT,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"User-Agent": "Blok365"},
            )
        return self._session


def read_answer(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """The outcome that a push service's status stands for (RFC 8030 sections 5 and 7.3). The body is never read."""
    reason = f"HTTP {status}"
    if status in _TAKEN:
        return Sent()
    if status in (404, 410):
        return Gone(reason)
    if status in (408, 429) or status >= 500:
        return Later(reason, _wait(retry_after, now))
    return Failed(reason)  # 3xx too: following a redirect would let the service choose where we connect to


def _wait(retry_after: str | None, now: datetime) -> timedelta | None:
    """RFC 9110 section 10.2.3: seconds or a date. None when it is missing or is neither."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        wish = timedelta(seconds=min(int(text[:9]), 86_400))
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, IndexError, TypeError):
            return None
        wish = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    return max(timedelta(), min(wish, LONGEST_RETRY_AFTER))
