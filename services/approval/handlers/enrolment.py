"""Enrolment of a phone (docs/flows/enrolment.md, steps 3 to 6, and "A link that no longer works")."""

import hashlib
from dataclasses import dataclass, replace

from services.approval.domain import ceremony, enrolment
from services.approval.domain.account import Account, Device
from services.approval.handlers import sessions
from services.approval.ports import Ceremony, Dependencies
from shared.crypto.statement import Purpose
from shared.errors import Conflict, Gone, Unavailable
from shared.ids import new_id, new_secret
from shared.store.aggregate import NotUnique
from shared.text import clean_line

MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class Begun:
    """What the phone needs to make its key. The WebAuthn options it puts together itself."""

    ceremony: Ceremony
    upn: str
    display_name: str
    organisation: str
    user_handle: bytes
    exclude: tuple[str, ...]
    """Credential ids that this account has already."""


async def begin_enrolment(deps: Dependencies, invitation_id: str) -> Begun:
    """Step 3. Nothing is spent yet. Raises Gone, Unavailable (also while admin is away: it could not decide)."""
    if not deps.fresh("admin"):
        raise Unavailable("approval.enrolment.admin_away")
    now = deps.clock.now()
    stored = await deps.accounts.by_invitation(invitation_id)
    if stored is None:
        raise enrolment.dead_link()
    account = stored.value
    enrolment.usable_invitation(account, invitation_id, now)
    made = Ceremony(
        id=new_id(deps.ids),
        purpose=Purpose.ENROL,
        server_nonce=new_secret(deps.ids),
        expires_at=now + deps.limits.ceremony,
        tenant=account.tenant,
        account=account.id,
        invitation=invitation_id,
    )
    await deps.ceremonies.add(made)
    return Begun(
        ceremony=made,
        upn=account.upn,
        display_name=account.display_name,
        organisation=await deps.tenants.name(account.tenant) or account.tenant,
        user_handle=user_handle(account),
        exclude=tuple(d.credential_id for d in account.devices.values() if d.active),
    )


async def ask_for_new_link(deps: Dependencies, invitation_id: str) -> None:
    """Somebody opened a link that no longer works, and asks for another, to the same address.

    Whatever the invitation is, or if there is none, nothing is said of it: admin mails a new link, or does not. Raises
    Unavailable.
    """
    stored = await deps.accounts.by_invitation(invitation_id)
    if stored is not None:
        await deps.accounts.change(
            stored.value.tenant,
            stored.value.id,
            lambda account: enrolment.ask_for_new_link(account, invitation_id),
            first=stored,
        )


async def finish_enrolment(
    deps: Dependencies,
    ceremony_id: str,
    statement: str,
    raw_credential: object,
    endorsement: str,
    name: str,
    *,
    session: str | None = None,
    session_signature: str = "",
) -> Device:
    """Step 5: verify key, invitation and endorsement; one write spends the invitation and makes the device.

    A phone that did not hear the answer asks again and gets the device that was made. For that the ceremony is
    kept as long as its invitation, and the repetition is verified like the first time. Single use is the
    invitation's: whatever is answered to its ceremonies, they make one device.

    `session`: the SHA-256 of a token that the phone has drawn. Only the request that makes the device opens that
    session, since the user was verified for it, and only with `session_signature`, the invitation key's signature over
    it (base64url): a copy of the request opens no other session, whether it comes first or later. Without a session the
    device is made all the same, and the phone opens one with its key.

    Raises Gone (took too long, link dead), Forbidden (statement, registration, endorsement), Conflict (key known
    already).
    """
    credential = ceremony.registration(raw_credential)
    begun = await deps.ceremonies.find(ceremony_id)
    if begun is None or begun.purpose is not Purpose.ENROL:
        raise _too_late()
    said = ceremony.stated(statement, purpose=Purpose.ENROL, server_nonce=begun.server_nonce, rp=deps.rp)
    key = ceremony.verify_registration(
        credential, challenge=said.digest(), rp=replace(deps.rp, origins=(said.origin,))
    )
    stored = await deps.accounts.load(begun.tenant, begun.account)
    if stored is None:
        raise enrolment.dead_link()
    if stored.value.device_of(key.credential_id) is None:
        if deps.clock.now() >= begun.expires_at:
            raise _too_late()
        device_id = new_id(deps.ids)
        try:
            enrolled = await deps.accounts.change(
                begun.tenant,
                begun.account,
                lambda account: enrolment.enrol(
                    account,
                    invitation_id=begun.invitation,
                    key=key,
                    endorsement=endorsement,
                    device_id=device_id,
                    name=tidy_name(name),
                    now=deps.clock.now(),
                ),
                first=stored,
            )
        except NotUnique as error:
            # Another account has the credential: an attacker's copy of its id must not shadow its owner's.
            raise _key_known() from error
        if enrolled is not None:
            account, device = enrolled.value, enrolled.value.devices[device_id]
            if session and enrolment.vouches_for_session(account, device, session, session_signature):
                await sessions.open_first_session(deps, account, device_id, session)
            return device
        # The same request was faster on another replica.
        stored = await deps.accounts.load(begun.tenant, begun.account)
        assert stored is not None
    made = enrolment.device_made(
        stored.value,
        invitation_id=begun.invitation,
        key=key,
        endorsement=endorsement,
        now=deps.clock.now(),
    )
    if made is None:
        raise _key_known()
    return made


def _key_known() -> Conflict:
    return Conflict("approval.credential.enrolled", code="credential")


def _too_late() -> Gone:
    return Gone("approval.enrolment.expired", code="ceremony")


def user_handle(account: Account) -> bytes:
    """WebAuthn user handle: SHA-256 of tenant and account, 32 octets; it tells nobody a name."""
    return hashlib.sha256(f"{account.tenant}/{account.id}".encode()).digest()


def tidy_name(name: str) -> str:
    """A phone's name as it may be shown: visible, trimmed, at most `MAX_NAME` characters."""
    return clean_line(name, MAX_NAME) or "Phone"
