"""How an application looks, and the keys that sign for it."""

from collections.abc import Callable
from typing import Protocol

from services.admin.domain.logos import Logo
from services.admin.domain.signing_keys import KeyRequests
from shared.contracts.envelope import OutgoingMessage


class Logos(Protocol):
    """Logos of organisations. Each write stores the announcement of the new one with it."""

    async def get(self, tenant: str) -> Logo | None:
        """The tenant's; None where it never had one."""
        ...

    async def change(self, tenant: str, step: Callable[[Logo], Logo]) -> Logo:
        """The logo after `step`. Raises Unavailable when others were first each time."""
        ...


class KeyRequestStore(Protocol):
    """The steps of key roll-overs that were asked of wsfed, by tenant."""

    async def get(self, tenant: str) -> KeyRequests:
        """Those of a tenant where nobody has asked for anything are empty."""
        ...

    async def change(
        self, tenant: str, step: Callable[[KeyRequests], KeyRequests | None], command: OutgoingMessage
    ) -> bool:
        """Write what `step` makes of them, and the command with it. False: `step` returned None, nothing was written.

        `step` is called again when somebody else wrote first. Raises what `step` raises; Unavailable.
        """
        ...
