"""People's devices as administrators see them (docs/flows/enrolment.md, "Lost phone", step 1)."""

from collections.abc import Sequence

from services.admin.domain.devices import AdminCommand, KnownDevice
from services.admin.handlers.accounts import show_account
from services.admin.ports import Dependencies
from shared.contracts.approval import RemoveDevice, UnfreezePush
from shared.contracts.envelope import OutgoingMessage
from shared.errors import Conflict, NotFound
from shared.ids import new_id


async def list_devices(deps: Dependencies, slug: str, name: str) -> Sequence[KnownDevice]:
    """The person's devices that are in use, oldest first. Raises NotFound."""
    account = await show_account(deps, slug, name)
    return [device for device in await deps.devices.of(slug, account.id) if device.active]


async def remove_device(
    deps: Dependencies, slug: str, name: str, device: str | None
) -> Sequence[KnownDevice]:
    """Take one device, or with None all devices of the person, out of use within seconds. Returns those devices.

    The sessions that a device opened end with it, because wsfed asks for the device's key each time. Suspending an
    account does not do this: a suspension can be taken back, a removed device must be enrolled again. Raises
    NotFound (no such device), Conflict (None was said and there is no device).
    """
    account = await show_account(deps, slug, name)
    found = [each for each in await list_devices(deps, slug, account.id) if device in (None, each.id)]
    if not found and device is not None:
        raise NotFound("admin.device.unknown", upn=account.upn)
    if not found:
        raise Conflict("admin.device.none", upn=account.upn)
    record = AdminCommand(
        id=new_id(deps.ids),
        tenant=slug,
        account=account.id,
        what="remove_all_devices" if device is None else "remove_device",
        asked_at=deps.clock.now(),
        device=device,
    )
    command = RemoveDevice(account=account.id, device=device)
    await deps.admin_commands.add(record, OutgoingMessage(command, slug))
    return found


async def unfreeze(deps: Dependencies, slug: str, name: str) -> None:
    """End the freeze that somebody's "Not me" began: the one that is known here, and none that begins later.

    Raises NotFound, Conflict (nothing is frozen).
    """
    account = await show_account(deps, slug, name)
    freeze = await deps.freezes.of(slug, account.id)
    if not freeze:
        raise Conflict("admin.push.not_frozen", upn=account.upn)
    record = AdminCommand(
        id=new_id(deps.ids),
        tenant=slug,
        account=account.id,
        what="unfreeze",
        asked_at=deps.clock.now(),
        freeze=freeze,
    )
    command = UnfreezePush(account=account.id, freeze=freeze)
    await deps.admin_commands.add(record, OutgoingMessage(command, slug))
