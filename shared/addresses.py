"""Reading network addresses, and what an address says about who has it."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PREFIX = {4: 24, 6: 48}
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8"),
        *("169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("::/128", "::1/128", "fc00::/7", "fe80::/10"),
    )
)
"""Addresses that mean somebody else in each place: RFC 1918, 4193, 6598, loopback, link-local and unspecified ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientNetworks:
    """What the operator has said about networks from which requests come.

    `proxies`: whose X-Forwarded-For entry is believed, and only the one that they added. `own`: whose addresses are
    those of clients, even private ones.
    """

    proxies: tuple[Network, ...] = ()
    own: tuple[Network, ...] = ()


NO_NETWORKS = ClientNetworks()


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from settings, e.g. `10.0.0.0/8`. Raises ValueError."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def parse_address(text: str) -> Address | None:
    """The address, or None for what is none.

    An IPv4 address in IPv6 form (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) is the IPv4 address: a dual-stack socket
    reports its peers so, and a rule for IPv4 must not be passed by writing the address the other way.
    """
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def within(address: Address, networks: Iterable[Network]) -> bool:
    """Whether the address is in one of the networks."""
    return any(address.version == network.version and address in network for network in networks)


def is_private(address: Address) -> bool:
    """Whether the address means somebody else in each place, so that it says nothing about who has it."""
    return within(address, _PRIVATE)


def network_of(address: str) -> str:
    """The network of an address, `192.0.2.0/24` or an IPv6 /48; empty for what is no address.

    It is what one office or home usually has.
    """
    parsed = parse_address(address)
    if parsed is None:
        return ""
    return str(ipaddress.ip_network((parsed, _PREFIX[parsed.version]), strict=False))
