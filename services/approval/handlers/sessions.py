"""A phone's session with us: made by an assertion, bound to a device, over as soon as that device is."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from services.approval.domain import ceremony, enrolment
from services.approval.domain.account import Account, Device, active_device
from services.approval.domain.enrolment import VerifiedRemoval
from services.approval.domain.notifications import telling
from services.approval.ports import Ceremony, Dependencies, Session, StoredAccount
from shared.crypto.statement import Purpose
from shared.errors import Forbidden, Gone, NotAuthenticated
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
    def device(self) -> Device:
        """The phone that has the session."""
        return self.account.devices[self.session.device]

    @property
    def waiting(self) -> bool:
        """Whether admin has not decided yet that this phone counts."""
        return self.device.decision == "waiting"


async def begin_session(deps: Dependencies) -> Ceremony:
    """A nonce for the statement that will make a session."""
    made = Ceremony(
        id=new_id(deps.ids),
        purpose=Purpose.SESSION,
        server_nonce=new_secret(deps.ids),
        expires_at=deps.clock.now() + deps.limits.ceremony,
    )
    await deps.ceremonies.add(made)
    return made


async def _take(deps: Dependencies, ceremony_id: str, purpose: Purpose) -> Ceremony:
    """The nonce that was given out for that purpose; it is spent now. Raises Gone (used, unknown, too old)."""
    begun = await deps.ceremonies.take(ceremony_id)
    if begun is None or begun.purpose is not purpose or deps.clock.now() >= begun.expires_at:
        raise Gone("approval.ceremony.expired", code="ceremony")
    return begun


async def open_session(
    deps: Dependencies, ceremony_id: str, statement: str, raw_credential: object
) -> tuple[str, SignedIn]:
    """Verify statement and assertion and make a session; its token is returned once and kept only as SHA-256.

    Raises Gone (nonce used or too old), NotAuthenticated (unknown phone), Forbidden (statement, assertion, account).
    """
    credential = ceremony.assertion(raw_credential)
    begun = await _take(deps, ceremony_id, Purpose.SESSION)
    stored = await deps.accounts.by_credential(credential.id)
    device = stored.value.device_of(credential.id) if stored is not None else None
    if stored is None or device is None:
        raise NotAuthenticated("approval.device.not_enrolled", code="unknown_device")
    said = ceremony.stated(statement, purpose=Purpose.SESSION, server_nonce=begun.server_nonce, rp=deps.rp)
    answer = ceremony.verify_stated(credential, said, cose_key=device.cose_key)
    stored.value.check_usable()
    await deps.accounts.change(
        stored.value.tenant,
        stored.value.id,
        lambda account: enrolment.device_used(account, device.id, answer),
        first=stored,
    )
    token = new_secret(deps.ids)
    session = _begun(deps, stored.value, device.id, digest_of(token))
    await deps.sessions.add(session)
    return token, SignedIn(session, stored)


async def open_first_session(deps: Dependencies, account: Account, device_id: str, token_digest: str) -> None:
    """The session of a phone that was just enrolled, whose registration verified its user.

    The phone has drawn the token and says only its SHA-256. What the phone uses later has its credential id besides:
    `<credential id>.<token>`. Not verified here: the registration, and that the invitation's key signed this digest.
    """
    named = first_session_of(account.devices[device_id].credential_id, token_digest)
    await deps.sessions.add(_begun(deps, account, device_id, named))


def _begun(deps: Dependencies, account: Account, device_id: str, token_digest: str) -> Session:
    now = deps.clock.now()
    return Session(
        token_digest=token_digest,
        tenant=account.tenant,
        account=account.id,
        device=device_id,
        seen_at=now,
        expires_at=now + deps.limits.session,
        session_epoch=account.session_epoch,
    )


async def signed_in(deps: Dependencies, token: str | None) -> SignedIn:
    """The token's session and account.

    Raises NotAuthenticated (none, too old, signed out everywhere), Forbidden (account suspended, phone removed).
    """
    session = await deps.sessions.find(kept_as(token)) if token else None
    now = deps.clock.now()
    if session is None or now >= session.expires_at or now - session.seen_at >= deps.limits.session_idle:
        raise NotAuthenticated("approval.session.over")
    stored = await deps.accounts.load(session.tenant, session.account)
    if stored is None:
        raise NotAuthenticated
    active_device(stored.value, session.device)
    stored.value.check_usable()
    if session.session_epoch != stored.value.session_epoch:
        raise NotAuthenticated("approval.session.over")
    if now - session.seen_at >= SEEN_EVERY:
        await deps.sessions.seen(session.token_digest, now)
    return SignedIn(session, stored)


async def organisation(deps: Dependencies, who: SignedIn) -> str:
    """The name of the account's organisation, for somebody who has accounts of several."""
    return await deps.tenants.name(who.account.tenant) or who.account.tenant


async def close_session(deps: Dependencies, token: str | None) -> None:
    """End the session, if there is one."""
    if token:
        await deps.sessions.remove(kept_as(token))


def devices(who: SignedIn) -> list[Device]:
    """The account's active phones, oldest first."""
    return sorted((d for d in who.account.devices.values() if d.active), key=lambda d: d.enrolled_at)


async def begin_removal(deps: Dependencies, who: SignedIn, device_id: str) -> Ceremony:
    """A nonce for the statement that will remove that phone of the person's own. Raises NotFound."""
    device = enrolment.removable(who.account, device_id)
    made = Ceremony(
        id=new_id(deps.ids),
        purpose=Purpose.REMOVE,
        server_nonce=new_secret(deps.ids),
        expires_at=deps.clock.now() + deps.limits.ceremony,
        tenant=who.account.tenant,
        account=who.account.id,
        device=device.id,
    )
    await deps.ceremonies.add(made)
    return made


async def remove_device(
    deps: Dependencies,
    who: SignedIn,
    device_id: str,
    ceremony_id: str,
    statement: str,
    raw_credential: object,
) -> None:
    """Take one of the person's own phones out of use, at once, with its sessions.

    The session alone is not enough, since a stolen token must not remove phones: the phone in hand signs for it.
    Raises Gone (nonce used, too old, for another phone), Forbidden (statement, assertion), NotFound.
    """
    removal = await _verified_removal(deps, who, device_id, ceremony_id, statement, raw_credential)
    await deps.accounts.change(
        who.account.tenant,
        who.account.id,
        lambda account: telling(account, enrolment.remove_at_request(account, removal), deps.clock.now()),
        first=who.stored,
    )


async def _verified_removal(
    deps: Dependencies,
    who: SignedIn,
    device_id: str,
    ceremony_id: str,
    statement: str,
    raw_credential: object,
) -> VerifiedRemoval:
    credential = ceremony.assertion(raw_credential)
    begun = await _take(deps, ceremony_id, Purpose.REMOVE)
    if (begun.tenant, begun.account, begun.device) != (who.account.tenant, who.account.id, device_id):
        raise Gone("approval.ceremony.expired", code="ceremony")
    phone = active_device(who.account, who.session.device)
    if credential.id != phone.credential_id:
        raise Forbidden("approval.assertion.unverified", code="assertion")
    said = ceremony.stated(
        statement, purpose=Purpose.REMOVE, server_nonce=begun.server_nonce, rp=deps.rp, device=device_id
    )
    answer = ceremony.verify_stated(credential, said, cose_key=phone.cose_key)
    return VerifiedRemoval(
        device=device_id, signed_by=phone.id, server_nonce=begun.server_nonce, answer=answer
    )


def digest_of(token: str) -> str:
    """The SHA-256 of a session's token. Only this is stored, so a copy of the database opens no session."""
    return b64u(hashlib.sha256(token.encode()).digest())


def first_session_of(credential_id: str, token_digest: str) -> str:
    """Under what the first session of a phone is stored: a digest that no other credential's session has.

    The phone chooses the token and sends its digest with the key. Whoever reads that request could use the digest with
    an invitation of his own, before or after it, and what the phone holds would be a session of his account.
    """
    return b64u(hashlib.sha256(f"first-session\0{credential_id}\0{token_digest}".encode()).digest())


def kept_as(token: str) -> str:
    """Under what the session of that token is stored: one that a key's registration opened names the credential."""
    credential_id, named, drawn = token.rpartition(".")
    return first_session_of(credential_id, digest_of(drawn)) if named else digest_of(token)
