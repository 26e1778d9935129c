"""What becomes of them in Entra."""

from collections.abc import Callable, Sequence
from typing import Protocol

from services.admin.domain.accounts import AccountId
from services.admin.domain.directory import DirectorySettings
from shared.contracts.envelope import OutgoingMessage, VerifiedMessage
from shared.contracts.provisioning import ConnectionChanged, PersonChanged


class DirectorySettingsStore(Protocol):
    """What was asked of provisioning, by tenant."""

    async def get(self, tenant: str) -> DirectorySettings:
        """Those of a tenant that never asked for anything are empty."""
        ...

    async def change(
        self,
        tenant: str,
        step: Callable[[DirectorySettings], DirectorySettings],
        command: Callable[[DirectorySettings], OutgoingMessage],
    ) -> DirectorySettings:
        """The settings after `step`, written with the command that `command` makes of them.

        Both are called again when somebody else wrote first. Raises what `step` raises.
        """
        ...


class Directory(Protocol):
    """Connections, and people in Entra, as provisioning announces them: projections, only higher versions."""

    async def keep_connection(self, received: VerifiedMessage[ConnectionChanged]) -> None: ...

    async def keep_person(self, received: VerifiedMessage[PersonChanged]) -> None: ...

    async def connection(self, tenant: str) -> ConnectionChanged | None: ...

    async def person(self, tenant: str, account: AccountId) -> PersonChanged | None: ...

    async def failed(self, tenant: str, after: AccountId, limit: int) -> Sequence[PersonChanged]:
        """Those whose job has failed, in the order of their accounts, behind that one."""
        ...
