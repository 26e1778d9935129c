"""Whether two addresses belong to one network, as far as addresses can tell.

/24 for IPv4 and /48 for IPv6: what one office or home usually has. A carrier puts many strangers behind one
address, and one person's phone and computer often use two carriers. Therefore the person is told of it, and it bounds
floods; it decides about an approval only where a tenant has asked for that (`same_network_or_passkey`).
"""

from shared.addresses import network_of


def differs(network: str, address: str) -> bool:
    """Whether an address is not known to be of that network.

    IPv4 and IPv6 cannot be compared, so they differ. An address that is not known (`shared.web.inputs.client_address`)
    is of no network, so two of them differ as well.
    """
    return network == "" or network != network_of(address)
