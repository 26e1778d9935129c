"""A phone's session with us: made by an assertion, bound to a device, over as soon as that device is."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from services.approval.domain import ceremony, enrolment
from services.approval.domain.account import Account, Device, active_device
from services.approval.handlers.steps import change
from services.approval.ports import Ceremony, Parts, Session, Stored
from shared.errors import Gone, NotAuthenticated
from shared.ids import b64u, new_id, new_secret

SEEN_EVERY = timedelta(minutes=1)
"""The idle limit is kept to that precision, so that most requests write nothing."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A request's session, checked: not over, device active, account usable."""

    session: Session
    stored: Stored

    @property
    def account(self) -> Account:
        return self.stored.account


async def begin_session(parts: Parts) -> Ceremony:
    """A challenge for an assertion that will make a session."""
    made = Ceremony(
        id=new_id(parts.ids),
        kind="session",
        challenge=parts.ids.random_bytes(32),
        expires_at=parts.clock.now() + parts.limits.ceremony,
    )
    await parts.ceremonies.add(made)
    return made


async def open_session(parts: Parts, ceremony_id: str, raw_credential: object) -> tuple[str, SignedIn]:
    """Verify the assertion and make a session; its token is returned once and kept only as SHA-256.

    Raises Gone (challenge used or too old), NotAuthenticated (unknown phone), Forbidden (assertion, account).
    """
    credential = ceremony.assertion(raw_credential)
    begun = await parts.ceremonies.take(ceremony_id)
    now = parts.clock.now()
    if begun is None or begun.kind != "session" or now >= begun.expires_at:
        raise Gone("approval.session.ceremony_expired", code="ceremony")
    stored = await parts.accounts.by_credential(credential.id)
    device = stored.account.device_of(credential.id) if stored is not None else None
    if stored is None or device is None:
        raise NotAuthenticated("approval.device.not_enrolled", code="unknown_device")
    answer = ceremony.verify_answer(
        credential, cose_key=device.cose_key, challenge=begun.challenge, context="", rp=parts.rp
    )
    stored.account.check_usable()
    await change(
        parts,
        stored.account.tenant,
        stored.account.id,
        lambda account: enrolment.device_used(account, device.id, answer),
        first=stored,
    )
    token = new_secret(parts.ids)
    session = Session(
        token_digest=digest_of(token),
        tenant=stored.account.tenant,
        account=stored.account.id,
        device=device.id,
        seen_at=now,
        expires_at=now + parts.limits.session,
    )
    await parts.sessions.add(session)
    return token, SignedIn(session, stored)


async def signed_in(parts: Parts, token: str | None) -> SignedIn:
    """Whose session that is. Raises NotAuthenticated, Forbidden (account suspended, phone removed)."""
    session = await parts.sessions.find(digest_of(token)) if token else None
    now = parts.clock.now()
    if session is None or now >= session.expires_at or now - session.seen_at >= parts.limits.session_idle:
        raise NotAuthenticated("approval.session.over")
    stored = await parts.accounts.load(session.tenant, session.account)
    if stored is None:
        raise NotAuthenticated
    active_device(stored.account, session.device)
    stored.account.check_usable()
    if now - session.seen_at >= SEEN_EVERY:
        await parts.sessions.seen(session.token_digest, now)
    return SignedIn(session, stored)


async def close_session(parts: Parts, token: str | None) -> None:
    """End the session, if there is one."""
    if token:
        await parts.sessions.remove(digest_of(token))


def devices(who: SignedIn) -> list[Device]:
    """The account's active phones, oldest first."""
    return sorted((d for d in who.account.devices.values() if d.active), key=lambda d: d.enrolled_at)


async def remove_device(parts: Parts, who: SignedIn, device_id: str) -> None:
    """Take one of the person's own phones out of use, at once, with its sessions."""
    await change(
        parts,
        who.account.tenant,
        who.account.id,
        lambda account: enrolment.remove_device(account, device_id),
        first=who.stored,
    )


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return b64u(hashlib.sha256(token.encode()).digest())
