"""What administrators ask of us (docs/flows/enrolment.md, lost phone)."""

from services.approval.domain import challenges, enrolment
from services.approval.handlers.steps import change, check_ids
from services.approval.ports import Parts
from shared.contracts.approval import RemoveDevice, UnfreezePush
from shared.contracts.envelope import VerifiedMessage


async def remove_device(parts: Parts, received: VerifiedMessage[RemoveDevice]) -> None:
    """Take a lost phone out of use, at once, with its sessions and notifications. Repeats change nothing."""
    command = received.message
    check_ids(received.tenant, command.account)
    await change(
        parts,
        received.tenant,
        command.account,
        lambda account: enrolment.remove_for_admin(account, command.device),
    )


async def unfreeze(parts: Parts, received: VerifiedMessage[UnfreezePush]) -> None:
    """Unknown browsers may ask for notifications again, as far as their quota goes."""
    check_ids(received.tenant, received.message.account)
    await change(parts, received.tenant, received.message.account, challenges.unfreeze)
