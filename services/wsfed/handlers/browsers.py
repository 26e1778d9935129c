"""Known browsers: their list, which admin follows, and their removal (docs/flows/sign-out-everywhere.md)."""

from datetime import datetime

import structlog

from services.wsfed.domain.browser import KnownBrowser, day, first_known
from services.wsfed.domain.session import Session
from services.wsfed.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.wsfed import RemoveBrowser

log = structlog.get_logger(__name__)


async def keep_browser(
    deps: Dependencies, session: Session, known: Session | None, agent: str, now: datetime
) -> None:
    """Step 5: list the browser of a new session, if that makes it known, or known in another way.

    `known`: the session before, if it made the browser known. Nothing is written for the usual sign-in, by the same
    device in the same browser.
    """
    if known is None or session.browser != known.browser:
        await deps.browsers.add(first_known(session, agent, now))
    elif (session.device, session.enrolled_by) != (known.device, known.enrolled_by):
        await deps.browsers.change(session.browser, lambda browser: browser.known_by(session, now))
    else:
        note_seen(deps, known, now)


def note_seen(deps: Dependencies, before: Session, now: datetime) -> None:
    """Have the day kept on which the session's browser got a token, if that is the first of the day."""
    if before.browser and day(max(before.issued, default=now)) < day(now):
        deps.browsers.note_seen(before.browser, now)


async def replace_session(deps: Dependencies, earlier: Session, session: Session) -> None:
    """Forget the session that a new one replaces. If an administrator removed the browser meanwhile, forget both: the
    new one would make it known under an id that no list shows any more.
    """
    if await deps.sessions.forget(earlier.id) or session.browser != earlier.browser:
        return
    browser = await deps.browsers.get(session.browser)
    if browser is None or browser.removed_at is not None:
        await deps.sessions.forget(session.id)


async def remove_browser(deps: Dependencies, received: VerifiedMessage[RemoveBrowser]) -> None:
    """Step 7: the browser is known no longer, and its session is over. Repeats change nothing.

    Raises Reject when the browser is somebody else's, Unavailable.
    """
    command, now = received.message, deps.clock.now()
    browser = await deps.browsers.get(command.browser)
    if browser is None:
        return  # its time was over before the command came
    if (browser.tenant, browser.account) != (received.tenant, command.account):
        raise Reject("the browser is somebody else's")

    def remove(before: KnownBrowser) -> KnownBrowser | None:
        return before.remove(command.version, now)

    removed = await deps.browsers.change(browser.id, remove, cause=received.envelope)
    if removed is None:
        browser = await deps.browsers.get(browser.id)
        if browser is None or browser.removed_at is None:
            log.warning("browser.removal_out_of_date", tenant=received.tenant, browser=command.browser)
            return
    # Last, and also in a repetition: a crash between the two writes leaves no session behind.
    await deps.sessions.forget_browser(command.browser)
