"""docs/flows/enrolment.md, lost phone: an administrator removes it, and what it opened is over."""

import pytest

from deploy.standins.phone.phone import PhoneError
from services.admin import handlers as admin
from shared.errors import Conflict, NotFound
from tests.flows.support import ADA, BOB, TENANT, BrowserWindow, Flow, SignIn, token_form


async def removed(flow: Flow, phone: str | None, upn: str = ADA) -> None:
    await admin.remove_device(flow.admin, TENANT, upn, phone)
    await flow.world.settle()


async def in_use(flow: Flow) -> list[str]:
    return [phone.id for phone in await admin.list_devices(flow.admin, TENANT, ADA) if phone.may_count]


async def test_administrator_sees_phones_by_name(flow: Flow) -> None:
    phone = await flow.bare_phone()
    await phone.enrol(await flow.invite(), name="Ada's phone")
    (seen,) = await admin.list_devices(flow.admin, TENANT, ADA)
    assert (seen.name, seen.id, seen.status) == ("Ada's phone", phone.key.device, "trusted")


async def test_removed_phone_is_told_off_and_its_sessions_answer_no_more(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await sign_in.take()
    url, _ = flow.entra.request(ADA)
    assert (
        "wresult" in (await sign_in.browser.get(url)).text
    )  # the session answers, as long as the phone is there
    await removed(flow, phone.key.device)
    assert await in_use(flow) == []
    (seen,) = await admin.list_devices(flow.admin, TENANT, ADA)
    assert (seen.status, seen.reason) == ("revoked", "administrator")
    again = await flow.begin(browser=sign_in.browser)
    assert "wresult" not in (await again.page()).text
    code = await again.push()
    with pytest.raises(PhoneError) as refused:
        await phone.approve(code)
    assert refused.value.code in ("device_removed", "unknown_device")
    assert len(flow.issuances()) == 2


async def test_person_enrols_again_after_a_removal(flow: Flow) -> None:
    lost = await flow.phone()
    await removed(flow, None)
    new = await flow.phone()
    sign_in = await flow.begin()
    await new.approve(await sign_in.push())
    user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
    assert user.upn == ADA
    assert await in_use(flow) == [new.key.device]
    assert lost.key.device != new.key.device


async def test_administrator_cannot_remove_another_persons_phone(flow: Flow) -> None:
    await flow.person(BOB)
    bob = await flow.phone(BOB)
    await flow.phone()
    with pytest.raises(NotFound):
        await admin.remove_device(flow.admin, TENANT, ADA, bob.key.device)
    await flow.tenant("fabrikam", "fabrikam.example")
    with pytest.raises(NotFound):
        await admin.remove_device(flow.admin, "fabrikam", BOB, bob.key.device)
    assert await bob.list() == []  # it still works


async def test_nothing_to_remove_is_said(flow: Flow) -> None:
    with pytest.raises(Conflict):
        await admin.remove_device(flow.admin, TENANT, ADA, None)


async def test_person_removes_a_phone_and_admin_has_verified_that_it_was_the_person(flow: Flow) -> None:
    lost, kept = await flow.phone(), await flow.phone()
    await kept.remove_device(lost.key.device)
    assert await flow.decision(lost.key.device) == ("revoked", "person")
    assert await in_use(flow) == [kept.key.device]
    assert not await flow.counts(lost.key)
    assert flow.reasons("admin") == []


async def test_suspension_keeps_phones_for_the_day_it_ends(flow: Flow) -> None:
    phone = await flow.phone()
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    with pytest.raises(PhoneError):
        await phone.list()
    await admin.resume(flow.admin, TENANT, ADA)
    await flow.world.settle()
    assert await phone.list() == []


async def test_administrator_ends_a_freeze(flow: Flow) -> None:
    phone = await flow.phone()
    await (await flow.begin()).push()
    await phone.not_me()
    (account,) = flow.world.documents("approval", "accounts")
    assert account["frozen_at"] is not None
    await admin.unfreeze(flow.admin, TENANT, ADA)
    await flow.world.settle()
    (account,) = flow.world.documents("approval", "accounts")
    assert account["frozen_at"] is None
    assert {e["what"] for e in flow.world.documents("admin", "errands")} == {"unfreeze"}


async def test_a_passkey_leaves_the_freeze_and_a_qr_code_ends_it(flow: Flow) -> None:
    """docs/divergences.md: approval, which keeps the freeze, never hears of a passkey on the sign-in page."""
    phone = await flow.phone()
    await (await flow.begin()).push()
    await phone.not_me()
    by_passkey = await flow.begin()
    assert (await by_passkey.passkey(phone)).status == 200
    assert token_form(await by_passkey.token())
    (account,) = flow.world.documents("approval", "accounts")
    assert account["frozen_at"] is not None
    by_code = await flow.begin()
    code = await by_code.qr()
    request = await phone.scan(f"{flow.phone_origin}/#q={by_code.stored['challenge']['handle']}")
    await phone.approve(code, request)
    (account,) = flow.world.documents("approval", "accounts")
    assert account["frozen_at"] is None


async def test_browser_that_a_removed_phone_made_known_is_a_stranger(flow: Flow) -> None:
    """A thief who signed in once with the unlocked phone keeps nothing of it when the phone is removed."""
    stolen = await flow.phone()
    thief = await flow.begin()
    await stolen.approve(await thief.push())
    await thief.take()
    known = await flow.begin(browser=await _signed_out(flow, thief))
    assert "data-code" not in (await known.post("qr")).text  # known: no number is asked for
    await removed(flow, stolen.key.device)
    new = await flow.phone()
    await new.turn_on_notifications()
    again = await flow.begin(browser=thief.browser)
    assert "data-autostart" not in (await again.page()).text
    await again.push()
    (request,) = await new.list()
    assert request.facts["known_browser"] is False
    await new.not_me(request)
    once_more = await flow.begin(browser=thief.browser)
    await once_more.push()
    (account,) = flow.world.documents("approval", "accounts")
    asked = [c for c in account["challenges"].values() if c["state"] == "open"]
    assert [c["silenced"] for c in asked] == [True]  # "Not me" counts for it as for every stranger


async def _signed_out(flow: Flow, sign_in: SignIn) -> BrowserWindow:
    """The same browser without a live session: it stays known for the account."""
    await sign_in.browser.get(f"{flow.origin}/t/{TENANT}/wsfed?wa=wsignout1.0")
    return sign_in.browser
