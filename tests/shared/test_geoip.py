"""Where addresses seem to be: languages, files that are missing, broken, replaced, hostile."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shared.clock import ManualClock
from shared.errors import Unavailable
from shared.geoip import LOOK_EVERY, Country, GeoIp, Place
from shared.settings import Settings
from tests.mmdb import (
    COLOGNE_ADDRESS,
    FRANCE,
    IPV6_ADDRESS,
    LYON_ADDRESS,
    NOWHERE_ADDRESS,
    RECORDS,
    SPAIN_ADDRESS,
    database,
    write_places,
)
from tests.world import START


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_places(tmp_path / "places.mmdb")


def places(file: Path | None) -> GeoIp:
    return GeoIp(file, ManualClock(START))


def of_one(tmp_path: Path, record: Any) -> Place | None:
    """What a file with that record says."""
    return places(write_places(tmp_path / "one.mmdb", {"2.0.0.0/16": record})).find(LYON_ADDRESS)


# --- what is found ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "language", "text", "code"),
    [
        (LYON_ADDRESS, "en", "Lyons, France", "FR"),
        (LYON_ADDRESS, "fr", "Lyon, France", "FR"),
        (COLOGNE_ADDRESS, "fr", "Cologne, Allemagne", "DE"),  # each name in English where French is missing
        (COLOGNE_ADDRESS, "xx", "Cologne, Germany", "DE"),
        (SPAIN_ADDRESS, "fr", "Spain", "ES"),
        (f"::ffff:{LYON_ADDRESS}", "fr", "Lyon, France", "FR"),
        (IPV6_ADDRESS, "en", "France", "FR"),
    ],
)
def test_place_in_the_language_of_the_page(
    file: Path, address: str, language: str, text: str, code: str
) -> None:
    found = places(file).find(address, language)
    assert found is not None
    assert found.text == text
    assert found.country is not None
    assert found.country.code == code


def test_country_alone(file: Path) -> None:
    assert places(file).country(COLOGNE_ADDRESS, "fr") == Country("DE", "Allemagne")
    assert places(file).country(NOWHERE_ADDRESS) is None


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "127.0.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fd00::1", "::1", "fe80::1"],
)
def test_private_address_has_no_place_whatever_the_file_says(tmp_path: Path, address: str) -> None:
    everywhere = {"0.0.0.0/1": {"country": FRANCE}, "128.0.0.0/1": {"country": FRANCE}}
    everywhere |= {"8000::/1": {"country": FRANCE}, "4000::/2": {"country": FRANCE}}
    assert places(write_places(tmp_path / "all.mmdb", everywhere)).find(address) is None


@pytest.mark.parametrize("address", ["", "unknown", "2.0.0", "2.0.0.17:443", "é", "2.0.0.17\n", "%00"])
def test_what_is_no_address_has_no_place(file: Path, address: str) -> None:
    assert places(file).find(address) is None


def test_without_a_file_nothing_has_a_place() -> None:
    nowhere = places(None)
    nowhere.look()
    assert nowhere.find(LYON_ADDRESS) is None


def test_file_of_ipv4_alone_has_no_ipv6_places(tmp_path: Path) -> None:
    only = {"2.0.0.0/16": RECORDS["2.0.0.0/16"]}
    found = places(write_places(tmp_path / "four.mmdb", only, ip_version=4))
    assert found.find(LYON_ADDRESS) is not None
    with capture_logs() as said:
        assert found.find(IPV6_ADDRESS) is None
    assert said == []


def test_file_of_countries(tmp_path: Path) -> None:
    file = write_places(tmp_path / "c.mmdb", {"2.0.0.0/16": {"country": FRANCE}}, kind="GeoLite2-Country")
    assert places(file).find(LYON_ADDRESS) == Place("France", Country("FR", "France"))


# --- what a file may hold -----------------------------------------------------------------------------------------


def named(city: Any, country: Any = FRANCE) -> dict[str, Any]:
    return {"city": {"names": {"en": city}}, "country": country}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ly\x00on\x1b[31m\r\n", "Ly on [31m"),
        ("\u202eecnarF\u2066", "ecnarF"),  # nothing may turn the reading direction of what follows
        ("a\u2028b\u200bc", "a b c"),
        ("x" * 5000, "x" * 60),
        ("  Saint\u00a0Étienne  ", "Saint Étienne"),
        ("<b>Lyon</b>", "<b>Lyon</b>"),  # text stays text: every page escapes
    ],
)
def test_text_of_the_file_is_one_short_line_without_control_characters(
    tmp_path: Path, name: str, shown: str
) -> None:
    found = of_one(tmp_path, named(name))
    assert found is not None
    assert found.text == f"{shown}, France"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("Lyon", None),
        ([], None),
        ({}, None),
        ({"city": "Lyon", "country": "France"}, None),
        ({"city": {"names": ["Lyon"]}, "country": {"iso_code": 33}}, None),
        (named(33, {"iso_code": "fr", "names": {}}), None),
        (named("Lyon", {"iso_code": "FRA"}), Place("Lyon", None)),
        (named("\x00"), Place("France", Country("FR", "France"))),
        (named("Lyon", {"iso_code": "FR"}), Place("Lyon, FR", Country("FR", "FR"))),
    ],
)
def test_record_of_another_shape_gives_what_it_can(tmp_path: Path, record: Any, expected: Any) -> None:
    assert of_one(tmp_path, record) == expected


# --- a file that is missing or broken -----------------------------------------------------------------------------


def break_tail(data: bytes) -> bytes:
    return data[:-40]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: b"", ""),
        (lambda data: b"<!DOCTYPE html><title>Sign in to download</title>", "valid MaxMind DB"),
        (lambda data: data[: len(data) // 2], "valid MaxMind DB"),
        (break_tail, ""),
        (lambda data: database(RECORDS, kind="GeoLite2-ASN"), "GeoLite2-ASN, not cities or countries"),
        (None, "no such file"),
    ],
)
def test_start_is_refused_in_words(file: Path, damage: Callable[[bytes], bytes] | None, says: str) -> None:
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(Unavailable) as refused:
        places(file)
    assert refused.value.code == "places_file"
    assert f"The file of places, {file}, cannot be used: " in refused.value.detail
    assert says in refused.value.detail
    assert "BLOK365_PLACES_FILE" in refused.value.remedy


def test_start_is_refused_for_a_folder_and_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    for file in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(Unavailable, match="no such file"):
            places(file)


def test_damage_that_shows_only_in_a_lookup_is_told_once(file: Path) -> None:
    damaged = file.read_bytes().replace(
        b"\x44city", b"\x5fcity"
    )  # a length that runs over everything behind it
    assert damaged != file.read_bytes()
    file.write_bytes(damaged)
    found = places(file)
    with capture_logs() as said:
        for _ in range(3):
            assert found.find(LYON_ADDRESS) is None
    assert [line["event"] for line in said] == ["geoip.fault"]


WHOLE = database(RECORDS)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_damage_makes_a_lookup_raise(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.mmdb"
    file.write_bytes(whole)
    try:
        found = places(file)
    except Unavailable:
        return
    for address in (LYON_ADDRESS, COLOGNE_ADDRESS, IPV6_ADDRESS, "255.1.1.1"):
        place = found.find(address)
        assert place is None or place.text.isprintable()


# --- a file that is replaced --------------------------------------------------------------------------------------


def test_replaced_file_is_taken(file: Path) -> None:
    found = places(file)
    write_places(file, {"2.0.0.0/16": named("Villeurbanne")})
    assert found.find(LYON_ADDRESS, "fr") == Place("Lyon, France", Country("FR", "France"))
    found.look()
    assert found.find(LYON_ADDRESS, "fr") == Place("Villeurbanne, France", Country("FR", "France"))


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:900], None])
def test_broken_or_missing_replacement_keeps_the_old_one_and_is_told_once(
    file: Path, damage: Callable[[bytes], bytes] | None
) -> None:
    found, whole = places(file), file.read_bytes()
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(whole))  # into the same file: what was read from it must not change
    with capture_logs() as said:
        for _ in range(3):
            found.look()
            assert found.find(LYON_ADDRESS, "fr") == Place("Lyon, France", Country("FR", "France"))
    assert [line["event"] for line in said] == ["geoip.kept_old"]
    write_places(file, {"2.0.0.0/16": named("Villeurbanne")})
    found.look()
    now = found.find(LYON_ADDRESS)
    assert now is not None
    assert now.text == "Villeurbanne, France"


def test_unchanged_file_is_not_read_again(file: Path) -> None:
    found = places(file)
    with capture_logs() as said:
        found.look()
    assert said == []


async def test_looks_once_a_minute(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, looks = ManualClock(START), 0
    found = GeoIp(file, clock)
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        nonlocal looks
        looks += 1
        loop.call_soon_threadsafe(looked.set)

    monkeypatch.setattr(found, "look", look)
    task = asyncio.create_task(found.watch())
    await asyncio.sleep(0)
    clock.advance(LOOK_EVERY - 1)
    await asyncio.sleep(0)
    assert looks == 0
    clock.advance(1)
    await asyncio.wait_for(looked.wait(), 10)
    assert looks == 1
    task.cancel()


# --- the setting --------------------------------------------------------------------------------------------------


def test_empty_setting_means_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOK365_PLACES_FILE", "")
    assert Settings().places_file is None
    monkeypatch.setenv("BLOK365_PLACES_FILE", "/srv/city.mmdb")
    assert Settings().places_file == Path("/srv/city.mmdb")
