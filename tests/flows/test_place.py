"""The place of the browser: from the operator's file, in the language of its page, shown on the phone and signed."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.approval.routes import api as phone_side
from shared.errors import Unavailable
from shared.web import inputs
from tests.flows.support import Flow, start_flow
from tests.mmdb import COLOGNE_ADDRESS, LYON_ADDRESS, write_places


@dataclass
class Addresses:
    """Where browser and phone are, as a trusted proxy would have told."""

    browser: str = LYON_ADDRESS
    phone: str = LYON_ADDRESS


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Addresses:
    made = Addresses()
    monkeypatch.setattr(inputs, "client_address", lambda request, proxies: made.browser)
    monkeypatch.setattr(phone_side, "client_address", lambda request, proxies: made.phone)
    return made


@pytest.fixture
async def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Flow]:
    monkeypatch.setenv("BLOK365_PLACES_FILE", str(write_places(tmp_path / "places.mmdb")))
    async with start_flow(tmp_path) as started:
        yield started


@pytest.mark.parametrize(("locale", "place"), [("fr-FR", "Lyon, France"), ("en-GB", "Lyons, France")])
async def test_place_is_shown_and_signed(flow: Flow, addresses: Addresses, locale: str, place: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin(mkt=locale)
    code = await sign_in.push()
    (request,) = await phone.list()
    assert request.facts["place"] == place
    assert request.facts["address"] == LYON_ADDRESS
    assert request.country_differs is None
    await phone.approve(code, request)
    assert await sign_in.state() == "proved"
    assert json.loads(sign_in.stored["proof"]["context"])["place"] == place


async def test_two_countries_are_told_to_the_phone(flow: Flow, addresses: Addresses) -> None:
    addresses.phone = COLOGNE_ADDRESS
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.push()
    (request,) = await phone.list()
    assert request.country_differs == {"browser": "France", "phone": "Germany"}


async def test_private_address_stands_alone(flow: Flow, addresses: Addresses) -> None:
    addresses.browser = "10.0.0.7"
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.push()
    (request,) = await phone.list()
    assert (request.facts["place"], request.facts["address"]) == ("", "10.0.0.7")


async def test_start_is_refused_without_the_file_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOK365_PLACES_FILE", str(tmp_path / "missing.mmdb"))
    with pytest.raises(Unavailable, match=r"missing\.mmdb, cannot be used: there is no such file"):
        async with start_flow(tmp_path):
            pass
