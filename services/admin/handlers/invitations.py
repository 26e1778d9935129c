"""Invitations (docs/flows/enrolment.md, step 1; docs/flows/notification.md, step 8)."""

from datetime import timedelta

from services.admin.domain.authenticators import GRACE, is_over
from services.admin.domain.invitations import Invitation, invitation_mail
from services.admin.handlers.accounts import show_account
from services.admin.handlers.common import withdraw, withdraw_open
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.contracts.admin import AccountStatus
from shared.crypto.keys import key_from_seed, raw_public
from shared.errors import Conflict
from shared.ids import b64u, new_id

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
    seed = deps.ids.random_bytes(32)
    now = deps.clock.now()
    lifetime = (
        timedelta(minutes=deps.settings.rebinding_minutes)
        if account.enrolled
        else timedelta(hours=deps.settings.invitation_hours)
    )
    invitation = Invitation(
        id=new_id(deps.ids),
        tenant=slug,
        account=account.id,
        public_key=b64u(raw_public(key_from_seed(seed))),
        issued_at=now,
        expires_at=now + lifetime,
        session_epoch=account.session_epoch,
    )
    url = f"{deps.phone_origin}/#i={invitation.id}.{b64u(seed)}"
    mail = invitation_mail(tenant, account, invitation, url, deps.settings.mail_language)
    messages = [deps.mail_message(mail, invitation)] if send_mail else []
    await withdraw_open(deps, account)
    if not await deps.invitations.add(invitation, *messages):
        # Somebody else has invited the person since. Only one invitation of an account is open at a time.
        raise Conflict("admin.account.being_invited", upn=account.upn)
    return InvitationLink(invitation, url)


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
