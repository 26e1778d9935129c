"""Two countries at once: said in words when the operator's file knows both, and only then."""

from pathlib import Path

import pytest

from services.approval.handlers import challenges
from services.approval.handlers.challenges import TwoCountries
from tests.approval.support import Approval, make_approval
from tests.mmdb import COLOGNE_ADDRESS, IPV6_ADDRESS, LYON_ADDRESS, NOWHERE_ADDRESS, write_places


@pytest.mark.parametrize(
    ("browser", "phone", "language", "expected"),
    [
        (LYON_ADDRESS, COLOGNE_ADDRESS, "en", TwoCountries(browser="France", phone="Germany")),
        (COLOGNE_ADDRESS, LYON_ADDRESS, "fr", TwoCountries(browser="Allemagne", phone="France")),
        (LYON_ADDRESS, IPV6_ADDRESS, "en", None),  # another network, the same country
        (LYON_ADDRESS, NOWHERE_ADDRESS, "en", None),
        ("10.0.0.1", LYON_ADDRESS, "en", None),
        ("", "unknown", "en", None),
    ],
)
async def test_different_countries_are_told_in_words_when_both_are_known(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    browser: str,
    phone: str,
    language: str,
    expected: TwoCountries | None,
) -> None:
    monkeypatch.setenv("BLOK365_PLACES_FILE", str(write_places(tmp_path / "places.mmdb")))
    approval = await make_approval(tmp_path)
    handset = await approval.phone()
    await approval.ask(address=browser)
    (found,) = await challenges.list_requests(approval.deps, await handset.who(), phone, language)
    assert found.country_differs == expected
    asked = await approval.ask(address=browser, method="qr")
    found = await challenges.request_by_handle(
        approval.deps, await handset.who(), asked.handle or "", phone, language
    )
    assert found.country_differs == expected


async def test_without_a_file_of_places_no_country_is_told(approval: Approval) -> None:
    handset = await approval.phone()
    await approval.ask(address=LYON_ADDRESS)
    (found,) = await challenges.list_requests(approval.deps, await handset.who(), COLOGNE_ADDRESS)
    assert found.country_differs is None
    assert found.network_differs
