"""Known browsers on both databases."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from services.wsfed.domain.authentication import Method, VerifiedAuthentication
from services.wsfed.domain.browser import KnownBrowser, day, first_known
from services.wsfed.domain.session import KNOWN_FOR, Session
from services.wsfed.store import BrowserRepository, SessionRepository
from shared.clock import ManualClock
from shared.contracts.wsfed import BrowserChanged
from shared.store.port import Database
from tests.world import START, make_system

CLOCK = ManualClock(START)
EPOCH = 7 * 2**31 + 5
"""Of the fifth end after a restore."""


def a_session(session: str = "s" * 64, **changes: str | None) -> Session:
    authentication = VerifiedAuthentication(
        tenant="contoso",
        account="ada",
        method=Method.BLOKKEY_PUSH,
        user_verified=True,
        registered_kiosk=False,
        authenticated_at=START,
        session_epoch=EPOCH,
    )
    made = {"device": "device-1", "browser": "browser-1", "enrolled_by": None, **changes}
    return Session(
        id=session,
        authentication=authentication,
        ends_at=START + timedelta(hours=8),
        idle_ends_at=START + timedelta(hours=2),
        **made,  # type: ignore[arg-type]
    )


@pytest.fixture
def browsers(database: Database, tmp_path: Path) -> BrowserRepository:
    return BrowserRepository(database, make_system(tmp_path).signer("wsfed"), CLOCK)


def a_browser() -> KnownBrowser:
    return first_known(a_session(), "Firefox on Windows", START)


async def test_what_was_kept_comes_back(browsers: BrowserRepository) -> None:
    await browsers.add(a_browser())
    assert await browsers.get("browser-1") == a_browser()
    assert await browsers.get("browser-2") is None
    vouched = a_session(enrolled_by="device-1")
    changed = await browsers.change("browser-1", lambda browser: browser.known_by(vouched, START))
    assert changed is not None
    assert (changed.method, changed.version, changed.known_version) == (Method.PASSKEY, 2, 2)
    assert await browsers.get("browser-1") == changed


async def test_a_session_epoch_after_a_restore_is_kept_whole_and_told_as_admin_said_it(
    browsers: BrowserRepository, database: Database
) -> None:
    await browsers.add(a_browser())
    kept = await browsers.get("browser-1")
    assert kept is not None
    assert (kept.session_epoch, kept.event().session_epoch) == (EPOCH, 5)
    sessions = SessionRepository(database)
    await sessions.add(a_session())
    read = await sessions.get("s" * 64)
    assert read == a_session()
    assert read.begun_under(EPOCH)
    assert not read.begun_under(5)


async def test_a_removed_browser_is_removed_once_and_never_known_again(browsers: BrowserRepository) -> None:
    await browsers.add(a_browser())
    removals = (browsers.change("browser-1", lambda browser: browser.remove(1, START)) for _ in range(10))
    assert sum(done is not None for done in await asyncio.gather(*removals)) == 1
    later = START + timedelta(days=1)
    assert await browsers.change("browser-1", lambda browser: browser.seen(later)) is None
    assert await browsers.change("browser-1", lambda browser: browser.known_by(a_session(), later)) is None


async def test_documents_stay_eight_days_after_a_browser_is_known_no_longer(
    browsers: BrowserRepository, database: Database
) -> None:
    await browsers.add(a_browser())
    collection = browsers.source.collection
    (document,) = await collection.find({})
    assert document["remove_at"] == day(START) + timedelta(days=1) + KNOWN_FOR + timedelta(days=8)
    assert BrowserChanged.MAX_AGE is not None
    assert timedelta(days=8) > BrowserChanged.MAX_AGE
    await browsers.change("browser-1", lambda browser: browser.remove(1, START))
    (document,) = await collection.find({})
    assert document["remove_at"] == START + timedelta(days=8)


async def test_days_that_were_noted_are_written_once_and_never_back(browsers: BrowserRepository) -> None:
    await browsers.add(a_browser())
    for later in (timedelta(days=2), timedelta(days=2, hours=3)):
        browsers.note_seen("browser-1", START + later)
    await browsers.flush()
    await browsers.flush()
    browsers.note_seen("browser-1", START + timedelta(days=1))  # a clock that is behind
    browsers.note_seen("gone", START)
    await browsers.flush()
    kept = await browsers.get("browser-1")
    assert kept is not None
    assert (kept.last_seen, kept.version) == (day(START) + timedelta(days=2), 2)


async def test_all_sessions_of_a_browser_go_and_no_others(database: Database) -> None:
    sessions = SessionRepository(database)
    await sessions.add(a_session("1" * 64))
    await sessions.add(a_session("2" * 64))
    await sessions.add(a_session("3" * 64, browser="browser-2"))
    await sessions.add(a_session("4" * 64, browser=""))
    await sessions.forget_browser("")
    await sessions.forget_browser("browser-1")
    left = [await sessions.get(session * 64) is not None for session in "1234"]
    assert left == [False, False, True, True]
    assert await sessions.forget("3" * 64)
    assert not await sessions.forget("3" * 64)
