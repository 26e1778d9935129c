"""What an administrator asks for one person (docs/flows/provisioning.md, step 9)."""

import structlog

from services.provisioning.domain.person import Person, State, asked_again
from services.provisioning.ports import Dependencies
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.provisioning import RetryPerson

log = structlog.get_logger(__name__)


async def retry_person(deps: Dependencies, received: VerifiedMessage[RetryPerson]) -> None:
    """`provisioning.person.retry.v1`: try again what has failed. A copy that arrives later finds another version, and
    changes nothing.
    """
    command, now = received.message, deps.clock.now()

    def again(before: Person) -> Person | None:
        if before.state is not State.FAILED or before.told.version != command.version:
            return None
        return asked_again(before, now)

    if await deps.people.touch(received.tenant, command.account, again, now) is None:
        log.info("person.late_retry", tenant=received.tenant, account=command.account)
        return
    deps.queue.wake(received.tenant)
