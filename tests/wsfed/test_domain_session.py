"""How long a browser is known, whenever the database removes the document."""

from datetime import timedelta

from services.wsfed.domain.authentication import Method, VerifiedAuthentication
from services.wsfed.domain.session import KNOWN_FOR, Session
from tests.world import START


def test_a_browser_is_known_for_ninety_days_after_its_proof() -> None:
    session = Session(
        id="s",
        authentication=VerifiedAuthentication(
            tenant="contoso",
            account="ada",
            method=Method.PASSKEY,
            user_verified=True,
            registered_kiosk=False,
            authenticated_at=START,
        ),
        device="phone",
        ends_at=START + timedelta(hours=8),
        idle_ends_at=START + timedelta(hours=2),
    )
    assert session.makes_known(START + KNOWN_FOR - timedelta(seconds=1))
    assert not session.makes_known(START + KNOWN_FOR)
