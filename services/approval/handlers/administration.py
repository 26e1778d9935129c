"""Commands that administrators give by way of admin (docs/flows/enrolment.md, "Lost phone", step 2)."""

from services.approval.domain import enrolment, freezing
from services.approval.domain.ids import check_ids
from services.approval.domain.notifications import telling
from services.approval.ports import Dependencies
from shared.contracts.approval import RemoveDevice, UnfreezePush
from shared.contracts.envelope import VerifiedMessage


async def remove_device(deps: Dependencies, received: VerifiedMessage[RemoveDevice]) -> None:
    """Take a lost phone out of use, at once, with its sessions and notifications. Repeats change nothing."""
    command = received.message
    check_ids(received.tenant, command.account)
    await deps.accounts.change(
        received.tenant,
        command.account,
        lambda account: telling(
            account, enrolment.remove_for_admin(account, command.device), deps.clock.now()
        ),
    )


async def unfreeze(deps: Dependencies, received: VerifiedMessage[UnfreezePush]) -> None:
    """Unknown browsers may ask for notifications again, as far as their quota goes.

    Only the freeze that the administrator saw ends: a late or repeated command leaves a newer one alone.
    """
    command = received.message
    check_ids(received.tenant, command.account)
    await deps.accounts.change(
        received.tenant, command.account, lambda account: freezing.end(account, command.freeze)
    )
