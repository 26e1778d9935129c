"""Enrolment of a phone (docs/flows/enrolment.md, steps 3 to 6)."""

import hashlib
from dataclasses import dataclass

from services.approval.domain import ceremony, enrolment
from services.approval.domain.account import Account, Device
from services.approval.handlers.steps import change
from services.approval.ports import Ceremony, Parts
from shared.errors import Conflict, Gone
from shared.ids import new_id
from shared.text import clean_line

MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class Begun:
    """What the phone needs to make its key."""

    ceremony: Ceremony
    upn: str
    display_name: str
    organisation: str
    user_handle: bytes
    exclude: tuple[str, ...]
    """Credential ids that this account has already."""


async def begin_enrolment(parts: Parts, invitation_id: str) -> Begun:
    """Step 3. Nothing is spent yet. Raises Gone, Unavailable."""
    now = parts.clock.now()
    stored = await parts.accounts.by_invitation(invitation_id)
    if stored is None:
        raise enrolment.dead_link()
    account = stored.account
    enrolment.usable_invitation(account, invitation_id, now)
    made = Ceremony(
        id=new_id(parts.ids),
        kind="enrolment",
        challenge=parts.ids.random_bytes(32),
        expires_at=now + parts.limits.ceremony,
        tenant=account.tenant,
        account=account.id,
        invitation=invitation_id,
    )
    await parts.ceremonies.add(made)
    return Begun(
        ceremony=made,
        upn=account.upn,
        display_name=account.display_name,
        organisation=await parts.tenants.name(account.tenant) or account.tenant,
        user_handle=user_handle(account),
        exclude=tuple(d.credential_id for d in account.devices.values() if d.active),
    )


async def finish_enrolment(
    parts: Parts, ceremony_id: str, raw_credential: object, endorsement: str, name: str
) -> Device:
    """Step 5: verify key, invitation and endorsement; one write spends the invitation and makes the device.

    A phone that did not hear the answer asks again and gets the device that was made. For that the ceremony is
    kept as long as its invitation, and the repetition is verified like the first time. Single use is the
    invitation's: whatever is answered to its ceremonies, they make one device.

    Raises Gone (took too long, link dead), Forbidden (registration, endorsement), Conflict (key known already).
    """
    credential = ceremony.registration(raw_credential)
    begun = await parts.ceremonies.find(ceremony_id)
    if begun is None or begun.kind != "enrolment":
        raise _too_late()
    key = ceremony.verify_registration(credential, challenge=begun.challenge, rp=parts.rp)
    enrolled = await parts.accounts.by_credential(key.credential_id)
    if enrolled is None:
        if parts.clock.now() >= begun.expires_at:
            raise _too_late()
        device_id = new_id(parts.ids)
        await change(
            parts,
            begun.tenant,
            begun.account,
            lambda account: enrolment.enrol(
                account,
                invitation_id=begun.invitation,
                key=key,
                endorsement=endorsement,
                device_id=device_id,
                name=tidy_name(name),
                now=parts.clock.now(),
            ),
        )
        enrolled = await parts.accounts.load(begun.tenant, begun.account)
    assert enrolled is not None
    device = enrolment.device_made(
        enrolled.account,
        invitation_id=begun.invitation,
        key=key,
        endorsement=endorsement,
        now=parts.clock.now(),
    )
    if device is None:
        raise Conflict("approval.credential.enrolled", code="credential")
    return device


def _too_late() -> Gone:
    return Gone("approval.enrolment.expired", code="ceremony")


def user_handle(account: Account) -> bytes:
    """WebAuthn user handle: SHA-256 of tenant and account, 32 octets; it tells nobody a name."""
    return hashlib.sha256(f"{account.tenant}/{account.id}".encode()).digest()


def tidy_name(name: str) -> str:
    """A phone's name as it may be shown: visible, trimmed, at most `MAX_NAME` characters."""
    return clean_line(name, MAX_NAME) or "Phone"
