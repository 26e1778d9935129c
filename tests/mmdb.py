"""Small files in MaxMind's format, as an operator supplies them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from shared.files import replace_file

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
    replace_file(file, database(records, kind=kind, ip_version=ip_version))
    return file


def database(records: Mapping[str, Any], *, kind: str = "Test-City", ip_version: int = 6) -> bytes:
    """Networks to records, as the octets of a file. With `ip_version` 6 IPv4 networks stand at ::/96."""
    writer = MMDBWriter(ip_version, kind, ["en", "fr"], "Made by a test", ipv4_compatible=ip_version == 6)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file"
        writer.to_db_file(str(file))
        return file.read_bytes()
