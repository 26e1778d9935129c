"""Commands that administrators give by way of admin (docs/flows/enrolment.md, "Lost phone")."""

from services.approval.domain import freezing
from services.approval.domain.ids import check_ids
from services.approval.ports import Dependencies
from shared.contracts.approval import UnfreezePush
from shared.contracts.envelope import VerifiedMessage


async def unfreeze(deps: Dependencies, received: VerifiedMessage[UnfreezePush]) -> None:
    """Unknown browsers may ask for notifications again, as far as their quota goes.

    Only the freeze that the administrator saw ends: a late or repeated command leaves a newer one alone.
    """
    command = received.message
    check_ids(received.tenant, command.account)
    await deps.accounts.change(
        received.tenant, command.account, lambda account: freezing.end(account, command.freeze)
    )
