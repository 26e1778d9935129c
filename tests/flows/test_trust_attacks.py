"""Who decides that a key counts, and when it stops: attacked by whoever has an old link, approval, or both.

Each message is said twice, late, and again after the state moved on. What is left standing is what admin has decided,
and what an administrator sees is what wsfed does.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from deploy.standins.phone.authenticator import make_private_key
from deploy.standins.phone.phone import PhoneError
from services.admin import handlers as admin
from services.wsfed import app as wsfed_app
from services.wsfed.domain.trust import TrustedDevice
from services.wsfed.store import DirectoryRepository
from shared.contracts.admin import AuthenticatorChanged, InvitationChanged
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import SignedMessage
from shared.crypto.enrolment import NewDeviceKey, endorse
from shared.crypto.keys import key_from_seed
from shared.ids import SeededIds, b64u
from tests.flows.support import ADA, TENANT, Flow, Phone, assert_no_token, said_active_again, token_form
from tests.flows.test_enrolment_attacks import Link, Thief


@pytest.fixture
async def thief(flow: Flow) -> Thief:
    return Thief(flow, (await flow.account()).id)


def said_since(flow: Flow, since: int) -> list[SignedMessage]:
    """Everything that was on the bus since then, as somebody recorded it, but questions and pages of replication."""
    return [signed for signed in flow.world.bus.sent[since:] if ".state.pull" not in signed.type]


async def twice_and_late(flow: Flow, *recorded: SignedMessage) -> None:
    """Say it all again, twice: at once, and ten minutes later in the other order."""
    for late in (recorded, recorded[::-1]):
        for _ in range(2):
            for signed in late:
                await flow.publish(signed)
        flow.world.clock.advance(600)
        await flow.world.settle()


async def opens_nothing(flow: Flow, phone: Phone) -> None:
    """Neither as a passkey nor by an approval."""
    by_passkey = await flow.begin()
    assert (await by_passkey.passkey(phone)).status == 403
    assert "wresult" not in (await by_passkey.token()).text
    assert not await flow.counts(phone.key)


# --- an invitation that does not hold any more -----------------------------------------------------------------------


async def test_link_used_right_after_a_second_invitation_withdrew_it(flow: Flow) -> None:
    """approval and wsfed have not heard of the withdrawal. The phone would work, and nobody could see or remove it."""
    since = len(flow.world.bus.sent)
    first = await flow.invite()
    flow.world.bus.loses = lambda signed: signed.type == InvitationChanged.TYPE
    second = await flow.invite()
    phone = await flow.bare_phone()
    await phone.enrol(first)
    flow.world.bus.loses = lambda signed: False
    await flow.world.settle()
    await opens_nothing(flow, phone)
    await twice_and_late(flow, *said_since(flow, since))
    await opens_nothing(flow, phone)
    assert await flow.decision(phone.key.device) == ("refused", "withdrawn")
    with pytest.raises(PhoneError) as refused:
        await phone.list()
    assert refused.value.code == "refused"
    assert flow.issuances() == []
    honest = await flow.bare_phone()
    await honest.enrol(second)
    await twice_and_late(flow, *said_since(flow, since))
    await opens_nothing(flow, phone)
    sign_in = await flow.begin()
    await honest.approve(await sign_in.push())
    assert token_form(await sign_in.token())


async def test_expired_invitation_dated_back(flow: Flow, thief: Thief) -> None:
    """An old mail is found, and approval says that the phone was enrolled in time. admin has said that it was used, or
    that it expired, by then: neither makes the key count.
    """
    link = Link.of(await flow.invite())
    said = thief.enrolled(thief.endorsed_by(link))
    flow.world.clock.advance(timedelta(hours=25).total_seconds())
    recorded = flow.world.signer("approval").sign(said, tenant=TENANT)
    for swept in (False, True):
        for _ in range(2):
            await flow.publish(recorded)
            await thief.assert_worth_nothing()
        assert await flow.decision(thief.key.device) == ("refused", "expired")
        if not swept:
            await admin.expire_invitations(flow.admin)
    await twice_and_late(flow, recorded)
    await flow.say("approval", said.model_copy(update={"version": 2}))
    await thief.assert_worth_nothing()


async def test_two_claims_for_one_invitation_of_which_admin_and_wsfed_hear_in_different_order(
    flow: Flow, thief: Thief
) -> None:
    """The key that counts is the one that admin knows, whichever wsfed has heard of first."""
    link = Link.of(await flow.invite())
    hidden = thief.enrolled(thief.endorsed_by(link))
    flow.world.bus.forget("admin")
    await flow.say("approval", hidden)
    await flow.world.bus.consume("admin", flow.world.services["admin"].handlers)
    known = Thief(flow, thief.key.account)
    known.key = replace(
        thief.key,
        credential_id=b64u(flow.world.ids.random_bytes(32)),
        private_key=make_private_key("ES256", SeededIds("known")),
        device="the-known-one",
    )
    await flow.say("approval", known.enrolled(known.endorsed_by(link)))
    await flow.say("approval", hidden.model_copy(update={"version": 2}))
    await twice_and_late(flow, *said_since(flow, 0))
    assert await flow.counts(known.key)
    assert not await flow.counts(thief.key)
    assert await flow.decision(known.key.device) == ("trusted", "")


async def test_clocks_twenty_seconds_apart_lose_no_phone_and_win_none(flow: Flow, thief: Thief) -> None:
    """approval's clock is behind admin's: it enrols ten seconds before the end, which was ten seconds ago for admin."""
    account = await flow.account()
    link = Link.of(await flow.invite())
    end = flow.world.clock.now() + timedelta(hours=24)
    flow.world.clock.advance(timedelta(hours=24, seconds=10).total_seconds())
    said = thief.enrolled(thief.endorsed_by(link), at=end - timedelta(seconds=10))
    for _ in range(2):
        await flow.say("approval", said)
    assert await flow.decision(thief.key.device) == ("trusted", "")
    assert await flow.counts(thief.key)
    assert (await flow.account()).version == account.version + 1


async def test_an_old_link_cannot_have_a_trusted_key_refused(flow: Flow, thief: Thief) -> None:
    """Whoever found an old link, and has approval, has Ada's own key endorsed by it, under every id that he likes."""
    old = Link.of(await flow.invite())
    phone = await flow.phone()
    new = NewDeviceKey(TENANT, phone.key.account, old.id, phone.key.credential_id, phone.key.spki)
    endorsement = thief.endorsed_by(old).model_copy(
        update={"signature": b64u(endorse(key_from_seed(old.seed), new))}
    )
    said = said_active_again(flow, phone).model_copy(update={"endorsement": endorsement})
    since = len(flow.world.bus.sent)
    for device in (phone.key.device, "another"):
        for status in ("active", "removed") if device == "another" else ("active",):
            await flow.say("approval", said.model_copy(update={"device": device, "status": status}))
    await twice_and_late(flow, *said_since(flow, since))
    assert await flow.decision("another") == ("refused", "known_key")
    assert await flow.decision(phone.key.device) == ("trusted", "")
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    assert token_form(await sign_in.token())


async def test_a_phone_that_admin_has_not_confirmed_removes_no_other(flow: Flow) -> None:
    """Whoever has a withdrawn link, and is faster than the news of it, is refused; he takes no phone of Ada's along."""
    mine = await flow.phone()
    since = len(flow.world.bus.sent)
    old = await flow.invite()
    flow.world.bus.loses = lambda signed: signed.type in (InvitationChanged.TYPE, AuthenticatorChanged.TYPE)
    await flow.invite()
    thiefs = await flow.bare_phone()
    await thiefs.enrol(old)
    for _ in range(2):
        with pytest.raises(PhoneError) as refused:
            await thiefs.remove_device(mine.key.device)
        assert refused.value.code == "unconfirmed"
    flow.world.bus.loses = lambda signed: False
    await twice_and_late(flow, *said_since(flow, since))
    assert await flow.decision(thiefs.key.device) == ("refused", "withdrawn")
    assert await flow.decision(mine.key.device) == ("trusted", "")
    assert {each["id"] for each in await mine.devices()} == {mine.key.device}
    sign_in = await flow.begin()
    await mine.approve(await sign_in.push())
    assert token_form(await sign_in.token())


# --- the end of a key ------------------------------------------------------------------------------------------------


async def test_removal_that_approval_ignores(flow: Flow) -> None:
    """approval, taken over, keeps the lost phone alive: as a passkey it needs nobody else."""
    lost = await flow.phone()
    signed_in = await flow.begin()
    await lost.approve(await signed_in.push())
    await signed_in.take()
    since = len(flow.world.bus.sent)
    flow.world.bus.forget("approval")
    await admin.remove_device(flow.admin, TENANT, ADA, lost.key.device)
    await flow.world.settle()
    await opens_nothing(flow, lost)
    url, _ = flow.entra.request(ADA)
    assert "wresult" not in (await signed_in.browser.get(url)).text
    await flow.say("approval", said_active_again(flow, lost))
    await twice_and_late(flow, *said_since(flow, since))
    await opens_nothing(flow, lost)
    assert await flow.decision(lost.key.device) == ("revoked", "administrator")


async def test_late_copy_of_a_removal_of_all_phones_ends_none_that_was_enrolled_since(flow: Flow) -> None:
    await flow.phone()
    since = len(flow.world.bus.sent)
    await admin.remove_device(flow.admin, TENANT, ADA, None)
    await flow.world.settle()
    recorded = said_since(flow, since)
    new = await flow.phone()
    flow.world.clock.advance(timedelta(days=6).total_seconds())
    await twice_and_late(flow, *recorded)
    sign_in = await flow.begin()
    await new.approve(await sign_in.push())
    assert token_form(await sign_in.token())


@pytest.mark.parametrize("rebuilt", [False, True])
async def test_removed_key_comes_back_under_another_id(flow: Flow, rebuilt: bool) -> None:
    """Also after wsfed was rebuilt on an empty database: the tombstone is admin's."""
    lost = await flow.phone()
    await admin.remove_device(flow.admin, TENANT, ADA, lost.key.device)
    await flow.world.settle()
    again = said_active_again(flow, lost).model_copy(update={"device": "another-name", "version": 1})
    if rebuilt:
        await flow.world.restart(wsfed_app.build, "wsfed", empty=True)
        await flow.say("approval", again)  # before anything else is there
        await flow.world.current()
    for version in (1, 1, 2):
        await flow.say("approval", again.model_copy(update={"version": version}))
    await twice_and_late(flow, *said_since(flow, 0))
    for device in (lost.key.device, "another-name"):
        assert not await flow.counts(replace(lost.key, device=device))
    assert await flow.decision("another-name") == ("refused", "known_key")


async def test_removed_phone_stays_removed_when_admins_database_is_put_back(flow: Flow) -> None:
    """The backup says that the lost phone is trusted, in a generation that counts more than the removal."""
    lost = await flow.phone()
    backup = dict(flow.world.databases["admin"].data["authenticators"])
    await admin.remove_device(flow.admin, TENANT, ADA, lost.key.device)
    await flow.world.settle()
    flow.world.databases["admin"].data["authenticators"] |= backup
    await flow.world.databases["admin"].raise_generation(1)
    await flow.world.live(60)
    assert await flow.decision(lost.key.device) == ("trusted", "")  # what the backup says
    await opens_nothing(flow, lost)


async def test_phone_that_says_it_approved_before_admin_decided_waits_and_then_counts(flow: Flow) -> None:
    """Not an attack: the decision is late. Neither the phone nor its sign-in is lost."""
    flow.world.bus.loses = lambda signed: signed.type == DeviceChanged.TYPE
    phone = await flow.phone()
    flow.world.bus.loses = lambda signed: False
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await assert_no_token(sign_in)
    await flow.world.live(20)  # the pulls bring device and decision
    flow.world.clock.advance(10)
    await flow.world.settle()
    assert token_form(await sign_in.token())


async def test_a_decision_that_comes_between_two_looks_at_a_device_refuses_no_approval(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an attack: wsfed looks for the trusted device, then why there is none, and admin's word comes in between."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    challenge = await sign_in.push()
    looked = DirectoryRepository.trusted_device
    looks = 0

    async def a_moment_too_early(directory: DirectoryRepository, *of: str) -> TrustedDevice | None:
        nonlocal looks
        looks += 1
        return None if looks == 1 else await looked(directory, *of)

    monkeypatch.setattr(DirectoryRepository, "trusted_device", a_moment_too_early)
    await phone.approve(challenge)
    flow.world.clock.advance(2)
    await flow.world.settle()
    assert looks > 1
    assert token_form(await sign_in.token())
