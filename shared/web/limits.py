"""What strangers may take at once: requests from one network, and streams that stay open.

Both are bounded in memory, and neither believes what the party says that it limits.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

import structlog
from aiohttp import web

from shared.addresses import ClientNetworks, network_of, parse_address, within
from shared.clock import Clock
from shared.errors import TooMany, Unavailable
from shared.web.inputs import client_address

log = structlog.get_logger(__name__)

MAX_NETWORKS = 10_000
"""Networks whose requests are counted at once. The one that has asked for nothing the longest goes first: whoever has
that many networks is not stopped by a limit of each.
"""
SAY_EVERY = 60.0
"""Seconds between two log lines about one network."""


@dataclass(slots=True)
class _Allowance:
    """What one network may still ask for: `left` requests at the moment `at`, more with each second."""

    left: float
    at: float
    refused: int = 0
    said_at: float | None = None


class RequestLimit:
    """A limit of requests for each network of clients (/24, or /48 of IPv6), in one application of one process.

    A network may send `per_minute` requests at once and goes on getting that many a minute. 0: there is no limit.

    Not limited: the operator's own networks, and who has no known address (`client_address`). Those may be everybody,
    because of a proxy that was not named, and nobody can choose to be one of them: the peer's address, or the entry of
    a trusted proxy, says so.
    """

    def __init__(self, networks: ClientNetworks, clock: Clock, *, per_minute: int) -> None:
        self._networks = networks
        self._clock = clock
        self._per_minute = per_minute
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        """By network, the one that asked last at the end."""
        self.refused = 0
        """Requests that were refused since the process began."""

    def count(self, request: web.BaseRequest) -> None:
        """Count one request. Raises TooMany when its network has no more."""
        if not self._per_minute:
            return
        text = client_address(request, self._networks)
        address = parse_address(text)
        if address is None or within(address, self._networks.own):
            return
        self._spend(network_of(text))

    def _spend(self, network: str) -> None:
        now, per_second = self._clock.monotonic(), self._per_minute / 60
        known = self._allowances.pop(network, None) or _Allowance(self._per_minute, now)
        known.left = min(self._per_minute, known.left + (now - known.at) * per_second)
        known.at = now
        self._allowances[network] = known
        if len(self._allowances) > MAX_NETWORKS:
            self._allowances.popitem(last=False)
        if known.left >= 1:
            known.left -= 1
            return
        self.refused += 1
        known.refused += 1
        if known.said_at is None or now - known.said_at >= SAY_EVERY:
            known.said_at = now
            log.warning(
                "requests.limited", network=network, refused=known.refused, refused_in_all=self.refused
            )
        raise TooMany("shared.web.too_many_requests", seconds=ceil((1 - known.left) / per_second))


class StreamLimit:
    """How many live streams may be open: `each` for one key, `total` in the process."""

    def __init__(self, *, each: int, total: int) -> None:
        self._each = each
        self._total = total
        self._open: Counter[str] = Counter()

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """One stream for as long as the block runs. Raises Unavailable when there are as many as may be."""
        if self._open[key] >= self._each or self._open.total() >= self._total:
            log.info("streams.limited", open=self._open.total())
            raise Unavailable("shared.web.too_many_streams")
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
