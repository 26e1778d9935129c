"""Whether two addresses belong to one network, as far as addresses can tell.

/24 for IPv4 and /48 for IPv6: what one office or home usually has. A carrier puts many strangers behind one
address, and one person's phone and computer often use two carriers. Therefore the person is told of it, and it bounds
floods; it decides about an approval only where a tenant has asked for that (`same_network_or_passkey`).
"""

import ipaddress

from shared.addresses import parse_address

_PREFIX = {4: 24, 6: 48}


def network_of(address: str) -> str:
    """The network of an address, e.g. `192.0.2.0/24`; empty for what is no address."""
    parsed = parse_address(address)
    if parsed is None:
        return ""
    return str(ipaddress.ip_network((parsed, _PREFIX[parsed.version]), strict=False))


def differs(network: str, address: str) -> bool:
    """Whether an address is not known to be of that network: IPv4 and IPv6 cannot be compared, so they differ."""
    return network == "" or network != network_of(address)
