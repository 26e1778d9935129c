"""Accounts: what they are, what may become of them, what may be written in them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from services.admin.domain.names import check_host, shown
from services.admin.domain.tenants import Tenant
from shared.contracts.admin import AccountChanged, AccountStatus, ProfileChanged
from shared.contracts.envelope import Envelope, OutgoingMessage
from shared.errors import BadInput, Conflict
from shared.ids import unb64u

AccountId = str
UPN_LOCAL = re.compile(r"[a-z0-9'.\-_!#^~]{1,64}")
"""Characters that Entra takes in a userPrincipalName, lower-cased (Microsoft Graph, user resource)."""
MAX_UPN = 113
"""Microsoft's limit: 64 before the @, 48 after."""
MAX_DISPLAY_NAME = 256
MAX_EMAIL = 254
UNDO = timedelta(days=30)
"""How long a removal can be undone. Entra keeps deleted users as long, and deletes them no earlier than this begins."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal that can still be undone. Meanwhile the account holds its user name (docs/flows/removal.md)."""

    at: datetime
    final_at: datetime
    """From then on, by admin's clock, it cannot be undone any more."""
    was_suspended: bool
    """Whether the account was suspended: undoing the removal does not undo the suspension."""


@dataclass(frozen=True, slots=True)
class Account:
    """One person's account with a tenant."""

    id: AccountId
    tenant: str
    upn: str
    first_name: str
    last_name: str
    display_name: str
    email: str
    """Where invitations are mailed. It may be a private address, since a new mailbox cannot be read yet."""
    immutable_id: str
    """onPremisesImmutableId in Entra and NameIdentifier in the token. Never changes."""
    status: AccountStatus
    enrolled: bool
    """Whether a phone was ever enrolled. It decides to which status `resume` leads."""
    created_at: datetime
    session_epoch: int = 0
    """Raised when everything that was begun for the person is to end. It never goes back."""
    usage_location: str = ""
    """Country of two letters, which licences need; empty: none is set from here."""
    licences: tuple[str, ...] = ()
    """SKU ids of the licences that are assigned from here."""
    removal: Removal | None = None
    """Of a removed account whose removal can be undone; None in one that was removed for good, which is a tombstone."""
    restorations: int = 0
    """How often a removal was undone. A phone that was decided on before the last time enrols nobody any more."""
    version: int = 1

    @property
    def is_tombstone(self) -> bool:
        """Whether it was removed for good. Only its ids are left, and its user name is free."""
        return self.status is AccountStatus.REMOVED and self.removal is None

    def event(self) -> AccountChanged:
        """The state that other services may know: all but the names' parts and the e-mail address."""
        return AccountChanged(
            version=self.version,
            account=self.id,
            upn=self.upn,
            display_name=self.display_name,
            immutable_id=self.immutable_id,
            status=self.status,
            session_epoch=self.session_epoch,
        )

    def profile(self) -> ProfileChanged:
        """What provisioning alone may know besides."""
        return ProfileChanged(
            version=self.version,
            account=self.id,
            first_name=self.first_name,
            last_name=self.last_name,
            usage_location=self.usage_location,
            licences=self.licences,
        )

    def announced(self, cause: Envelope | None = None) -> OutgoingMessage:
        """`admin.account.changed.v1`. `cause`: the envelope of the message that led to it."""
        return OutgoingMessage(self.event(), self.tenant, cause)


class AccountAction(Enum):
    """What can happen to an account."""

    ENROL = "enrol"
    SUSPEND = "suspend"
    RESUME = "resume"
    REMOVE = "remove"
    SIGN_OUT_EVERYWHERE = "sign_out_everywhere"


TRANSITIONS: Mapping[tuple[AccountStatus, AccountAction], AccountStatus] = {
    (AccountStatus.INVITED, AccountAction.ENROL): AccountStatus.ACTIVE,
    (AccountStatus.INVITED, AccountAction.SUSPEND): AccountStatus.SUSPENDED,
    (AccountStatus.INVITED, AccountAction.REMOVE): AccountStatus.REMOVED,
    (AccountStatus.INVITED, AccountAction.SIGN_OUT_EVERYWHERE): AccountStatus.INVITED,
    (AccountStatus.ACTIVE, AccountAction.ENROL): AccountStatus.ACTIVE,
    (AccountStatus.ACTIVE, AccountAction.SUSPEND): AccountStatus.SUSPENDED,
    (AccountStatus.ACTIVE, AccountAction.REMOVE): AccountStatus.REMOVED,
    (AccountStatus.ACTIVE, AccountAction.SIGN_OUT_EVERYWHERE): AccountStatus.ACTIVE,
    # A phone that is enrolled while the account is suspended opens nothing until an administrator resumes it.
    (AccountStatus.SUSPENDED, AccountAction.ENROL): AccountStatus.SUSPENDED,
    (AccountStatus.SUSPENDED, AccountAction.RESUME): AccountStatus.ACTIVE,
    (AccountStatus.SUSPENDED, AccountAction.REMOVE): AccountStatus.REMOVED,
    (AccountStatus.SUSPENDED, AccountAction.SIGN_OUT_EVERYWHERE): AccountStatus.SUSPENDED,
}
"""Every action that a status allows. `apply_action` refuses any other pair. Out of `removed` leads only `restore`."""

ENDS_WHAT_WAS_BEGUN = frozenset(
    {AccountAction.SUSPEND, AccountAction.REMOVE, AccountAction.SIGN_OUT_EVERYWHERE}
)
"""Actions after which no session, known browser, open invitation or sign-in from before counts, for good. Without this
a suspension that is resumed would bring them all back.
"""


def apply_action(account: Account, action: AccountAction) -> Account:
    """The account after the action. Raises Conflict when its status does not allow it.

    A removal is done by `remove`, which keeps its time.
    """
    status = TRANSITIONS.get((account.status, action))
    if status is None:
        raise _wrong_status(account, action.value)
    enrolled = account.enrolled or action is AccountAction.ENROL
    if action is AccountAction.RESUME and not enrolled:
        status = AccountStatus.INVITED
    return replace(
        account,
        status=status,
        enrolled=enrolled,
        session_epoch=account.session_epoch + (action in ENDS_WHAT_WAS_BEGUN),
        version=account.version + 1,
    )


def remove(account: Account, now: datetime) -> Account:
    """The account, removed, for `UNDO` not for good. Raises Conflict when it is removed already."""
    removal = Removal(now, now + UNDO, was_suspended=account.status is AccountStatus.SUSPENDED)
    return replace(apply_action(account, AccountAction.REMOVE), removal=removal)


def restore(account: Account, now: datetime) -> Account:
    """The account after its removal was undone: as if nobody had ever enrolled a phone, since none comes back.

    Raises Conflict: it is not removed, or it is too late by `now`, whether the removal was made final yet or not.
    """
    removal = account.removal
    if account.status is not AccountStatus.REMOVED:
        raise _wrong_status(account, "restore")
    if removal is None or now >= removal.final_at:
        raise Conflict("admin.account.removed_for_good", account=account.upn or account.id)
    status = AccountStatus.SUSPENDED if removal.was_suspended else AccountStatus.INVITED
    return replace(
        account,
        status=status,
        enrolled=False,
        removal=None,
        restorations=account.restorations + 1,
        version=account.version + 1,
    )


def finish_removal(account: Account, now: datetime) -> Account | None:
    """The account as a tombstone: nothing that says who it was. None when the removal is not due, or was undone.

    What stays is what keeps an id, an ImmutableID and a session epoch from ever meaning somebody else.
    """
    if account.removal is None or now < account.removal.final_at:
        return None
    return _forgotten(account)


def forget(account: Account) -> Account | None:
    """A tombstone from a release in which a removal was final at once, without what says who it was; None for any
    other account.
    """
    return _forgotten(account) if account.is_tombstone and account.upn else None


def _forgotten(account: Account) -> Account:
    return replace(
        account,
        upn="",
        first_name="",
        last_name="",
        display_name="",
        email="",
        usage_location="",
        licences=(),
        removal=None,
        version=account.version + 1,
    )


def rename(account: Account, upn: str) -> Account:
    """The account under another user name. Its ImmutableID and its devices stay, since they hang on the account's id.

    `upn`: checked by `check_upn`. Raises Conflict for a removed account.
    """
    if account.status is AccountStatus.REMOVED:
        raise _wrong_status(account, "rename")
    return replace(account, upn=upn, version=account.version + 1)


def _wrong_status(account: Account, step: str) -> Conflict:
    return Conflict(
        "admin.account.wrong_status",
        upn=account.upn,
        tenant=account.tenant,
        status=account.status.value,
        step=step,
    )


def immutable_id(account: AccountId) -> str:
    """Hexadecimal of the account id's 16 octets: no `$`, no `_`, the same in whatever case it comes back."""
    return unb64u(account).hex()


def check_upn(text: str, tenant: Tenant) -> str:
    """A userPrincipalName in one of the tenant's domains or under one, lower case. Raises BadInput.

    Entra lets a sub-domain follow its federated root; once it is promoted, it is a domain of its own here, too.
    """
    known = ", ".join(d.name for d in tenant.domains) or "none yet"
    local, at, domain = text.strip().rpartition("@")
    if text.strip() and not at:
        raise BadInput("admin.upn.no_domain", upn=shown(text), known=known)
    allowed = local.isascii() and UPN_LOCAL.fullmatch(local.lower())  # lower() turns the Kelvin sign into a k
    local = local.lower()
    if not at or not allowed or local[0] == "." or local[-1] == "." or ".." in local:
        raise BadInput("admin.upn.malformed", upn=shown(text))
    name = check_host(domain)
    if not any(name == d.name or name.endswith(f".{d.name}") for d in tenant.domains):
        raise BadInput("admin.upn.other_domain", domain=name, tenant=tenant.name, known=known)
    upn = f"{local}@{name}"
    if len(upn) > MAX_UPN:
        raise BadInput("admin.upn.too_long", upn=upn, length=len(upn), longest=MAX_UPN)
    return upn


def check_location(text: str) -> str:
    """A country of two letters (ISO 3166-1), upper case, or nothing. Raises BadInput. Not checked: that it exists."""
    location = text.strip().upper()
    if location and not re.fullmatch("[A-Z]{2}", location):
        raise BadInput("admin.location.malformed", location=shown(text))
    return location


def same_profile(one: Account, other: Account) -> bool:
    """Whether provisioning would be told the same of both."""
    return replace(one, version=1).profile() == replace(other, version=1).profile()


def check_email(text: str) -> str:
    """An address that mail can be sent to, as it was written. Raises BadInput. Not checked: that it exists."""
    address = text.strip()
    local, at, domain = address.rpartition("@")
    if (
        not at
        or not 1 <= len(local) <= 64
        or len(address) > MAX_EMAIL
        or not all(c.isprintable() and c not in ' "(),:;<>@[\\]' for c in local)
    ):
        raise BadInput("admin.email.malformed", address=shown(text))
    return f"{local}@{check_host(domain)}"
