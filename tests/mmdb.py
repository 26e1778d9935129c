"""Writes small files in MaxMind's format (MaxMind DB File Format Specification 2.0), for tests.

IPv6 tree with the IPv4 addresses at ::/96, 24-bit records; no pointers inside the data.
"""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"
FRANCE = {"iso_code": "FR", "names": {"en": "France", "fr": "France"}}
GERMANY = {"iso_code": "DE", "names": {"en": "Germany", "fr": "Allemagne"}}
SPAIN = {"iso_code": "ES", "names": {"en": "Spain"}}
LYON_ADDRESS, COLOGNE_ADDRESS, SPAIN_ADDRESS = "2.0.0.17", "5.1.0.17", "5.2.0.17"
IPV6_ADDRESS = "2a01:e00::17"
NOWHERE_ADDRESS = "9.9.9.9"

RECORDS: Mapping[str, Any] = {
    "2.0.0.0/16": {"city": {"names": {"en": "Lyons", "fr": "Lyon"}}, "country": FRANCE},
    "5.1.0.0/16": {"city": {"names": {"en": "Cologne", "de": "Köln"}}, "country": GERMANY},
    "5.2.0.0/16": {"country": SPAIN},
    "2a01:e00::/32": {"country": FRANCE},
    "10.0.0.0/8": {"country": GERMANY},
}


def write_places(
    file: Path, records: Mapping[str, Any] = RECORDS, *, kind: str = "Test-City", ip_version: int = 6
) -> Path:
    """The file, replaced as a careful operator does it: in one step."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(database(records, kind=kind, ip_version=ip_version))
    fresh.replace(file)
    return file


def database(records: Mapping[str, Any], *, kind: str = "Test-City", ip_version: int = 6) -> bytes:
    """Networks to records, as a whole file."""
    tree: list[list[Any]] = [
        [None, None]
    ]  # a node: left and right, each a node's number, a record's offset, nothing
    data = b""
    for text, record in records.items():
        bits = _bits(ipaddress.ip_network(text), ip_version)
        node = 0
        for bit in bits[:-1]:
            if tree[node][bit] is None:
                tree[node][bit] = len(tree)
                tree.append([None, None])
            node = tree[node][bit]
        tree[node][bits[-1]] = ("data", len(data))
        data += encoded(record)
    about = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_764_000_000,
        "database_type": kind,
        "description": {"en": "Made by a test"},
        "ip_version": ip_version,
        "languages": ["en", "fr"],
        "node_count": len(tree),
        "record_size": 24,
    }
    nodes = b"".join(_pointer(side, len(tree)) for node in tree for side in node)
    return nodes + bytes(16) + data + MARKER + encoded(about)


def _bits(network: ipaddress.IPv4Network | ipaddress.IPv6Network, ip_version: int) -> list[int]:
    length = network.prefixlen
    number, width = int(network.network_address), network.max_prefixlen
    if network.version == 4 and ip_version == 6:
        width, length = 128, length + 96
    return [number >> (width - 1 - i) & 1 for i in range(length)]


def _pointer(side: Any, count: int) -> bytes:
    if side is None:
        return count.to_bytes(3, "big")
    number: int = count + 16 + side[1] if isinstance(side, tuple) else side
    return number.to_bytes(3, "big")


def encoded(value: Any) -> bytes:
    """One value of the data section."""
    if isinstance(value, str):
        octets = value.encode()
        return _control(2, len(octets)) + octets
    if isinstance(value, int):
        octets = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return _control(9, len(octets)) + octets  # uint64
    if isinstance(value, Mapping):
        return _control(7, len(value)) + b"".join(encoded(k) + encoded(v) for k, v in value.items())
    return _control(11, len(value)) + b"".join(encoded(each) for each in value)


def _control(kind: int, size: int) -> bytes:
    extra = b""
    if size >= 285:
        size, extra = 30, (size - 285).to_bytes(2, "big")
    elif size >= 29:
        size, extra = 29, bytes([size - 29])
    return (bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])) + extra
