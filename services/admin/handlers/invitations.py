"""Invitations: docs/flows/enrolment.md, step 1, "A link that no longer works"; docs/flows/notification.md, step 8."""

import hashlib
from datetime import timedelta

import structlog

from services.admin.domain.accounts import Account
from services.admin.domain.authenticators import GRACE, is_over
from services.admin.domain.invitations import Invitation, NotRenewed, check_renewal, invitation_mail
from services.admin.domain.tenants import Tenant
from services.admin.handlers.accounts import show_account
from services.admin.handlers.common import withdraw, withdraw_open
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import AccountStatus, RenewInvitation
from shared.contracts.envelope import VerifiedMessage
from shared.crypto.keys import key_from_seed, raw_public
from shared.errors import Conflict
from shared.ids import b64u, new_id

log = structlog.get_logger(__name__)

SWEEP_EVERY = 5.0
"""Seconds between two searches for invitations whose time is over."""
SWEEP_BATCH = 100
LONGEST = timedelta(days=366)
"""Longer than any invitation lives, with a clock that was wrong when it was made."""
INVITABLE = (AccountStatus.INVITED, AccountStatus.ACTIVE)


class InvitationLink:
    """The link that goes to the person, with the secret in its fragment. It is returned once and stored nowhere."""

    __slots__ = ("invitation", "url")

    def __init__(self, invitation: Invitation, url: str) -> None:
        self.invitation = invitation
        self.url = url

    def __repr__(self) -> str:  # log lines and tracebacks show this, so it must not hold the secret
        return f"InvitationLink({self.invitation.id})"


async def invite(deps: Dependencies, slug: str, name: str, *, send_mail: bool = True) -> InvitationLink:
    """A new invitation. The link that is returned holds its secret, which is not kept; an open one is withdrawn.

    The link is mailed to the person in the same write, unless `send_mail` is False, when the caller hands it over.
    It is good for 24 hours (by setting) for somebody who never enrolled, and for 10 minutes (by setting) for a new
    phone of somebody who did. Raises NotFound, Conflict (suspended or removed; somebody else invites just now).
    """
    tenant = await show_tenant(deps, slug)
    account = await show_account(deps, slug, name)
    if account.status not in INVITABLE:
        raise Conflict(
            "admin.account.not_invitable", upn=account.upn, tenant=slug, status=account.status.value
        )
    link = _new_link(deps, account, new_id(deps.ids))
    await withdraw_open(deps, account)
    if not await _keep(deps, tenant, account, link, send_mail=send_mail):
        # Somebody else has invited the person since. Only one invitation of an account is open at a time.
        raise Conflict("admin.account.being_invited", upn=account.upn)
    now = await deps.accounts.get(slug, account.id)
    if now is None or now.email != account.email:
        # The address was changed since it was read: that change has withdrawn this invitation, or came too early to
        # see it (docs/flows/change-details.md). Either way the link is on its way to the address of before.
        await deps.invitations.change(slug, link.invitation.id, withdraw)
        raise Conflict("admin.account.changed", upn=account.upn)
    return link


def _new_link(
    deps: Dependencies, account: Account, invitation: str, renews: Invitation | None = None
) -> InvitationLink:
    """An invitation of that id, not kept yet, and its link."""
    seed = deps.ids.random_bytes(32)
    now = deps.clock.now()
    lifetime = (
        timedelta(minutes=deps.settings.rebinding_minutes)
        if account.enrolled
        else timedelta(hours=deps.settings.invitation_hours)
    )
    made = Invitation(
        id=invitation,
        tenant=account.tenant,
        account=account.id,
        public_key=b64u(raw_public(key_from_seed(seed))),
        issued_at=now,
        expires_at=now + lifetime,
        session_epoch=account.session_epoch,
        invited_at=None if renews is None else renews.invited_at or renews.issued_at,
        asked=() if renews is None else check_renewal(renews, account, now),
    )
    return InvitationLink(made, f"{deps.phone_origin}/#i={invitation}.{b64u(seed)}")


async def _keep(
    deps: Dependencies, tenant: Tenant, account: Account, link: InvitationLink, *, send_mail: bool = True
) -> bool:
    """Keep the invitation, and mail its link in the same write. False when the account has an open one, or it is there
    already.
    """
    mail = invitation_mail(tenant, account, link.invitation, link.url, deps.settings.mail_language)
    messages = [deps.mail_message(mail, link.invitation)] if send_mail else []
    return await deps.invitations.add(link.invitation, *messages)


async def renew_invitation(deps: Dependencies, received: VerifiedMessage[RenewInvitation]) -> None:
    """`admin.invitation.renew.v1`: mail a new link to somebody whose link no longer works, if it may be.

    The new invitation's id comes from the command's, so a copy of the command finds it there and brings no second mail.
    The one whose place it takes names it first, in one conditional update: of two commands at once one gets it, and the
    count of the day goes on in the new one. Raises Reject (no such invitation of that account), Unavailable.
    """
    command, slug = received.message, received.tenant
    named = await deps.invitations.get(slug, command.invitation)
    if named is None or named.account != command.account:
        raise Reject("no such invitation of that account")
    made = _renewal_id(received.envelope.id)
    if await deps.invitations.get(slug, made) is not None:
        return
    tenant, account = await deps.tenants.get(slug), await deps.accounts.get(slug, command.account)
    latest = await deps.invitations.latest_of(slug, command.account)
    if tenant is None or account is None or latest is None:
        return
    try:
        if latest.renewed_by is None:
            check_renewal(latest, account, deps.clock.now())
            marked = await deps.invitations.change(
                slug,
                latest.id,
                lambda before: None if before.renewed_by else before.renewed(made),
                cause=received.envelope,
            )
            if marked is None:
                return  # another command was faster, and its mail is on its way
            latest = marked
        assert latest.renewed_by is not None
        # If a crash came between the two writes, the one that was named is made now, by whichever command comes.
        link = _new_link(deps, account, latest.renewed_by, renews=latest)
    except NotRenewed as refusal:
        log.info("invitation.not_renewed", tenant=slug, account=command.account, reason=str(refusal))
        return
    if await _keep(deps, tenant, account, link):
        now = await deps.accounts.get(slug, account.id)
        if now is None or now.email != account.email:
            await deps.invitations.change(slug, link.invitation.id, withdraw, cause=received.envelope)
            log.info("invitation.address_changed", tenant=slug, account=account.id)
            return
        log.info("invitation.renewed", tenant=slug, account=account.id, invitation=link.invitation.id)


def _renewal_id(command: str) -> str:
    return b64u(hashlib.sha256(f"renewal\0{command}".encode()).digest()[:16])


async def expire_invitations(deps: Dependencies) -> int:
    """Say of every invitation whose time is over that it expired, at most `SWEEP_BATCH` at once; how many were found.

    Not before its device could no longer be under way (`GRACE`). Any replica may do it. Raises Unavailable.
    """
    now = deps.clock.now()
    found = await deps.invitations.over(now - GRACE, SWEEP_BATCH)

    def expire(invitation: Invitation) -> Invitation | None:
        return invitation.expired() if invitation.status == "open" and is_over(invitation, now) else None

    for invitation in found:
        await deps.invitations.change(invitation.tenant, invitation.id, expire)
    return len(found)


async def withdraw_all(deps: Dependencies) -> int:
    """Withdraw every open invitation of every tenant; how many. Safe to repeat and to interrupt. Raises Unavailable.

    For a backup that was put back: since it was made an invitation may have been used, or withdrawn because its person
    was signed out everywhere, and the backup calls it open.
    """
    count, ever = 0, deps.clock.now() + LONGEST
    while found := await deps.invitations.over(ever, SWEEP_BATCH):
        for invitation in found:
            count += await deps.invitations.change(invitation.tenant, invitation.id, withdraw) is not None
    return count


async def sweep(deps: Dependencies) -> None:
    """`expire_invitations` for ever, at once again while there is more than it takes. Raises Unavailable."""
    while True:
        if await expire_invitations(deps) < SWEEP_BATCH:
            await deps.clock.sleep(SWEEP_EVERY)
