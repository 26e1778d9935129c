"""Names on localhost for programs that are no browser.

Browsers and curl take every `*.localhost` for this machine (RFC 6761, section 6.3); Python's resolver does not.
"""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver


class LoopbackResolver(AbstractResolver):
    """For `aiohttp.TCPConnector(resolver=...)`: `localhost` and all names below it are 127.0.0.1."""

    def __init__(self) -> None:
        self._others = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of that name. Raises OSError for a name that nobody knows."""
        if host.rpartition(".")[2].lower() != "localhost":
            return await self._others.resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Let go of what the other names are looked up with."""
        await self._others.close()
