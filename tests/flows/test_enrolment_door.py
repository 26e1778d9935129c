"""docs/flows/enrolment.md, steps 3 to 5, attacked at approval's own door: what a phone without a right may try."""

import asyncio
from datetime import timedelta

import pytest

from deploy.standins.phone.authenticator import UP, Key, Tamper
from deploy.standins.phone.phone import PhoneError
from services.admin import handlers as admin
from shared.ids import b64u
from tests.flows.support import ADA, BOB, TENANT, Flow


@pytest.mark.parametrize(
    "tamper",
    [Tamper(flags=UP), Tamper(flags=0), Tamper(origin="https://evil.example"), Tamper(rp_id="evil.example"),
     Tamper(challenge=bytes(32)), Tamper(type="webauthn.get"), Tamper(cross_origin=True),
     Tamper(endorsement=bytes(64)), Tamper(endorsement=b"\0")],
    ids=["without user verification", "without flags", "other origin", "other RP ID", "other challenge",
         "assertion instead of registration", "foreign frame", "forged endorsement", "too short an endorsement"],
)  # fmt: skip
async def test_enrolment_refused(flow: Flow, tamper: Tamper) -> None:
    url = await flow.invite()
    phone = await flow.bare_phone()
    with pytest.raises(PhoneError) as caught:
        await phone.enrol(url, tamper=tamper)
    assert caught.value.status in (400, 403)
    assert flow.world.documents("wsfed", "devices") == []
    assert (await flow.account()).status == "invited"
    await phone.enrol(url)  # the invitation was not spent by the attempt


@pytest.mark.parametrize("why", ["used", "withdrawn", "expired", "suspended", "removed", "unknown"])
async def test_dead_links_all_look_the_same(flow: Flow, why: str) -> None:
    url = await flow.invite()
    match why:
        case "used":
            await (await flow.bare_phone()).enrol(url)
        case "withdrawn":
            await flow.invite()
        case "expired":
            flow.world.clock.advance(timedelta(hours=24).total_seconds())
        case "suspended":
            await admin.suspend(flow.admin, TENANT, ADA)
        case "removed":
            await admin.remove(flow.admin, TENANT, ADA)
        case "unknown":
            url = f"{flow.phone_origin}/#i={b64u(bytes(16))}.{b64u(bytes(32))}"
    await flow.world.settle()
    with pytest.raises(PhoneError) as caught:
        await (await flow.bare_phone()).enrol(url)
    assert (caught.value.status, caught.value.code) == (410, "invitation")
    assert caught.value.problem["detail"] == "This link no longer works."


async def test_two_phones_race_for_one_invitation(flow: Flow) -> None:
    url = await flow.invite()
    phones = [await flow.bare_phone() for _ in range(8)]
    results = await asyncio.gather(*(phone.enrol(url) for phone in phones), return_exceptions=True)
    assert sum(isinstance(result, Key) for result in results) == 1
    assert len(flow.world.documents("wsfed", "devices")) == 1


async def test_credential_id_of_somebody_else_cannot_be_enrolled(flow: Flow) -> None:
    """A copy of Ada's credential id under Bob's account would shadow hers."""
    ada = await flow.phone()
    await flow.person(BOB)
    bob = await flow.bare_phone()
    with pytest.raises(PhoneError) as caught:
        await bob.enrol(await flow.invite(BOB), tamper=Tamper(credential_id=ada.key.credential_id))
    assert caught.value.status == 409
    sign_in = await flow.begin()
    await ada.approve(await sign_in.push())
    await sign_in.take()
