"""What several of admin's handlers share."""

from services.admin.domain.accounts import Account
from services.admin.domain.invitations import Invitation
from services.admin.ports import Dependencies
from shared.errors import BadInput

MAX_PAGE = 200
"""The longest page of a list."""


async def withdraw_open(deps: Dependencies, account: Account) -> bool:
    """Withdraw the account's open invitation, if it has one. Whether this call withdrew one."""
    withdrawn = False
    while (found := await deps.invitations.open_of(account.tenant, account.id)) is not None:
        withdrawn |= await deps.invitations.change(account.tenant, found.id, withdraw) is not None
    return withdrawn


def withdraw(invitation: Invitation) -> Invitation | None:
    """The invitation, withdrawn; None when it is not open."""
    return invitation.withdrawn() if invitation.status == "open" else None


def checked_limit(limit: int) -> int:
    """The limit, when it may be the length of a page. Raises BadInput."""
    if not 1 <= limit <= MAX_PAGE:
        raise BadInput("admin.page.limit", longest=MAX_PAGE, limit=limit)
    return limit
