"""The browsers in which people are known (docs/flows/sign-out-everywhere.md, steps 6 and 7)."""

from collections.abc import Sequence

from services.admin.domain.browsers import Browser
from services.admin.domain.devices import AdminCommand
from services.admin.handlers.accounts import show_account
from services.admin.handlers.devices import list_devices
from services.admin.ports import Dependencies
from shared.contracts.admin import AuthenticatorStatus
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.wsfed import RemoveBrowser
from shared.errors import NotFound
from shared.ids import new_id


async def list_browsers(deps: Dependencies, slug: str, name: str) -> Sequence[Browser]:
    """The browsers in which the person is known now, the one that was used last first. Raises NotFound."""
    account, now = await show_account(deps, slug, name), deps.clock.now()
    ended = (AuthenticatorStatus.REFUSED, AuthenticatorStatus.REVOKED)
    in_use = {each.id for each in await list_devices(deps, slug, account.id) if each.status not in ended}
    found = await deps.browsers.of(slug, account.id)
    return [each for each in found if each.known_to(account, now) and each.device in in_use]


async def remove_browser(deps: Dependencies, slug: str, name: str, browser: str) -> Browser:
    """Make the browser a stranger's within seconds, and end the session there. Returns that browser.

    The command names the version that is listed now, so that a late copy of it changes nothing that came since. Raises
    NotFound.
    """
    account = await show_account(deps, slug, name)
    found = next((each for each in await list_browsers(deps, slug, account.id) if each.id == browser), None)
    if found is None:
        raise NotFound("admin.browser.unknown", upn=account.upn)
    record = AdminCommand(
        id=new_id(deps.ids),
        tenant=slug,
        account=account.id,
        what="remove_browser",
        asked_at=deps.clock.now(),
        browser=browser,
    )
    command = RemoveBrowser(account=account.id, browser=browser, version=found.seen_version)
    await deps.admin_commands.add(record, OutgoingMessage(command, slug))
    return found
