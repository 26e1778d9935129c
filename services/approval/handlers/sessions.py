"""A phone's session with us: made by an assertion, bound to a device, over as soon as that device is."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from services.approval.domain import ceremony, enrolment
from services.approval.domain.account import Account, Device, active_device
from services.approval.domain.notifications import telling
from services.approval.ports import Ceremony, Dependencies, Session, StoredAccount
from shared.errors import Gone, NotAuthenticated
from shared.ids import b64u, new_id, new_secret

SEEN_EVERY = timedelta(minutes=1)
"""The idle limit is kept to that precision, so that most requests write nothing."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A request's session, checked: not over, device active, account usable."""

    session: Session
    stored: StoredAccount

    @property
    def account(self) -> Account:
        return self.stored.value

    @property
    def waiting(self) -> bool:
        """Whether admin has not decided yet that this phone counts."""
        return self.account.devices[self.session.device].decision == "waiting"


async def begin_session(deps: Dependencies) -> Ceremony:
    """A challenge for an assertion that will make a session."""
    made = Ceremony(
        id=new_id(deps.ids),
        kind="session",
        challenge=deps.ids.random_bytes(32),
        expires_at=deps.clock.now() + deps.limits.ceremony,
    )
    await deps.ceremonies.add(made)
    return made


async def open_session(deps: Dependencies, ceremony_id: str, raw_credential: object) -> tuple[str, SignedIn]:
    """Verify the assertion and make a session; its token is returned once and kept only as SHA-256.

    Raises Gone (challenge used or too old), NotAuthenticated (unknown phone), Forbidden (assertion, account).
    """
    credential = ceremony.assertion(raw_credential)
    begun = await deps.ceremonies.take(ceremony_id)
    now = deps.clock.now()
    if begun is None or begun.kind != "session" or now >= begun.expires_at:
        raise Gone("approval.session.ceremony_expired", code="ceremony")
    stored = await deps.accounts.by_credential(credential.id)
    device = stored.value.device_of(credential.id) if stored is not None else None
    if stored is None or device is None:
        raise NotAuthenticated("approval.device.not_enrolled", code="unknown_device")
    answer = ceremony.verify_answer(
        credential, cose_key=device.cose_key, challenge=begun.challenge, context="", rp=deps.rp
    )
    stored.value.check_usable()
    await deps.accounts.change(
        stored.value.tenant,
        stored.value.id,
        lambda account: enrolment.device_used(account, device.id, answer),
        first=stored,
    )
    token = new_secret(deps.ids)
    session = Session(
        token_digest=digest_of(token),
        tenant=stored.value.tenant,
        account=stored.value.id,
        device=device.id,
        seen_at=now,
        expires_at=now + deps.limits.session,
    )
    await deps.sessions.add(session)
    return token, SignedIn(session, stored)


async def signed_in(deps: Dependencies, token: str | None) -> SignedIn:
    """The token's session and account. Raises NotAuthenticated, Forbidden (account suspended, phone removed)."""
    session = await deps.sessions.find(digest_of(token)) if token else None
    now = deps.clock.now()
    if session is None or now >= session.expires_at or now - session.seen_at >= deps.limits.session_idle:
        raise NotAuthenticated("approval.session.over")
    stored = await deps.accounts.load(session.tenant, session.account)
    if stored is None:
        raise NotAuthenticated
    active_device(stored.value, session.device)
    stored.value.check_usable()
    if now - session.seen_at >= SEEN_EVERY:
        await deps.sessions.seen(session.token_digest, now)
    return SignedIn(session, stored)


async def close_session(deps: Dependencies, token: str | None) -> None:
    """End the session, if there is one."""
    if token:
        await deps.sessions.remove(digest_of(token))


def devices(who: SignedIn) -> list[Device]:
    """The account's active phones, oldest first."""
    return sorted((d for d in who.account.devices.values() if d.active), key=lambda d: d.enrolled_at)


async def remove_device(deps: Dependencies, who: SignedIn, device_id: str) -> None:
    """Take one of the person's own phones out of use, at once, with its sessions."""
    await deps.accounts.change(
        who.account.tenant,
        who.account.id,
        lambda account: telling(account, enrolment.remove_device(account, device_id), deps.clock.now()),
        first=who.stored,
    )


def digest_of(token: str) -> str:
    """The SHA-256 of a session's token. Only this is stored, so a copy of the database opens no session."""
    return b64u(hashlib.sha256(token.encode()).digest())
