"""docs/flows/sign-out-everywhere.md, "Another user name": the person stays the same, whoever gets the old name."""

import pytest

from deploy.standins.phone.phone import PhoneError
from services.admin import handlers as admin
from services.admin.domain.accounts import UNDO
from services.wsfed.domain.session import cookie_name
from shared.errors import BadInput, Conflict
from tests.flows.support import ADA, DOMAIN, TENANT, Flow, token_form
from tests.flows.test_sign_out_everywhere import answered_from_session, sign_in, sign_out

KING = "ada.king@contoso.example"


async def renamed(flow: Flow, upn: str = KING) -> None:
    await admin.rename(flow.admin, TENANT, ADA, upn)
    await flow.world.settle()


async def test_the_new_name_works_with_the_same_phone_and_the_same_immutable_id(flow: Flow) -> None:
    phone = await flow.phone()
    before = await flow.account()
    await renamed(flow)
    made = await flow.begin(KING)
    await phone.approve(await made.push())
    user = await flow.entra.verify(await made.take(), made.pending)
    assert (user.upn, user.immutable_id) == (KING, before.immutable_id)
    (device,) = await admin.list_devices(flow.admin, TENANT, KING)
    assert device.id == phone.key.device


async def test_the_old_name_is_nobodys(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    await renamed(flow)
    assert not await answered_from_session(flow, browser)
    asked = await flow.begin(browser=browser)
    await asked.push()
    assert asked.stored["account"] is None
    assert await phone.list() == []


async def test_old_cookies_never_answer_for_whoever_gets_the_old_name(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    await renamed(flow)
    bob = await flow.person(ADA)
    bobs = await flow.phone(ADA)
    assert cookie_name(TENANT, ADA) in "".join(browser.cookies)  # it is called after the old name
    assert not await answered_from_session(flow, browser)
    asked = await flow.begin(browser=browser)
    code = await asked.push()
    assert asked.stored["account"] == bob.id
    assert await phone.list() == []
    (request,) = await bobs.list()
    assert request.facts["known_browser"] is False  # the browser is known for the other person
    with pytest.raises(PhoneError):
        await phone.approve(code, request)
    await bobs.approve(code, request)
    user = await flow.entra.verify(await asked.take(), asked.pending)
    assert user.immutable_id == bob.immutable_id


async def test_the_cookies_of_the_new_owner_never_answer_for_the_one_before(flow: Flow) -> None:
    """The browser has a session of the new owner under the name that the other person had, and gets it back."""
    await renamed(flow)
    bob = await flow.person(ADA)
    bobs = await flow.phone(ADA)
    browser = (await sign_in(flow, bobs)).browser
    await admin.rename(flow.admin, TENANT, bob.id, "bob@contoso.example")
    await admin.rename(flow.admin, TENANT, KING, ADA)
    await flow.world.settle()
    assert not await answered_from_session(flow, browser)


async def test_a_sign_in_under_way_stays_the_persons_own(flow: Flow) -> None:
    """It was begun and approved under the old name, which somebody else has when the token is made."""
    phone = await flow.phone()
    ada = await flow.account()
    under_way = await flow.begin()
    await phone.approve(await under_way.push())
    await renamed(flow)
    bob = await flow.person(ADA)
    fields = dict(token_form(await under_way.token()).fields)
    assert ada.immutable_id in fields["wresult"]
    assert bob.immutable_id not in fields["wresult"]
    await sign_out(flow, under_way.browser)


async def test_sign_outs_and_removals_reach_the_person_under_the_new_name(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    await renamed(flow)
    await admin.sign_out_everywhere(flow.admin, TENANT, KING)
    await admin.rename(flow.admin, TENANT, KING, ADA)
    await flow.world.settle()
    assert not await answered_from_session(flow, browser)


async def test_a_name_that_is_taken_or_not_the_tenants_is_refused(flow: Flow) -> None:
    await flow.person(KING)
    with pytest.raises(Conflict) as taken:
        await renamed(flow)
    assert taken.value.id == "admin.account.exists"
    with pytest.raises(BadInput):
        await renamed(flow, "ada@evil.example")
    assert (await flow.account()).upn == ADA
    await admin.remove(flow.admin, TENANT, KING)
    with pytest.raises(Conflict) as held:
        await renamed(flow)
    assert held.value.id == "admin.account.removed_holds"
    flow.world.clock.advance(UNDO.total_seconds())
    await admin.finish_removals(flow.admin)
    await renamed(flow)  # free again
    await admin.remove(flow.admin, TENANT, KING)
    removed = next(a for a in flow.world.documents("admin", "accounts") if a["status"] == "removed")
    with pytest.raises(Conflict):
        await admin.rename(flow.admin, TENANT, removed["_id"], f"other@{DOMAIN}")
