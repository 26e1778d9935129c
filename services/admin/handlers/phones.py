"""People's phones as administrators see them: which there are, a lost one, a freeze (docs/flows/enrolment.md)."""

from collections.abc import Sequence

from services.admin.domain import Errand, Phone
from services.admin.handlers.common import Admin
from services.admin.handlers.people import show_account
from shared.contracts.approval import RemoveDevice, UnfreezePush
from shared.errors import Conflict, NotFound
from shared.ids import new_id


async def list_phones(admin: Admin, slug: str, name: str) -> Sequence[Phone]:
    """The person's phones that are in use, oldest first. Raises NotFound."""
    account = await show_account(admin, slug, name)
    return [phone for phone in await admin.phones.of(slug, account.id) if phone.active]


async def remove_phone(admin: Admin, slug: str, name: str, phone: str | None) -> Sequence[Phone]:
    """A lost phone, or with None all of them, out of use within seconds; those that it concerns.

    The sessions that it opened end, because wsfed asks for its key each time. Suspending an account does not do
    this: a suspension can be taken back, a removed phone must be enrolled again. Raises NotFound, Conflict.
    """
    account = await show_account(admin, slug, name)
    found = [each for each in await list_phones(admin, slug, account.id) if phone in (None, each.id)]
    if not found and phone is not None:
        raise NotFound("admin.phone.unknown", upn=account.upn)
    if not found:
        raise Conflict("admin.phone.none", upn=account.upn)
    errand = Errand(
        id=new_id(admin.ids),
        tenant=slug,
        account=account.id,
        what="remove_all_phones" if phone is None else "remove_phone",
        asked_at=admin.clock.now(),
        phone=phone,
    )
    command = RemoveDevice(account=account.id, device=phone)
    await admin.errands.add(errand, admin.signer.sign(command, tenant=slug))
    return found


async def unfreeze(admin: Admin, slug: str, name: str) -> None:
    """End the freeze that somebody's "Not me" began, whether there is one or not. Raises NotFound."""
    account = await show_account(admin, slug, name)
    errand = Errand(
        id=new_id(admin.ids),
        tenant=slug,
        account=account.id,
        what="unfreeze",
        asked_at=admin.clock.now(),
    )
    command = UnfreezePush(account=account.id)
    await admin.errands.add(errand, admin.signer.sign(command, tenant=slug))
