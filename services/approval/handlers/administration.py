"""Commands that administrators give by way of admin (docs/flows/enrolment.md, "Lost phone")."""

from services.approval.domain import challenges
from services.approval.domain.ids import check_ids
from services.approval.ports import Dependencies
from shared.contracts.approval import UnfreezePush
from shared.contracts.envelope import VerifiedMessage


async def unfreeze(deps: Dependencies, received: VerifiedMessage[UnfreezePush]) -> None:
    """Unknown browsers may ask for notifications again, as far as their quota goes."""
    check_ids(received.tenant, received.message.account)
    await deps.accounts.change(received.tenant, received.message.account, challenges.unfreeze)
