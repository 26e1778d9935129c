"""Enrolment (docs/flows/enrolment.md, steps 2 to 6) and the attacks on it."""

import asyncio
from dataclasses import fields, replace
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest

from deploy.standins.phone.authenticator import UP, Key, Tamper, attestation
from services.approval.handlers import enrolment, sessions
from services.approval.handlers.enrolment import tidy_name
from services.approval.ports import Ceremony
from shared.contracts.admin import AccountStatus
from shared.crypto.enrolment import FirstSession, NewDeviceKey, endorse, is_endorsed
from shared.crypto.keys import key_from_seed, raw_public
from shared.crypto.statement import Purpose
from shared.errors import Conflict, Forbidden, Gone, NotAuthenticated, Unavailable
from shared.ids import b64u, new_secret, unb64u
from tests.approval.support import Approval, Phone, replica


async def invited(approval: Approval, account: str = "ada", hours: float = 24) -> str:
    await approval.account(account, status=AccountStatus.INVITED)
    return await approval.invitation(account, hours=hours)


def attested(phone: Phone, begun: Ceremony, key: Key) -> tuple[str, dict[str, Any]]:
    """A true statement, and a registration of that key over it."""
    statement = phone.statement(begun)
    return statement.text(), attestation(key, statement.digest())


async def test_new_device_is_told_with_its_chain(approval: Approval) -> None:
    fragment = await invited(approval)
    invitation, _, seed = fragment.partition(".")
    phone = Phone(approval)
    await phone.enrol(fragment, name="  Ada's\tphone\n")
    (told,) = await approval.devices_told()
    assert (told.account, told.version, told.status, told.name) == ("ada", 1, "active", "Ada's phone")
    assert unb64u(told.public_key) == phone.key.spki
    assert (told.endorsement.kind, told.endorsement.by) == ("invitation", invitation)
    device = NewDeviceKey("contoso", "ada", invitation, told.credential_id, unb64u(told.public_key))
    public = raw_public(key_from_seed(unb64u(seed)))
    assert is_endorsed(public, device, unb64u(told.endorsement.signature))


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
async def test_enrolled_phone_can_approve_at_once(approval: Approval, algorithm: str) -> None:
    fragment = await invited(approval)
    phone = Phone(approval, algorithm=algorithm)  # type: ignore[arg-type]
    await phone.enrol(fragment)
    asked = await approval.ask()  # admin's "active" has not come yet
    await phone.approve(asked)
    assert approval.state(asked) == "accepted"


async def test_options_do_not_spend_the_invitation(approval: Approval) -> None:
    fragment = await invited(approval)
    for _ in range(3):
        await enrolment.begin_enrolment(approval.deps, fragment.partition(".")[0])
    await Phone(approval).enrol(fragment)


async def test_rejects_invitation_used_twice(approval: Approval) -> None:
    fragment = await invited(approval)
    await Phone(approval).enrol(fragment)
    with pytest.raises(Gone) as refused:
        await Phone(approval).enrol(fragment)
    assert refused.value.code == "invitation"
    assert len(await approval.devices_told()) == 1


async def test_invitation_used_twice_at_once_makes_one_device(approval: Approval) -> None:
    fragment = await invited(approval)
    phones = [Phone(approval) for _ in range(10)]
    for phone in phones[5:]:
        phone.deps = replica(approval.world)
    results = await asyncio.gather(*(phone.enrol(fragment) for phone in phones), return_exceptions=True)
    assert [type(result) for result in results].count(type(None)) == 1
    assert all(result is None or isinstance(result, Gone) for result in results)
    assert len(await approval.devices_told()) == 1


async def test_ceremony_answered_with_a_key_that_is_known_makes_no_device(approval: Approval) -> None:
    fragment = await invited(approval)
    invitation, _, seed = fragment.partition(".")
    phone = Phone(approval)
    begun = await enrolment.begin_enrolment(approval.deps, invitation)
    other = await approval.phone("grace")
    key = other.key
    made = attested(phone, begun.ceremony, key)
    vouched = endorse(
        key_from_seed(unb64u(seed)), NewDeviceKey("contoso", "ada", invitation, key.credential_id, key.spki)
    )
    results = await asyncio.gather(
        *(
            enrolment.finish_enrolment(phone.deps, begun.ceremony.id, *made, b64u(vouched), "")
            for _ in range(5)
        ),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [Conflict] * 5  # Grace's key is enrolled already


async def test_lost_answer_is_given_again_until_the_invitation_is_over(approval: Approval) -> None:
    fragment = await invited(approval)
    phone = Phone(approval)
    await phone.enrol(fragment)
    invitation = fragment.partition(".")[0]
    await approval.invitation(invitation=invitation, version=2, status="used")  # as admin says after it
    first = await phone.finish()
    approval.world.clock.advance(24 * 3600 - 1)
    assert await phone.finish() == first
    assert len(await approval.devices_told()) == 1
    approval.world.clock.advance(1)
    with pytest.raises(Conflict) as refused:
        await phone.finish()
    assert refused.value.code == "credential"


async def test_one_request_sent_many_times_at_once_makes_one_device(approval: Approval) -> None:
    phone = Phone(approval)
    await phone.make(await invited(approval))
    replicas = [approval.deps] * 3 + [replica(approval.world) for _ in range(3)]
    made = await asyncio.gather(*(phone.finish(deps) for deps in replicas))
    assert len({device.id for device in made}) == 1
    assert len(await approval.devices_told()) == 1


async def test_request_killed_before_its_write_is_made_good_by_its_repetition(approval: Approval) -> None:
    phone = Phone(approval)
    await phone.make(await invited(approval))
    dying = replica(approval.world)
    accounts: Any = dying.accounts
    with (
        patch.object(accounts._accounts.collection, "update", AsyncMock(side_effect=Unavailable())) as write,
        pytest.raises(Unavailable),
    ):
        await phone.finish(dying)
    write.assert_awaited_once()
    assert (await phone.finish()).name == "Ada's phone"


async def test_rejects_another_key_in_a_ceremony_that_made_a_device(approval: Approval) -> None:
    phone = Phone(approval)
    await phone.enrol(await invited(approval))
    ceremony_id, _, _, endorsement, name = phone.sent
    begun = await approval.deps.ceremonies.find(ceremony_id)
    assert begun is not None
    thief = replace((await approval.phone("grace")).key, credential_id="bmV3")
    made = attested(phone, begun, thief)
    with pytest.raises(Gone) as refused:
        await enrolment.finish_enrolment(approval.deps, ceremony_id, *made, endorsement, name)
    assert refused.value.code == "invitation"
    forged = attested(phone, begun, replace(thief, credential_id=phone.key.credential_id))
    with pytest.raises(Conflict):
        await enrolment.finish_enrolment(approval.deps, ceremony_id, *forged, endorsement, name)


async def test_rejects_repetition_with_a_forged_endorsement(approval: Approval) -> None:
    phone = Phone(approval)
    await phone.enrol(await invited(approval))
    ceremony_id, statement, credential, _, name = phone.sent
    forged = b64u(bytes(64))
    with pytest.raises(Conflict):
        await enrolment.finish_enrolment(approval.deps, ceremony_id, statement, credential, forged, name)


@pytest.mark.parametrize("why", ["device removed", "suspended", "withdrawn"])
async def test_rejects_repetition_when_the_device_is_not_to_be_used(approval: Approval, why: str) -> None:
    fragment = await invited(approval)
    phone = Phone(approval)
    await phone.enrol(fragment)
    if why == "device removed":
        who = await phone.who()
        await phone.remove(who, who.session.device)
    elif why == "suspended":
        await approval.account(version=2, status=AccountStatus.SUSPENDED)
    else:
        await approval.invitation(invitation=fragment.partition(".")[0], version=2, status="withdrawn")
    with pytest.raises(Conflict):
        await phone.finish()


async def test_repetition_opens_no_session(approval: Approval) -> None:
    """Whoever copied the request learns that it worked."""
    phone = Phone(approval)
    await phone.enrol(await invited(approval))
    await phone.finish()
    assert approval.world.documents("approval", "sessions") == []


async def test_rejects_forged_endorsement(approval: Approval) -> None:
    fragment = await invited(approval)
    with pytest.raises(Forbidden) as refused:
        await Phone(approval).enrol(fragment, tamper=Tamper(endorsement=bytes(64)))
    assert refused.value.code == "endorsement"
    assert await approval.devices_told() == []
    await Phone(approval).enrol(fragment)  # the invitation is not spent by a forgery


async def test_rejects_endorsement_by_another_invitation(approval: Approval) -> None:
    fragment = await invited(approval)
    other = await invited(approval, "grace")
    mixed = f"{fragment.partition('.')[0]}.{other.partition('.')[2]}"
    with pytest.raises(Forbidden) as refused:
        await Phone(approval).enrol(mixed)
    assert refused.value.code == "endorsement"


@pytest.mark.parametrize("text", ["", "!!", "AAAA", "x" * 5000])
async def test_rejects_malformed_endorsement(approval: Approval, text: str) -> None:
    fragment = await invited(approval)
    begun = await enrolment.begin_enrolment(approval.deps, fragment.partition(".")[0])
    grace = await approval.phone("grace")
    made = attested(grace, begun.ceremony, replace(grace.key, credential_id="bmV3"))
    with pytest.raises(Forbidden) as refused:
        await enrolment.finish_enrolment(approval.deps, begun.ceremony.id, *made, text, "")
    assert refused.value.code == "endorsement"


LIES = {
    "without user verification": Tamper(flags=UP),
    "other origin": Tamper(origin="https://evil.example"),
    "other RP ID": Tamper(rp_id="evil.example"),
    "other challenge": Tamper(challenge=bytes(32)),
    "an assertion": Tamper(type="webauthn.get"),
}


@pytest.mark.parametrize("tamper", LIES.values(), ids=LIES)
async def test_rejects_registration(approval: Approval, tamper: Tamper) -> None:
    fragment = await invited(approval)
    with pytest.raises(Forbidden) as refused:
        await Phone(approval).enrol(fragment, tamper=tamper)
    assert refused.value.code == "registration"


@pytest.mark.parametrize("why", ["expired", "withdrawn", "used", "unknown", "suspended", "removed"])
async def test_dead_link_has_one_answer_for_every_reason(approval: Approval, why: str) -> None:
    fragment = await invited(approval)
    invitation = fragment.partition(".")[0]
    if why == "expired":
        approval.world.clock.advance(24 * 3600)
    elif why in ("withdrawn", "used"):
        await approval.invitation(invitation=invitation, version=2, status=why)
    elif why == "unknown":
        fragment = f"unknown.{fragment.partition('.')[2]}"
    else:
        await approval.account(version=2, status=AccountStatus(why))
    with pytest.raises(Gone) as refused:
        await Phone(approval).enrol(fragment)
    assert (refused.value.code, refused.value.detail) == ("invitation", "This link no longer works.")


async def test_invitation_withdrawn_during_the_ceremony_is_dead(approval: Approval) -> None:
    fragment = await invited(approval)
    invitation = fragment.partition(".")[0]
    begun = await enrolment.begin_enrolment(approval.deps, invitation)
    await approval.invitation(invitation=invitation, version=2, status="withdrawn")
    grace = await approval.phone("grace")
    made = attested(grace, begun.ceremony, replace(grace.key, credential_id="bmV3"))
    with pytest.raises(Gone) as refused:
        await enrolment.finish_enrolment(approval.deps, begun.ceremony.id, *made, "AAAA", "")
    assert refused.value.code == "invitation"


async def test_invitation_that_comes_before_its_account_waits(approval: Approval) -> None:
    fragment = await approval.invitation()
    with pytest.raises(Unavailable) as refused:
        await Phone(approval).enrol(fragment)
    assert refused.value.remedy == "Try again in a moment."
    await approval.account(status=AccountStatus.INVITED)
    await Phone(approval).enrol(fragment)


async def test_ceremony_is_over_after_five_minutes(approval: Approval) -> None:
    fragment = await invited(approval)
    begun = await enrolment.begin_enrolment(approval.deps, fragment.partition(".")[0])
    approval.world.clock.advance(300)
    grace = await approval.phone("grace")
    made = attested(grace, begun.ceremony, replace(grace.key, credential_id="bmV3"))
    with pytest.raises(Gone) as refused:
        await enrolment.finish_enrolment(approval.deps, begun.ceremony.id, *made, "", "")
    assert refused.value.code == "ceremony"


async def test_rejects_a_credential_id_that_exists(approval: Approval) -> None:
    victim = await approval.phone("grace")
    fragment = await invited(approval)
    with pytest.raises(Conflict) as refused:
        await Phone(approval).enrol(fragment, tamper=Tamper(credential_id=victim.key.credential_id))
    assert refused.value.code == "credential"
    asked = await approval.ask("grace")
    await victim.approve(asked)


async def test_one_credential_id_enrolled_by_two_accounts_at_once_is_one_devices(approval: Approval) -> None:
    links = [await invited(approval, name) for name in ("ada", "grace")]
    tamper = Tamper(credential_id="c2FtZS1jcmVkZW50aWFsLWlk")
    results = await asyncio.gather(
        *(Phone(approval).enrol(link, tamper=tamper) for link in links), return_exceptions=True
    )
    assert results.count(None) == 1
    assert len(await approval.devices_told()) == 1


async def test_removed_phones_credential_is_never_taken_again(approval: Approval) -> None:
    phone = await approval.phone()
    who = await phone.who()
    await phone.remove(who, who.session.device)
    with pytest.raises(Conflict):
        await Phone(approval).enrol(
            await approval.invitation(), tamper=Tamper(credential_id=phone.key.credential_id)
        )


async def test_account_has_at_most_ten_phones(approval: Approval) -> None:
    await approval.account()
    for _ in range(10):
        await Phone(approval).enrol(await approval.invitation())
    with pytest.raises(Forbidden) as refused:
        await Phone(approval).enrol(await approval.invitation())
    assert refused.value.code == "too_many_devices"


async def test_rejects_a_session_challenge_as_enrolment(approval: Approval) -> None:
    phone = await approval.phone("grace")
    begun = await sessions.begin_session(approval.deps)
    with pytest.raises(Gone):
        await enrolment.finish_enrolment(approval.deps, begun.id, *attested(phone, begun, phone.key), "", "")


async def test_rejects_a_statement_for_another_purpose(approval: Approval) -> None:
    """A phone that unlocks BlokKey makes no key by that."""
    fragment = await invited(approval)
    phone = Phone(approval)
    await phone.make(fragment, purpose=Purpose.SESSION)
    with pytest.raises(Forbidden) as refused:
        await phone.finish()
    assert refused.value.code == "statement"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", "Phone"),
        ("  a  b ", "a b"),
        ("\u202eevil\x00", "evil"),
        ("x" * 100, "x" * 60),
        ("\ud800", "Phone"),
    ],
)
def test_names_are_tidied(given: str, kept: str) -> None:
    assert tidy_name(given) == kept


async def test_request_that_makes_the_device_opens_the_phones_own_session(approval: Approval) -> None:
    """Its user was verified for it, so the phone need not ask again before it can list its requests."""
    phone = Phone(approval)
    await phone.make(await invited(approval))
    token = new_secret(approval.ids)
    device = await phone.finish(**phone.first_session(token))
    who = await sessions.signed_in(approval.deps, phone.bearer(token))
    assert (who.account.id, who.session.device) == ("ada", device.id)


async def test_copy_of_the_request_opens_no_session(approval: Approval) -> None:
    """Whoever copied it, a log or a proxy, puts the digest of his own token into it."""
    phone = Phone(approval)
    await phone.make(await invited(approval))
    await phone.finish()
    token = new_secret(approval.ids)
    await phone.finish(**phone.first_session(token))  # not even with a signature
    with pytest.raises(NotAuthenticated):
        await sessions.signed_in(approval.deps, phone.bearer(token))
    assert approval.world.documents("approval", "sessions") == []


async def test_copy_of_the_request_that_comes_first_opens_no_session(approval: Approval) -> None:
    """The proxy answered 503 and its log was read: he is faster than the phone's repetition, twice, and late again.

    The device is made all the same. The phone is told so by its repetition, and unlocks by its key.
    """
    phone = Phone(approval)
    await phone.make(await invited(approval))
    honest = phone.first_session(new_secret(approval.ids))
    token = new_secret(approval.ids)
    copied = {**honest, "session": sessions.digest_of(token)}
    made = await phone.finish(**copied)
    await phone.finish(**copied)
    assert (await phone.finish(**honest)).id == made.id
    approval.world.clock.advance(approval.deps.limits.ceremony.total_seconds() + 1)
    await phone.finish(**copied)
    with pytest.raises(NotAuthenticated):
        await sessions.signed_in(approval.deps, phone.bearer(token))
    assert approval.world.documents("approval", "sessions") == []
    assert (await phone.who()).session.device == made.id


async def test_copy_of_the_request_that_comes_late_takes_no_part_in_the_phones_session(
    approval: Approval,
) -> None:
    phone = Phone(approval)
    await phone.make(await invited(approval))
    own, token = new_secret(approval.ids), new_secret(approval.ids)
    honest = phone.first_session(own)
    made = await phone.finish(**honest)
    for _ in range(2):
        await phone.finish(**{**honest, "session": sessions.digest_of(token)})
    with pytest.raises(NotAuthenticated):
        await sessions.signed_in(approval.deps, phone.bearer(token))
    assert (await sessions.signed_in(approval.deps, phone.bearer(own))).session.device == made.id
    assert len(approval.world.documents("approval", "sessions")) == 1


@pytest.mark.parametrize("field", [f.name for f in fields(FirstSession)])
async def test_a_session_signed_for_anything_else_is_not_opened(approval: Approval, field: str) -> None:
    phone = Phone(approval)
    await phone.make(await invited(approval))
    await phone.finish(**phone.first_session(new_secret(approval.ids), **{field: "other"}))
    assert approval.world.documents("approval", "sessions") == []
    assert len(await approval.devices_told()) == 1


@pytest.mark.parametrize("forged", ["", "AAAA", "=", b64u(bytes(64)), "another key's", "the endorsement"])
async def test_a_session_without_a_valid_signature_is_not_opened(approval: Approval, forged: str) -> None:
    phone = Phone(approval)
    await phone.make(await invited(approval))
    token = new_secret(approval.ids)
    asked = phone.first_session(token)
    if forged == "another key's":
        phone.invitation = phone.invitation[0], key_from_seed(bytes(32))
        forged = phone.first_session(token)["session_signature"]
    elif forged == "the endorsement":
        forged = phone.sent[3]
    await phone.finish(**{**asked, "session_signature": forged})
    assert approval.world.documents("approval", "sessions") == []
    assert len(await approval.devices_told()) == 1


@pytest.mark.parametrize("first", [True, False])
async def test_planted_session_of_another_account_is_not_the_phones(approval: Approval, first: bool) -> None:
    """An attacker has read the request and uses its digest with an invitation of his own, before or after it.

    What Ada's phone holds leads to her account alone: she never sees, approves or adds anything for his.
    """
    ada, mallory = Phone(approval), Phone(approval)
    await ada.make(await invited(approval))
    await mallory.make(await invited(approval, "mallory"))
    token = new_secret(approval.ids)
    for phone in (mallory, ada) if first else (ada, mallory):
        for _ in range(2):
            await phone.finish(**phone.first_session(token))
    who = await sessions.signed_in(approval.deps, ada.bearer(token))
    assert (who.account.id, who.session.device) == ("ada", ada.device)
    with pytest.raises(NotAuthenticated):
        await sessions.signed_in(approval.deps, token)


async def test_first_session_ends_when_the_phone_locks(approval: Approval) -> None:
    phone = Phone(approval)
    await phone.make(await invited(approval))
    token = new_secret(approval.ids)
    await phone.finish(**phone.first_session(token))
    await sessions.close_session(approval.deps, phone.bearer(token))
    assert approval.world.documents("approval", "sessions") == []
