"""Where a network address seems to be: from a file in MaxMind's format that the operator supplies.

A place is approximate: it says where a network is registered or seen, and a VPN or a mobile carrier can be anywhere.
It is shown to people and decides nothing. Without a file there are no places, and the address stands alone.

Format: MaxMind DB File Format Specification 2.0, with records as in GeoIP2 and GeoLite2 City, Country, Enterprise
(other publishers write the same). Not verified: that the file is true, or how old it is. Why this reader: ADR 0006.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from maxminddb import MODE_MEMORY, open_database
from maxminddb.reader import Reader

from shared.addresses import parse_address
from shared.clock import Clock
from shared.errors import Unavailable
from shared.text import clean_line

log = structlog.get_logger(__name__)

LOOK_EVERY = 60.0
"""Seconds between looks whether the file was replaced."""
KINDS = ("City", "Country", "Enterprise")
MAX_NAME = 60
"""Characters of one name; a place has two at most."""
ENGLISH = "en"

_Stamp = tuple[int, int, int]
"""Tells one version of the file from another."""


@dataclass(frozen=True, slots=True)
class Country:
    """`code`: ISO 3166-1 alpha-2. `name`: in the language that was asked for, or English, or the code."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """A place. `text` is for people, such as `Lyon, France`, and never empty."""

    text: str
    country: Country | None


class GeoIp:
    """The file, held in memory: a lookup waits for no disk, and writing over the file spoils nothing.

    `file` None: no address has a place. Raises Unavailable when the file is missing, broken or of another kind;
    afterwards nothing here raises.
    """

    def __init__(self, file: Path | None, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._seen = _stamp(file)
        self._reader = _open_at_start(file) if file is not None else None
        self._fault_told = False

    def find(self, address: str, language: str = ENGLISH) -> Place | None:
        """The place of an address; None when it has none, as private addresses have not."""
        reader = self._reader
        if reader is None:
            return None
        parsed = parse_address(address)
        if (
            parsed is None
            or not parsed.is_global
            or (parsed.version == 6 and reader.metadata().ip_version == 4)
        ):
            return None
        try:
            return _place(reader.get(parsed), language)
        except Exception as fault:  # whatever is wrong inside the file: no sign-in depends on it
            if not self._fault_told:
                self._fault_told = True
                log.warning("geoip.fault", file=str(self._file), reason=_words(fault))
            return None

    def country(self, address: str, language: str = ENGLISH) -> Country | None:
        """The country of an address, if it has one."""
        found = self.find(address, language)
        return found.country if found is not None else None

    async def watch(self) -> None:
        """Look for a newer file once a minute, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Take the file if it was replaced. A missing or broken one is told once, and the old one stays in use."""
        if self._file is None or (stamp := _stamp(self._file)) == self._seen:
            return
        # The stamp was taken before the reading, so that a file which is still being written is read again next time.
        self._seen = stamp
        try:
            self._reader = _open(self._file)
        except Exception as fault:  # a broken file makes its reader raise almost anything
            log.warning("geoip.kept_old", file=str(self._file), reason=_words(fault))
        else:
            self._fault_told = False
            _tell(self._file, self._reader)


def _stamp(file: Path | None) -> _Stamp | None:
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None


def _open_at_start(file: Path) -> Reader:
    try:
        reader = _open(file)
    except Exception as fault:
        raise Unavailable(
            "shared.geoip.unusable", file=file, fault=_words(fault), code="places_file"
        ) from fault
    _tell(file, reader)
    return reader


def _open(file: Path) -> Reader:
    """Read it whole. Raises OSError, ValueError, and whatever a broken file makes the reader raise."""
    if not file.is_file():  # a pipe would keep us waiting
        raise FileNotFoundError(None, "there is no such file")
    reader = open_database(file, MODE_MEMORY)
    kind = reader.metadata().database_type
    if not any(word in kind for word in KINDS):
        raise ValueError(f"it holds {kind}, not cities or countries")
    return reader


def _tell(file: Path, reader: Reader) -> None:
    about = reader.metadata()
    log.info("geoip.opened", file=str(file), kind=about.database_type, built=about.build_epoch)


def _words(fault: Exception) -> str:
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return str(fault).removesuffix(".") or type(fault).__name__


def _place(record: Any, language: str) -> Place | None:
    if not isinstance(record, Mapping):
        return None
    country = _country(record.get("country"), language)
    names = [_name(record.get("city"), language), country.name if country is not None else ""]
    text = ", ".join(name for name in names if name)
    return Place(text, country) if text else None


def _country(record: Any, language: str) -> Country | None:
    code = record.get("iso_code") if isinstance(record, Mapping) else None
    if not isinstance(code, str) or not (len(code) == 2 and code.isascii() and code.isupper()):
        return None
    return Country(code, _name(record, language) or code)


def _name(record: Any, language: str) -> str:
    """The name in that language, or in English; empty when there is none."""
    names = record.get("names") if isinstance(record, Mapping) else None
    if not isinstance(names, Mapping):
        return ""
    return _clean(names.get(language)) or _clean(names.get(ENGLISH))


def _clean(text: object) -> str:
    return clean_line(text, MAX_NAME) if isinstance(text, str) else ""
