"""How a person's user in the directory is to be, by what admin says of the account and what the tenant chose."""

import re
from dataclasses import dataclass
from enum import Enum

from shared.contracts.admin import AccountStatus
from shared.contracts.provisioning import WhenRemoved, WhenSuspended
from shared.directory import FaultKey

UPN = re.compile(r"(?P<local>[A-Za-z0-9'.\-_!#^~]{1,64})@(?P<domain>[A-Za-z0-9.-]{1,253})")
"""Characters of a userPrincipalName (Microsoft Graph, user resource)."""
MAX_UPN = 113
MAX_DISPLAY_NAME = 256
MAX_IMMUTABLE_ID = 64


@dataclass(frozen=True, slots=True)
class Account:
    """What admin says of an account (`admin.account.changed.v1`)."""

    tenant: str
    account: str
    upn: str
    display_name: str
    immutable_id: str
    status: AccountStatus
    epoch: int
    """`CarriesSessionEpoch.epoch`."""
    order: int
    """`StateEvent.order` of what this was made from."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What admin says of the person beside it (`admin.profile.changed.v1`)."""

    first_name: str
    last_name: str
    usage_location: str
    licences: tuple[str, ...]
    order: int


@dataclass(frozen=True, slots=True)
class Policy:
    """What the tenant chose for people who are suspended or removed."""

    when_suspended: WhenSuspended = "disable"
    when_removed: WhenRemoved = "delete"


class Presence(Enum):
    """Whether there is to be a user."""

    PRESENT = "present"
    """It is made where there is none."""
    KEPT = "kept"
    """One that is there is kept and changed; none is made."""
    LEFT = "left"
    """One that is there is left as it is; only its sessions are revoked."""
    ABSENT = "absent"
    """One that is there is deleted."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The properties of a user that provisioning sets; nothing else of it is ever touched."""

    upn: str
    display_name: str
    given_name: str
    surname: str
    usage_location: str
    enabled: bool
    licences: tuple[str, ...] = ()
    """SKU ids, sorted. What is applied to a user lists those only that were assigned from here."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the user is to be."""

    presence: Presence
    immutable_id: str
    facts: Facts
    epoch: int
    """Microsoft's sessions of an earlier epoch are to be revoked."""


def is_urgent(account: Account) -> bool:
    """Whether the person is to be kept out: that goes before all that is not."""
    return not account.status.can_sign_in


def wanted(account: Account, profile: Profile, policy: Policy) -> Wanted:
    """How the user of that account is to be."""
    presence, enabled = Presence.PRESENT, True
    if account.status is AccountStatus.SUSPENDED:
        presence, enabled = Presence.KEPT, policy.when_suspended == "keep"
    elif account.status is AccountStatus.REMOVED:
        presence = {"delete": Presence.ABSENT, "disable": Presence.KEPT, "keep": Presence.LEFT}[
            policy.when_removed
        ]
        enabled = False
    facts = Facts(
        upn=account.upn,
        display_name=account.display_name,
        given_name=profile.first_name,
        surname=profile.last_name,
        usage_location=profile.usage_location,
        enabled=enabled,
        licences=tuple(sorted(set(profile.licences))),
    )
    return Wanted(presence, account.immutable_id, facts, account.epoch)


def name_fault(upn: str) -> FaultKey | None:
    """Why Entra would refuse the user name; None when it would not for its form. Saves a request that must fail.

    Not verified: that its domain is one of the directory's.
    """
    match = UPN.fullmatch(upn)
    if match is None or len(upn) > MAX_UPN:
        return FaultKey.NAME_REFUSED
    local = match["local"]
    return FaultKey.NAME_REFUSED if local[0] == "." or local[-1] == "." or ".." in local else None


def mail_nickname(upn: str) -> str:
    r"""The mailNickname of a new user: the user name before the @, which has no character that a nickname may not have
    (`@ ( ) \ [ ] " ; : < > ,` and the space), and at most 64.
    """
    return upn.partition("@")[0]
