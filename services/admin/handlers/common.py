"""What several of admin's use cases need."""

from services.admin.domain.accounts import Account
from services.admin.ports import Dependencies
from shared.errors import BadInput, Conflict

TRIES = 8
"""How often a step is taken again because somebody else changed the same document."""
MAX_PAGE = 200
"""The longest page of a list."""


async def withdraw_open(deps: Dependencies, account: Account) -> None:
    """No invitation of the account is open afterwards. Raises Conflict."""
    for _ in range(TRIES):
        found = await deps.invitations.open_of(account.tenant, account.id)
        if found is None:
            return
        after = found.withdrawn()
        if await deps.invitations.replace(after, deps.invitation_message(after)):
            return
    raise Conflict("admin.account.being_invited", upn=account.upn)


def checked_limit(limit: int) -> int:
    """The limit, when it may be the length of a page. Raises BadInput."""
    if not 1 <= limit <= MAX_PAGE:
        raise BadInput("admin.page.limit", longest=MAX_PAGE, limit=limit)
    return limit
