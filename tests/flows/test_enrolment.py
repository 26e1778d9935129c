"""docs/flows/enrolment.md, walked: from the invitation to the first sign-in. The numbers are the page's."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deploy.standins.phone.authenticator import BE, BS, UP, UV, Tamper
from deploy.standins.phone.phone import PhoneError
from services.admin import handlers as admin
from shared.contracts.admin import AccountStatus
from shared.crypto.enrolment import NewDeviceKey, is_endorsed
from shared.ids import unb64u
from tests.flows.support import ADA, BOB, TENANT, Flow, token_form


async def test_steps_1_to_8(flow: Flow) -> None:
    account = await flow.account()
    assert account.status == "invited"
    # 1: admin invites; the secret is in the fragment of the link and nowhere else
    link = await flow.invite()
    origin, _, fragment = link.partition("/#i=")
    assert origin == flow.phone_origin
    invitation, _, seed = fragment.partition(".")
    assert len(unb64u(seed)) == 32
    for service in flow.world.databases:
        assert seed not in str(flow.world.databases[service].data), service
    # 2: wsfed and approval know the public key
    (kept,) = flow.world.documents("wsfed", "invitations")
    assert kept["status"] == "open"
    # 3 to 5: the phone makes a key and has it endorsed
    phone = await flow.bare_phone()
    key = await phone.enrol(link)
    assert (key.tenant, key.account, key.upn) == (TENANT, account.id, ADA)
    # 6: wsfed verified the chain itself and keeps this very key
    (device,) = flow.world.documents("wsfed", "devices")
    assert device["public_key"] == key.spki
    assert device["account"] == account.id
    assert not device["removed"]
    # 7: admin verified it too and says that it counts; wsfed and approval have heard it
    assert await flow.decision(key.device) == ("trusted", "")
    (decision,) = flow.world.documents("wsfed", "authenticators")
    assert (decision["status"], decision["credential_id"]) == ("trusted", key.credential_id)
    assert await flow.counts(key)
    (stored,) = flow.world.documents("approval", "accounts")
    assert stored["devices"][key.device]["decision"] == "trusted"
    # 8: admin closed the invitation and the account is active, everywhere
    (kept,) = flow.world.documents("wsfed", "invitations")
    assert kept["status"] == "used"
    assert (await flow.account()).status == "active"
    (known,) = flow.world.documents("wsfed", "accounts")
    assert known["status"] == "active"
    (stored,) = flow.world.documents("approval", "accounts")
    assert stored["status"] == "active"
    assert stored["invitations"][invitation]["status"] == "used"
    assert flow.world.bus.dead_letters == []


async def test_the_first_sign_in_works_before_the_account_is_active(flow: Flow) -> None:
    """The key has its own chain: sign-in does not wait until admin's news are everywhere."""
    phone = await flow.phone()
    account = await flow.account()
    late = replace(account, version=account.version + 1, status=AccountStatus.INVITED)
    await flow.say("admin", late.event())
    (known,) = flow.world.documents("wsfed", "accounts")
    assert known["status"] == "invited"
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    assert token_form(await sign_in.token())


async def test_step_3_opening_the_link_spends_nothing(flow: Flow) -> None:
    """Mail scanners open links, and people open them twice."""
    link = await flow.invite()
    browser = await flow.browser()
    for _ in range(3):
        assert (await browser.get(link)).status == 200
    phone = await flow.bare_phone()
    for _ in range(3):
        begun = await browser.get(f"{flow.phone_origin}/api/enrolments")
        assert begun.status == 405
    await phone.enrol(link)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
@pytest.mark.parametrize("counts", [True, False])
async def test_every_kind_of_key_enrols_and_signs_in(flow: Flow, algorithm: str, counts: bool) -> None:
    phone = await flow.phone(algorithm=algorithm, counts=counts)
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).mfa


async def test_step_6_says_whether_the_key_is_synced(flow: Flow) -> None:
    phone = await flow.bare_phone()
    await phone.enrol(await flow.invite(), tamper=Tamper(flags=UP | UV | BE | BS))
    (stored,) = flow.world.documents("approval", "accounts")
    (device,) = stored["devices"].values()
    assert device["backup_eligible"]
    assert device["backed_up"]


async def test_a_second_phone_by_a_second_invitation(flow: Flow) -> None:
    first, second = await flow.phone(), await flow.phone()
    assert first.key.device != second.key.device
    for phone in (first, second):
        sign_in = await flow.begin()
        await phone.approve(await sign_in.push())
        assert token_form(await sign_in.token())


async def test_removed_phone_signs_nobody_in_and_a_new_one_does(flow: Flow) -> None:
    lost = await flow.phone()
    new = await flow.phone()
    await new.remove_device(lost.key.device)
    sign_in = await flow.begin()
    code = await sign_in.push()
    with pytest.raises(PhoneError):
        await lost.approve(code)
    await new.approve(code)
    assert token_form(await sign_in.token())


async def test_endorsement_as_it_was_sent_verifies_offline(flow: Flow) -> None:
    """What the ledger will be asked for: the chain from the invitation to the key."""
    phone = await flow.phone()
    (invitation,) = flow.world.documents("wsfed", "invitations")
    (account,) = flow.world.documents("approval", "accounts")
    (device,) = account["devices"].values()
    key = phone.key
    name = invitation["_id"].rpartition("/")[2]
    claimed = NewDeviceKey(TENANT, key.account, name, key.credential_id, key.spki)
    assert is_endorsed(invitation["public_key"], claimed, unb64u(device["endorsement"]))


async def test_invitation_lives_24_hours(flow: Flow) -> None:
    link = await flow.invite()
    flow.world.clock.advance(timedelta(hours=24).total_seconds() - 1)
    phone = await flow.bare_phone()
    await phone.enrol(link)
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    assert token_form(await sign_in.token())


async def test_invitation_of_a_new_phone_lives_ten_minutes(flow: Flow) -> None:
    await flow.phone()
    link = await flow.invite()
    flow.world.clock.advance(600)
    with pytest.raises(PhoneError) as caught:
        await (await flow.bare_phone()).enrol(link)
    assert (caught.value.status, caught.value.code) == (410, "invitation")


async def test_each_person_has_their_own_invitation(flow: Flow) -> None:
    await flow.person(BOB)
    ada, bob = await flow.phone(), await flow.phone(BOB)
    assert ada.key.account != bob.key.account
    sign_in = await flow.begin(BOB)
    await bob.approve(await sign_in.push())
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == BOB


async def test_resumed_account_keeps_its_phone(flow: Flow) -> None:
    phone = await flow.phone()
    await admin.suspend(flow.admin, TENANT, ADA)
    await admin.resume(flow.admin, TENANT, ADA)
    await flow.world.settle()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    assert token_form(await sign_in.token())
