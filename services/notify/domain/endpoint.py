"""Which push endpoints notify connects to. An endpoint comes from a phone, so whoever has an account chooses it:
without these checks they could make notify send requests into our own network (SSRF).

One strict grammar is matched first, so that two URL parsers cannot read an endpoint differently: no user info, no
port but 443, no fragment, no IP address, no upper case, no trailing dot.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from shared.addresses import parse_address

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ENDPOINT = re.compile(
    rf"https://(?P<host>(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?)(?::443)?/[!-\"$-\[\]-~]*"
)
_LOCAL = re.compile(r"http://(?P<authority>[a-z0-9.-]+:[0-9]{1,5})/[!-\"$-\[\]-~]*")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotAllowed(Exception):
    """An endpoint that notify never connects to. The exception's text quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class AllowedEndpoint:
    """An endpoint that passed `check_endpoint`; the gateway accepts nothing else.

    Not verified: what addresses its host has. The gateway checks them when it connects.
    """

    url: str
    origin: str
    """Scheme and authority: the audience of the VAPID token (RFC 8292 section 2)."""
    host: str


def check_endpoint(url: str, hosts: Collection[str], local: Collection[str]) -> AllowedEndpoint:
    """`hosts`: names, or `*.name` for everything below it. `local`: `host:port` of stand-ins, over http.

    Raises NotAllowed.
    """
    if (match := _LOCAL.fullmatch(url)) is not None:
        authority = match["authority"]
        if authority not in local:
            raise NotAllowed("http")
        return AllowedEndpoint(url, f"http://{authority}", authority)
    match = _ENDPOINT.fullmatch(url)
    if match is None:
        raise NotAllowed("not a plain https endpoint")
    host = match["host"]
    if len(host) > 253 or not any(_is_under(host, pattern) for pattern in hosts):
        raise NotAllowed("not a host of a known push service")
    return AllowedEndpoint(url, f"https://{host}", host)


def _is_under(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern


def is_public(address: str) -> bool:
    """Whether an IP address is public: not in a private network, not this machine, not a cloud's metadata service, and
    none of these written as an IPv6 address (mapped, NAT64, 6to4, Teredo).
    """
    ip = parse_address(address)
    if ip is None:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(ip.packed[-4:])))
        if ip.sixtofour is not None or ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast
