"""Devices that were added to an account, shown to its person where nobody else sees them (docs/flows/notification.md,
step 13): in a browser that has signed in before, and after a proof.

A browser has seen what was added before its own last sign-in: that, too, showed it. Nothing is kept for this, so
whoever adds a device and signs in with it in another browser takes nobody's page away.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.wsfed.domain.session import Session
from services.wsfed.domain.trust import AddedDevice
from services.wsfed.ports import Account, Dependencies
from shared.errors import Conflict

SHOWN_FOR = timedelta(days=30)
"""How long a device is news in a browser that has not signed in with the account before."""


class DevicesAdded(Conflict):
    """The person is to be told of devices before the browser goes on; the sign-in stays as it is."""

    id = "wsfed.device.added"
    code = "devices_added"


async def added_since(deps: Dependencies, account: Account, session: Session) -> Sequence[AddedDevice]:
    """What was added since the sign-in that made this browser known for the account."""
    return await _added(deps, account, session.authentication.authenticated_at)


async def added_besides(
    deps: Dependencies, account: Account, proved_with: str, earlier: Session | None, now: datetime
) -> Sequence[AddedDevice]:
    """What is news after a proof: all but the device that made it, since whoever holds that knows of it."""
    since = now - SHOWN_FOR if earlier is None else earlier.authentication.authenticated_at
    return await _added(deps, account, since, besides=proved_with)


async def _added(
    deps: Dependencies, account: Account, since: datetime, *, besides: str = ""
) -> Sequence[AddedDevice]:
    # Nearly always nothing is new, and the account says so: no sign-in reads more for this.
    if not any(at > since and device != besides for device, at in account.added):
        return ()
    found = await deps.directory.devices_since(account.tenant, account.id, since)
    return [device for device in found if device.id != besides]
