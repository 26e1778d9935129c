"""docs/flows/further-phone.md, step by step, and what attackers try. The numbers are those of the page."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy.standins.phone.authenticator import UP, Key, Tamper
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from services.wsfed.projections import CLAIMS_AT_ONCE
from shared.clock import iso_millis
from shared.contracts.approval import DeviceChanged, Endorsement
from shared.contracts.envelope import Envelope
from shared.crypto.enrolment import NewDeviceKey
from shared.crypto.statement import Purpose, Statement
from shared.ids import b64u, new_id, unb64u
from tests.flows.support import ADA, BOB, TENANT, Flow, Phone, proof_of


def now(flow: Flow) -> str:
    return iso_millis(flow.world.clock.now())


async def further(flow: Flow, phone: SoftPhone) -> Phone:
    """Steps 1 to 7."""
    new = await flow.bare_phone()
    code = await new.bring(await phone.offer())
    await phone.endorse(code, made_at=now(flow))
    await flow.world.settle()
    return new


async def signs_in(flow: Flow, phone: SoftPhone) -> bool:
    made = await flow.begin()
    await phone.approve(await made.push())
    return "wresult" in (await made.token()).text


async def test_steps_1_to_7_a_further_phone_signs_in(flow: Flow) -> None:
    phone = await flow.phone()
    new = await further(flow, phone)
    assert await signs_in(flow, new)
    assert await flow.decision(new.key.device) == ("trusted", "")
    devices = [each["id"] for each in await phone.devices()]
    assert devices == [phone.key.device, new.key.device]
    assert await signs_in(flow, phone)


async def test_the_person_is_told_as_of_any_new_phone(flow: Flow) -> None:
    phone = await flow.phone()
    before = len(flow.sent("wsfed.authenticator.accepted.v1"))
    await further(flow, phone)
    assert len(flow.sent("wsfed.authenticator.accepted.v1")) == before + 1


async def test_a_further_phone_endorses_another_one(flow: Flow) -> None:
    second = await further(flow, await flow.phone())
    third = await further(flow, second)
    assert await signs_in(flow, third)


async def test_steps_3_and_5_the_same_request_again_makes_one_device(flow: Flow) -> None:
    phone, new = await flow.phone(), await flow.bare_phone()
    code = await new.bring(await phone.offer())
    made = await phone.endorse(code, made_at=now(flow))
    offer, _ = phone._offer or ("", b"")
    body = {"statement": "x", "credential": phone.last_credential}
    again = await phone._in_session("POST", f"/offers/{offer}/endorse", body)
    assert again == {"device": made}
    assert len(await phone.devices()) == 2


async def test_step_1_an_unconfirmed_phone_offers_nothing(flow: Flow) -> None:
    flow.world.bus.loses = lambda signed: signed.type == "admin.authenticator.changed.v1"
    phone = await flow.phone()
    with pytest.raises(PhoneError) as refused:
        await phone.offer()
    assert refused.value.code == "unconfirmed"


async def test_step_3_the_first_key_counts(flow: Flow) -> None:
    """Whoever photographed the code was faster: the person's digits do not fit, and nothing is signed."""
    phone, new, thief = await flow.phone(), await flow.bare_phone(), await flow.bare_phone()
    link = await phone.offer()
    code = await thief.bring(link)
    with pytest.raises(PhoneError) as refused:
        await new.bring(link)
    assert refused.value.code == "offer"
    with pytest.raises(LookupError, match="another code"):
        await phone.endorse(f"{(int(code) + 1) % 1_000_000:06}", made_at=now(flow))
    assert len(await phone.devices()) == 1


async def test_step_4_a_key_of_somebody_without_the_secret_is_not_endorsed(flow: Flow) -> None:
    """approval puts a key of its own in the place of the new phone's."""
    phone, thief = await flow.phone(), await flow.bare_phone()
    link = await phone.offer()
    code = await thief.bring(f"{link.rpartition('.')[0]}.{b64u(bytes(32))}")
    with pytest.raises(LookupError, match="has not scanned"):
        await phone.endorse(code, made_at=now(flow))


@pytest.mark.parametrize("end", ["over", "removed", "suspended", "signed out"])
async def test_step_5_too_late(flow: Flow, end: str) -> None:
    phone, new = await flow.phone(), await flow.bare_phone()
    code = await new.bring(await phone.offer())
    match end:
        case "over":
            flow.world.clock.advance(601)
            await flow.world.current()
        case "removed":
            await admin.remove_device(flow.admin, TENANT, ADA, phone.key.device)
        case "suspended":
            await admin.suspend(flow.admin, TENANT, ADA)
        case _:  # the phones stay
            await admin.sign_out_everywhere(flow.admin, TENANT, ADA)
    await flow.world.settle()
    with pytest.raises((PhoneError, LookupError)):
        await phone.endorse(code, made_at=now(flow))
    assert len([d for d in await admin.list_devices(flow.admin, TENANT, ADA) if d.may_count]) <= 1


@pytest.mark.parametrize(
    "tamper",
    [
        Tamper(flags=UP),
        Tamper(origin="https://evil.example"),
        Tamper(rp_id="evil.example"),
        Tamper(challenge=bytes(32)),
        Tamper(statement={"new_key": b64u(bytes(32))}),
        Tamper(statement={"purpose": Purpose.SESSION}),
        Tamper(statement={"server_nonce": b64u(bytes(32))}),
        Tamper(statement={"made_at": "yesterday"}),
        Tamper(statement={"made_at": None}),
        Tamper(statement={"made_at": "2026-03-02T07:00:00.000Z"}),
    ],
    ids=str,
)
async def test_step_5_refuses_what_is_no_endorsement_of_that_key_now(flow: Flow, tamper: Tamper) -> None:
    phone, new = await flow.phone(), await flow.bare_phone()
    code = await new.bring(await phone.offer())
    with pytest.raises(PhoneError) as refused:
        await phone.endorse(code, made_at=now(flow), tamper=tamper)
    assert refused.value.status == 403
    assert len(await phone.devices()) == 1


async def test_another_phone_or_person_neither_sees_nor_endorses_an_offer(flow: Flow) -> None:
    await flow.person(BOB)
    phone, bob, new = await flow.phone(), await flow.phone(BOB), await flow.bare_phone()
    second = await flow.phone()
    code = await new.bring(await phone.offer())
    for other in (bob, second):
        other._offer = phone._offer
        with pytest.raises(PhoneError) as refused:
            await other.endorse(code, made_at=now(flow))
        assert refused.value.code == "offer"


# --- what a taken-over approval says on the bus


def endorsed(flow: Flow, signer: Key, new: Key, *, made_at: str = "", **other: Any) -> DeviceChanged:
    """A further phone's event, with that phone's true endorsement. `other`: fields of the event that differ."""
    offer, nonce = new_id(flow.world.ids), b64u(bytes(32))
    named = NewDeviceKey(signer.tenant, signer.account, offer, new.credential_id, new.spki)
    statement = Statement(
        purpose=Purpose.ENDORSE,
        origin=signer.origin,
        rp_id=signer.rp_id,
        nonce=nonce,
        server_nonce=nonce,
        new_key=named.digest(),
        made_at=made_at or now(flow),
    )
    honest = DeviceChanged(
        version=1,
        device=new_id(flow.world.ids),
        account=signer.account,
        credential_id=new.credential_id,
        public_key=b64u(new.spki),
        endorsement=Endorsement(
            kind="authenticator",
            by=signer.device,
            offer=offer,
            server_nonce=nonce,
            proof=proof_of(signer, statement.text()),
        ),
        enrolled_at=flow.world.clock.now(),
        status="active",
    )
    return honest.model_copy(update=other)


async def new_key(flow: Flow, of: SoftPhone) -> Key:
    """A key that no server has seen."""
    phone = await flow.bare_phone()
    return phone._new_key(of.key.origin, {"tenant": TENANT, "account": of.key.account, "upn": ADA}, Tamper())


async def said(flow: Flow, message: DeviceChanged) -> None:
    """Twice, and late."""
    for later in (0, 0, 60):
        flow.world.clock.advance(later)
        await flow.say("approval", message)


async def counts(flow: Flow, message: DeviceChanged, key: Key) -> bool:
    return await flow.counts(replace(key, device=message.device))


async def test_honest_endorsement_counts_whatever_order_it_comes_in(flow: Flow) -> None:
    """So that the attacks below fail for the reason that they name."""
    phone = await flow.phone()
    key = await new_key(flow, phone)
    message = endorsed(flow, phone.key, key)
    await said(flow, message)
    assert await counts(flow, message, key)


@pytest.mark.parametrize(
    "lie",
    ["another key", "another offer", "another nonce", "no proof", "his own signature", "as an invitation's"],
)
async def test_taken_over_approval_makes_up_an_endorsement(flow: Flow, lie: str) -> None:
    phone = await flow.phone()
    key, own = await new_key(flow, phone), await new_key(flow, phone)
    message = endorsed(flow, phone.key, key)
    true = message.endorsement
    match lie:
        case "another key":
            update: dict[str, Any] = {"public_key": b64u(own.spki)}
            key = replace(own, credential_id=key.credential_id)
        case "another offer":
            update = {"endorsement": true.model_copy(update={"offer": "other"})}
        case "another nonce":
            update = {"endorsement": true.model_copy(update={"server_nonce": "AAAA"})}
        case "no proof":
            update = {"endorsement": true.model_copy(update={"proof": None})}
        case "his own signature":
            forged = endorsed(flow, replace(own, device=phone.key.device), key)
            update = {"endorsement": forged.endorsement, "device": forged.device}
        case _:
            update = {"endorsement": true.model_copy(update={"kind": "invitation"})}
    message = message.model_copy(update=update)
    await said(flow, message)
    assert not await counts(flow, message, key)
    assert await flow.decision(message.device) is None


async def test_phone_of_another_account_endorses_nothing(flow: Flow) -> None:
    await flow.person(BOB)
    ada, bob = await flow.phone(), await flow.phone(BOB)
    key = await new_key(flow, bob)
    account = (await flow.account()).id
    for signer in (
        bob.key,
        replace(bob.key, account=account),
        replace(bob.key, account=account, device=ada.key.device),
    ):
        message = endorsed(flow, signer, key, account=account)
        await said(flow, message)
        assert not await counts(flow, message, replace(key, account=account))
    assert len([d for d in await admin.list_devices(flow.admin, TENANT, ADA) if d.may_count]) == 1


async def test_endorsement_is_worth_nothing_after_its_phone_was_removed(flow: Flow) -> None:
    """approval kept it back."""
    phone, kept = await flow.phone(), await flow.phone()
    key = await new_key(flow, phone)
    message = endorsed(flow, phone.key, key)
    await admin.remove_device(flow.admin, TENANT, ADA, phone.key.device)
    await flow.world.settle()
    await said(flow, message)
    assert not await counts(flow, message, key)
    assert await flow.decision(message.device) == ("refused", "endorser")
    assert await flow.counts(kept.key)


@pytest.mark.parametrize("refused_as", ["suspended", "dated ahead"])
async def test_endorsement_that_was_refused_is_not_tried_again_under_another_id(
    flow: Flow, refused_as: str
) -> None:
    phone = await flow.phone()
    key = await new_key(flow, phone)
    ahead = timedelta(minutes=16 if refused_as == "dated ahead" else 0)
    message = endorsed(flow, phone.key, key, made_at=iso_millis(flow.world.clock.now() + ahead))
    if refused_as == "suspended":
        await admin.suspend(flow.admin, TENANT, ADA)
        await flow.world.settle()
    await flow.say("approval", message)
    if refused_as == "suspended":
        await admin.resume(flow.admin, TENANT, ADA)
        await flow.world.settle()
    flow.world.clock.advance(120)  # now the time in it is one that counts
    again = message.model_copy(update={"device": "again"})
    await flow.say("approval", again)
    assert await flow.decision(message.device) is not None
    assert not await counts(flow, again, key)
    assert await flow.decision("again") == ("refused", "known_key")


@pytest.mark.parametrize("minutes", [-16, 16])
async def test_endorsement_that_was_kept_back_or_dated_ahead_is_refused(flow: Flow, minutes: int) -> None:
    phone = await flow.phone()
    key = await new_key(flow, phone)
    made_at = iso_millis(flow.world.clock.now() + timedelta(minutes=minutes))
    message = endorsed(flow, phone.key, key, made_at=made_at)
    await said(flow, message)
    assert not await counts(flow, message, key)
    assert await flow.decision(message.device) == ("refused", "expired")


async def test_removed_key_does_not_come_back_as_a_further_phone(flow: Flow) -> None:
    phone, lost = await flow.phone(), await flow.phone()
    await admin.remove_device(flow.admin, TENANT, ADA, lost.key.device)
    await flow.world.settle()
    message = endorsed(flow, phone.key, lost.key)
    await said(flow, message)
    assert not await counts(flow, message, lost.key)
    assert await flow.decision(message.device) == ("refused", "known_key")


async def test_phone_that_admin_does_not_know_heads_no_chain(flow: Flow) -> None:
    """approval says of a device that it was removed, which needs no chain, and then lets that device endorse."""
    phone = await flow.phone()
    own, key = await new_key(flow, phone), await new_key(flow, phone)
    own = replace(own, device=new_id(flow.world.ids))
    gone = endorsed(flow, phone.key, own, device=own.device, status="removed")
    await said(flow, gone.model_copy(update={"endorsement": Endorsement(kind="invitation", by="none")}))
    message = endorsed(flow, own, key)
    await said(flow, message)
    assert not await counts(flow, message, key)
    assert await flow.decision(message.device) is None


async def test_suspended_person_gets_no_further_phone(flow: Flow) -> None:
    phone = await flow.phone()
    key = await new_key(flow, phone)
    message = endorsed(flow, phone.key, key)
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    await said(flow, message)
    await admin.resume(flow.admin, TENANT, ADA)
    await flow.world.settle()
    await said(flow, message)
    assert not await counts(flow, message, key)


async def test_phone_that_was_endorsed_stays_when_its_endorser_goes(flow: Flow) -> None:
    phone = await flow.phone()
    new = await further(flow, phone)
    await admin.remove_device(flow.admin, TENANT, ADA, phone.key.device)
    await flow.world.settle()
    assert await signs_in(flow, new)


async def test_removed_further_phone_is_gone(flow: Flow) -> None:
    phone = await flow.phone()
    new = await further(flow, phone)
    assert await signs_in(flow, new)
    await admin.remove_device(flow.admin, TENANT, ADA, new.key.device)
    await flow.world.settle()
    made = await flow.begin()
    await made.push()
    with pytest.raises(PhoneError):
        await new.list()
    assert await made.state() == "push_waiting"
    (told,) = [
        event
        for signed in flow.sent("approval.device.changed.v1")
        if (event := DeviceChanged.model_validate(Envelope.model_validate_json(signed.body).body)).device
        == new.key.device
        and event.status == "active"
    ]
    again = told.model_copy(update={"device": "again", "version": 9})
    await said(flow, again)
    assert not await counts(flow, again, new.key)
    assert unb64u(told.public_key) == new.key.spki


async def test_chain_of_phones_in_the_wrong_order_is_decided_up_to_a_limit(flow: Flow) -> None:
    """Each key waits for the one that endorsed it. approval and a phone are enough to make as many as he likes."""
    phone = await flow.phone()
    signer, chain = phone.key, []
    for _ in range(CLAIMS_AT_ONCE + 5):
        key = await new_key(flow, phone)
        chain.append(endorsed(flow, signer, key))
        signer = replace(key, device=chain[-1].device)
    for message in reversed(chain):
        await flow.say("approval", message)
    assert len(flow.world.documents("wsfed", "claims")) == len(chain) - 1 - CLAIMS_AT_ONCE
