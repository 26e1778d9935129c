"""Notices of phones that were added or removed: once for each key, to the address of now and to those before it."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.notify.domain.notices import ALONE_A_DAY, FORMER_FOR, MAX_FORMER
from services.notify.store import ContactRepository
from shared.bus.port import Reject, Retry
from shared.contracts import Message
from shared.contracts.admin import (
    AuthenticatorChanged,
    AuthenticatorStatus,
    ContactChanged,
    EndorsedBy,
    TenantConfigured,
)
from shared.contracts.approval import DeviceChanged, Endorsement
from shared.contracts.envelope import Origin, SignedMessage, verify_message
from shared.contracts.notify import Contact, contact_associated_data
from shared.contracts.wsfed import AuthenticatorAccepted
from shared.crypto.key_file import make_key
from shared.ids import SystemIds, b64u
from tests.notify.support import Notify, everything, make_notify, text_of
from tests.world import own_keys

ADA, EVE = "ada@private.example", "eve@evil.example"
DAY = 24 * 3600


@pytest.fixture
async def notify(tmp_path: Path) -> Notify:
    """notify that knows contoso, and where Ada is written to."""
    made = await make_notify(tmp_path)
    configured = TenantConfigured(version=1, name="Contoso Ltd", applications=(), domains=())
    await made.say("admin", configured)
    await made.say("admin", contact(made, ADA))
    return made


def contact(
    notify: Notify, address: str | None, version: int = 1, *, account: str = "ada", **fields: Any
) -> ContactChanged:
    sealed = ""
    if address is not None:
        written = Contact(address=address, name="Ada Lovelace", language="en", upn="ada@contoso.example")
        octets = written.model_copy(update=fields).model_dump_json().encode()
        sealed = notify.sealer.seal(octets, contact_associated_data("contoso", account))
    return ContactChanged(version=version, account=account, sealed=sealed)


def key_of(device: str) -> bytes:
    return f"public key of {device}".encode()


def accepted(notify: Notify, device: str = "d1", *, account: str = "ada") -> AuthenticatorAccepted:
    """wsfed: the key counts."""
    return AuthenticatorAccepted(
        authenticator=device,
        account=account,
        key_sha256=b64u(hashlib.sha256(key_of(device)).digest()),
        name="Ada's phone",
        accepted_at=notify.world.clock.now(),
    )


def changed(
    notify: Notify, device: str = "d1", *, account: str = "ada", status: Any = "active", version: int = 1
) -> DeviceChanged:
    """approval: a phone was added or removed."""
    return DeviceChanged(
        version=version,
        device=device,
        account=account,
        credential_id=f"c-{device}",
        public_key=b64u(key_of(device)),
        endorsement=Endorsement(kind="invitation", by="i", signature="s"),
        enrolled_at=notify.world.clock.now(),
        status=status,
        name="Ada's phone",
    )


def decided(notify: Notify, status: str, device: str = "d1", *, version: int = 1) -> AuthenticatorChanged:
    """admin: its decision on the key."""
    return AuthenticatorChanged(
        version=version,
        authenticator=device,
        kind="phone",
        account="ada",
        credential_id=f"c-{device}",
        key_sha256=b64u(hashlib.sha256(key_of(device)).digest()),
        endorsed_by=EndorsedBy(kind="invitation", id="i"),
        status=AuthenticatorStatus(status),
    )


def told(notify: Notify) -> Sequence[tuple[str, str]]:
    """Whom each mail went to, and what it says."""
    return [
        (str(mail["To"].addresses[0].addr_spec), str(mail["Subject"]).partition(": ")[2])
        for mail in notify.outside.mails
    ]


ADDED, REMOVED = "a phone was added to your account", "a phone was removed from your account"


async def test_one_key_is_told_once_whoever_says_it_and_however_often(notify: Notify) -> None:
    for _ in range(2):
        await notify.say("wsfed", accepted(notify))
        await notify.say("approval", changed(notify))
        await notify.later(60)
    assert told(notify) == [(ADA, ADDED)]
    text = text_of(notify.outside.mails[0], "plain")
    assert "The phone “Ada's phone” can now approve sign-ins for ada@contoso.example at Contoso Ltd." in text


async def test_it_is_told_once_though_it_is_said_again_weeks_later(notify: Notify) -> None:
    """The delivery is forgotten by then: wsfed was rebuilt on an empty database, and says all its keys again."""
    await notify.say("wsfed", accepted(notify))
    notify.world.databases["notify"].data["deliveries"].clear()
    await notify.later(40 * DAY)
    await notify.say("wsfed", accepted(notify))
    assert told(notify) == [(ADA, ADDED)]


@pytest.mark.parametrize("first", ["wsfed", "approval"])
async def test_the_word_of_one_is_enough_and_the_others_add_nothing(notify: Notify, first: str) -> None:
    words: dict[str, Message] = {
        "wsfed": accepted(notify),
        "approval": changed(notify),
        "admin": decided(notify, "trusted"),
    }
    await notify.say(first, words[first])
    assert told(notify) == [(ADA, ADDED)]
    for service, word in words.items():
        await notify.say(service, word)
    assert told(notify) == [(ADA, ADDED)]


async def test_a_phone_of_before_is_no_news_when_admin_decides_on_it_or_it_changes(notify: Notify) -> None:
    """`blok365 migrate`, and an operator's resync, write to nobody."""
    await notify.say("admin", decided(notify, "trusted"))
    await notify.say("approval", changed(notify, version=2))
    assert told(notify) == []


async def test_admins_revocation_is_told_once_with_the_name_that_the_phone_had(notify: Notify) -> None:
    await notify.say("wsfed", accepted(notify))
    await notify.say("admin", decided(notify, "revoked", version=2))
    await notify.say("approval", changed(notify, status="removed", version=2))
    assert told(notify) == [(ADA, ADDED), (ADA, REMOVED)]
    assert "The phone “Ada's phone” can no longer approve" in text_of(notify.outside.mails[1], "plain")


async def test_a_refused_phone_is_told_as_refused_and_not_as_removed(notify: Notify) -> None:
    for _ in range(2):
        await notify.say("admin", decided(notify, "refused"))
    await notify.say("approval", changed(notify, status="removed", version=2))
    await notify.say("approval", changed(notify))
    assert told(notify) == [(ADA, "a phone was refused for your account")]
    assert "ask your administrator for a new invitation" in text_of(notify.outside.mails[0], "plain")


async def test_another_key_and_the_removal_are_told_too(notify: Notify) -> None:
    await notify.say("wsfed", accepted(notify, "d1"))
    await notify.say("wsfed", accepted(notify, "d2"))
    for _ in range(2):
        await notify.say("approval", changed(notify, "d1", status="removed", version=2))
    assert told(notify) == [(ADA, ADDED), (ADA, ADDED), (ADA, REMOVED)]


async def test_the_key_under_somebody_elses_account_takes_nobodys_notice_away(notify: Notify) -> None:
    """A taken-over approval says Ada's new key of Bob first."""
    await notify.say("admin", contact(notify, "bob@private.example", account="bob"))
    await notify.say("approval", changed(notify, account="bob"))
    await notify.say("wsfed", accepted(notify))
    assert told(notify) == [("bob@private.example", ADDED), (ADA, ADDED)]


async def test_the_address_before_is_told_as_well_for_thirty_days(notify: Notify) -> None:
    """Whoever takes over admin gives another address first, and then invites a phone of their own."""
    await notify.say("admin", contact(notify, EVE, 2))
    await notify.say("wsfed", accepted(notify, "d1"))
    assert told(notify) == [(EVE, ADDED), (ADA, ADDED)]
    assert "this address was replaced by another one" in text_of(notify.outside.mails[1], "plain")
    assert "an address that was replaced" not in text_of(notify.outside.mails[0], "plain")
    notify.world.clock.advance((FORMER_FOR - timedelta(hours=1)).total_seconds())
    await notify.say("wsfed", accepted(notify, "d2"))
    assert told(notify)[2:] == [(EVE, ADDED), (ADA, ADDED)]
    notify.world.clock.advance(timedelta(hours=2).total_seconds())
    await notify.say("wsfed", accepted(notify, "d3"))
    assert told(notify)[4:] == [(EVE, ADDED)]


async def test_an_address_that_a_full_pull_replaces_under_its_own_version_is_told_as_well(
    notify: Notify,
) -> None:
    """A taken-over admin says nothing anew, and gives another address under the old version when notify asks for all.

    Done again after a month, the thirty days are counted again.
    """
    handler = notify.wired.service.handlers[ContactChanged]

    async def pulled(address: str) -> None:
        said = notify.world.signer("admin").sign(contact(notify, address), tenant="contoso")
        for _ in range(2):
            await handler(replace(verified(notify, said), origin=Origin.FULL_PULL))

    await pulled(EVE)
    await pulled(ADA)
    notify.world.clock.advance((FORMER_FOR - timedelta(hours=1)).total_seconds())
    await pulled(EVE)
    notify.world.clock.advance(timedelta(hours=2).total_seconds())
    await notify.say("wsfed", accepted(notify))
    assert told(notify) == [(EVE, ADDED), (ADA, ADDED)]


async def test_replacing_an_address_again_and_again_does_not_push_out_the_first(notify: Notify) -> None:
    for number in range(3 * MAX_FORMER):
        notify.world.clock.advance(1)
        await notify.say("admin", contact(notify, f"e{number}@evil.example", number + 2))
    await notify.say("wsfed", accepted(notify))
    await notify.later(1, rounds=3)
    addresses = [to for to, _ in told(notify)]
    assert ADA in addresses
    assert len(addresses) == MAX_FORMER + 1


async def test_contacts_that_come_late_twice_or_backwards_change_nothing(notify: Notify) -> None:
    old, new = contact(notify, ADA, 1), contact(notify, "ada@new.example", 3)
    for said in (new, old, new, contact(notify, ADA, 2), old):
        await notify.say("admin", said)
    await notify.say("wsfed", accepted(notify))
    assert told(notify) == [("ada@new.example", ADDED), (ADA, ADDED)]


async def test_another_name_for_the_same_address_replaces_none(notify: Notify) -> None:
    await notify.say("admin", contact(notify, "Ada@private.example", 2, name="Ada Byron"))
    await notify.say("wsfed", accepted(notify))
    assert told(notify) == [("Ada@private.example", ADDED)]
    assert "Hello Ada Byron" in text_of(notify.outside.mails[0], "plain")


async def test_a_removed_account_is_still_written_to_for_thirty_days(notify: Notify) -> None:
    await notify.say("admin", contact(notify, None, 2))
    await notify.say("approval", changed(notify, status="removed", version=2))
    assert told(notify) == [(ADA, REMOVED)]


async def test_a_notice_waits_until_admin_has_said_the_address(notify: Notify) -> None:
    said = notify.world.signer("wsfed").sign(accepted(notify, account="bob"), tenant="contoso")
    handler = notify.wired.service.handlers[AuthenticatorAccepted]
    received = verified(notify, said)
    with pytest.raises(Retry):
        await handler(received)
    notify.world.clock.advance(3601)
    with pytest.raises(Reject):
        await handler(received)
    await notify.say("admin", contact(notify, "bob@private.example", account="bob"))
    await handler(received)
    await notify.done()
    assert told(notify) == [("bob@private.example", ADDED)]


def verified(notify: Notify, signed: SignedMessage) -> Any:
    return verify_message(signed, trusted=notify.world.platform.trusted, now=notify.world.clock.now())


async def test_a_taken_over_approval_fills_no_mailbox_and_hides_no_notice(notify: Notify) -> None:
    for number in range(50):
        await notify.say("approval", changed(notify, f"made up {number}"))
    assert told(notify) == [(ADA, ADDED)] * ALONE_A_DAY
    await notify.say("wsfed", accepted(notify, "made up 49"))
    await notify.say("wsfed", accepted(notify, "true"))
    assert len(told(notify)) == ALONE_A_DAY + 2
    await notify.later(DAY + 1)
    await notify.say("approval", changed(notify, "tomorrow"))
    assert len(told(notify)) == ALONE_A_DAY + 3


async def test_a_removal_that_approval_told_long_before_is_told_when_admin_revokes(notify: Notify) -> None:
    """A taken-over approval says it to notify alone."""
    await notify.say("wsfed", accepted(notify))
    await notify.say("approval", changed(notify, status="removed", version=2))
    await notify.later(2 * DAY)
    for _ in range(2):
        await notify.say("admin", decided(notify, "revoked", version=2))
        await notify.later(DAY)
    assert told(notify) == [(ADA, ADDED), (ADA, REMOVED), (ADA, REMOVED)]
    assert "The phone “Ada's phone” can no longer approve" in text_of(notify.outside.mails[2], "plain")


async def test_many_words_of_approval_at_once_bring_about_no_more_notices(
    notify: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are handled at the same time, so none may count what the others are about to do."""
    signer, handler = notify.world.signer("approval"), notify.wired.service.handlers[DeviceChanged]
    said = [signer.sign(changed(notify, f"made up {n}"), tenant="contoso") for n in range(20)]
    contacts_of = ContactRepository.of

    async def slow(*given: Any) -> Any:
        await asyncio.sleep(0)  # as the true database does, it lets the others go on
        return await contacts_of(*given)

    monkeypatch.setattr(ContactRepository, "of", slow)
    await asyncio.gather(*(handler(verified(notify, each)) for each in said))
    for each in said:
        await handler(verified(notify, each))
    await notify.later(1, rounds=10)
    assert told(notify) == [(ADA, ADDED)] * ALONE_A_DAY


async def test_approvals_additions_and_removals_share_one_limit(notify: Notify) -> None:
    for number in range(5):
        await notify.say("approval", changed(notify, f"made up {number}"))
        await notify.say("approval", changed(notify, f"made up {number}", status="removed", version=2))
    assert len(told(notify)) == ALONE_A_DAY


async def test_what_approval_said_first_is_told_once_though_wsfed_is_rebuilt_weeks_later(
    notify: Notify,
) -> None:
    await notify.say("approval", changed(notify))
    await notify.say("wsfed", accepted(notify))
    await notify.later(40 * DAY)
    await notify.say("wsfed", accepted(notify))
    assert told(notify) == [(ADA, ADDED)]


async def test_a_key_that_approval_announced_long_before_it_counts_is_told_when_it_counts(
    notify: Notify,
) -> None:
    """A taken-over approval announces a key and lets that pass for a false alarm; its phone is enrolled weeks later."""
    await notify.say("approval", changed(notify))
    await notify.later(20 * DAY)
    said = notify.world.signer("wsfed").sign(accepted(notify), tenant="contoso")
    handler = notify.wired.service.handlers[AuthenticatorAccepted]
    received = verified(notify, said)
    for _ in range(2):
        await handler(received)
        await notify.say("approval", changed(notify))
        await notify.later(60)
    assert told(notify) == [(ADA, ADDED)] * 2
    await notify.later(40 * DAY)
    await notify.say("wsfed", accepted(notify))
    assert told(notify) == [(ADA, ADDED)] * 2


@pytest.mark.parametrize("sealed_for", ["bob", "ada"])
async def test_a_contact_that_was_sealed_for_another_account_or_is_none_is_refused(
    notify: Notify, sealed_for: str
) -> None:
    octets = b"{}" if sealed_for == "ada" else contact_octets(EVE)
    sealed = notify.sealer.seal(octets, contact_associated_data("contoso", sealed_for))
    await notify.say("admin", ContactChanged(version=2, account="ada", sealed=sealed))
    assert len(notify.reasons()) == 1
    await notify.say("wsfed", accepted(notify))
    assert told(notify) == [(ADA, ADDED)]


def contact_octets(address: str) -> bytes:
    written = Contact(address=address, name="A", language="en", upn="ada@contoso.example")
    return written.model_dump_json().encode()


async def test_no_address_is_readable_in_the_database_or_the_log(notify: Notify) -> None:
    with structlog.testing.capture_logs() as logs:
        await notify.say("admin", contact(notify, EVE, 2))
        during = everything(notify.world)
        await notify.say("wsfed", accepted(notify))
    for text in (during, everything(notify.world), repr(logs)):
        for address in (ADA, EVE, "Lovelace"):
            assert address not in text
    assert len(told(notify)) == 2


async def test_a_lost_seal_file_is_healed_by_admins_next_word(tmp_path: Path) -> None:
    made = await make_notify(tmp_path)
    keys = own_keys(made.world.platform.settings)
    await made.say("admin", contact(made, ADA))
    (keys / "notify.seal").unlink()
    make_key(keys / "notify.seal", SystemIds())
    made.restart()
    contacts = made.wired.dependencies.contacts
    assert await contacts.of("contoso", "ada", made.world.clock.now()) == []
    await made.say("admin", contact(made, ADA, 2))
    assert len(await contacts.of("contoso", "ada", made.world.clock.now())) == 1
