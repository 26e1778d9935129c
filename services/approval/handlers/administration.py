"""Commands that administrators give by way of admin (docs/flows/enrolment.md, "Lost phone")."""

from services.approval.domain import challenges
from services.approval.domain.ids import check_ids
from services.approval.ports import Dependencies
from shared.contracts.approval import UnfreezePush
from shared.contracts.envelope import VerifiedMessage


async def unfreeze(deps: Dependencies, received: VerifiedMessage[UnfreezePush]) -> None:
    """Unknown browsers may ask for notifications again, as far as their quota goes.

    A freeze that began since the administrator asked stays: a copy of the command may come minutes later. The clocks of
    admin and approval are compared for that, so where they differ the administrator may have to ask once more.
    """
    check_ids(received.tenant, received.message.account)
    asked_at = received.envelope.occurred_at
    await deps.accounts.change(
        received.tenant, received.message.account, lambda account: challenges.unfreeze(account, asked_at)
    )
