"""What admin's use cases share: the parts they work with, and small checks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.admin.config import AdminSettings
from services.admin.domain import Account, Invitation, Tenant
from services.admin.ports import Accounts, Errands, Invitations, Phones, Tenants
from shared.clock import Clock
from shared.contracts.admin import AccountStatus
from shared.contracts.envelope import Envelope, MessageSigner, SignedMessage
from shared.contracts.notify import DeviceAddedLetter, InvitationLetter, SendMail, mail_associated_data
from shared.crypto.sealed_box import Sealer
from shared.errors import BadInput, Conflict
from shared.ids import Ids

TRIES = 8
"""How often a step is taken again because somebody else changed the same document."""
MAX_PAGE = 200
BATCH = 500
NOTICE_GOOD_FOR = timedelta(days=1)
"""How long it is tried to tell a person of a new phone."""
INVITABLE = (AccountStatus.INVITED, AccountStatus.ACTIVE)


@dataclass(frozen=True)
class Admin:
    """What the handlers work with."""

    tenants: Tenants
    accounts: Accounts
    invitations: Invitations
    phones: Phones
    errands: Errands
    signer: MessageSigner
    clock: Clock
    ids: Ids
    settings: AdminSettings
    origin: str
    letterbox: Sealer
    """Seals for notify."""

    def tenant_message(self, tenant: Tenant) -> SignedMessage:
        """`admin.tenant.configured.v1`"""
        return self.signer.sign(tenant.event(), tenant=tenant.slug)

    def account_message(self, account: Account, cause: Envelope | None = None) -> SignedMessage:
        """`admin.account.changed.v1`"""
        return self.signer.sign(account.event(), tenant=account.tenant, cause=cause)

    def invitation_message(self, invitation: Invitation, cause: Envelope | None = None) -> SignedMessage:
        """`admin.invitation.changed.v1`"""
        return self.signer.sign(invitation.event(), tenant=invitation.tenant, cause=cause)

    def mail_message(
        self,
        letter: InvitationLetter | DeviceAddedLetter,
        invitation: Invitation,
        expires_at: datetime,
        cause: Envelope | None = None,
    ) -> SignedMessage:
        """`notify.mail.send.v1`: the letter sealed for notify. One invitation has one mail of each kind."""
        delivery = f"{invitation.id}.{letter.kind}"
        place = mail_associated_data(invitation.tenant, delivery)
        command = SendMail(
            delivery=delivery,
            kind=letter.kind,
            expires_at=expires_at,
            sealed=self.letterbox.seal(letter.model_dump_json().encode(), place),
        )
        return self.signer.sign(command, tenant=invitation.tenant, cause=cause)


async def withdraw_open(admin: Admin, account: Account) -> None:
    """No invitation of the account is open afterwards. Raises Conflict."""
    for _ in range(TRIES):
        found = await admin.invitations.open_of(account.tenant, account.id)
        if found is None:
            return
        after = found.withdrawn()
        if await admin.invitations.replace(after, admin.invitation_message(after)):
            return
    raise Conflict("admin.account.being_invited", upn=account.upn)


def checked_limit(limit: int) -> int:
    """The length of a page. Raises BadInput."""
    if not 1 <= limit <= MAX_PAGE:
        raise BadInput("admin.page.limit", longest=MAX_PAGE, limit=limit)
    return limit
