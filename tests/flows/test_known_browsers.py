"""docs/flows/sign-out-everywhere.md, steps 5 to 7: an administrator sees where a person is known, and ends it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from deploy.standins.phone.phone import SoftPhone
from services.admin import handlers as admin
from services.admin.domain.browsers import Browser
from services.wsfed.store.browsers import BrowserRepository
from services.wsfed.store.sessions import SessionRepository
from shared.contracts.admin import AccountStatus
from shared.contracts.wsfed import BrowserChanged, RemoveBrowser
from shared.errors import NotFound, Unavailable
from shared.services import ACCOUNT_COOKIE_PREFIX
from tests.flows.support import ADA, BOB, TENANT, BrowserWindow, Flow, SignIn
from tests.flows.test_sign_out_everywhere import (
    answered_from_session,
    known_browser,
    sign_in,
    sign_out,
    signed_out,
)

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def listed(flow: Flow, upn: str = ADA) -> list[Browser]:
    return list(await admin.list_browsers(flow.admin, TENANT, upn))


async def removed(flow: Flow, browser: str, upn: str = ADA) -> None:
    await admin.remove_browser(flow.admin, TENANT, upn, browser)
    await flow.world.settle()


async def by_passkey(flow: Flow, phone: SoftPhone, browser: BrowserWindow | None = None) -> SignIn:
    made = await flow.begin(browser=browser)
    assert (await made.passkey(phone)).status == 200
    await made.take()
    return made


def wsfed_store(flow: Flow) -> BrowserRepository:
    """wsfed's own, on its data."""
    database, signer = flow.world.databases["wsfed"], flow.world.signer("wsfed")
    return BrowserRepository(database, signer, flow.world.clock)


async def test_a_browser_is_listed_with_what_it_calls_itself_and_by_what_it_is_known(flow: Flow) -> None:
    phone = await flow.phone()
    await sign_in(flow, phone, await flow.browser(agent=FIREFOX))
    (seen,) = await listed(flow)  # 5, 6
    assert (seen.agent, seen.method, seen.device) == ("Firefox on Windows", "blokkey_push", phone.key.device)
    today = flow.world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    assert (seen.first_seen, seen.known_since, seen.last_seen) == (today, today, today)


async def test_nothing_that_finds_a_session_leaves_wsfed(flow: Flow) -> None:
    """Neither the cookies nor their digests, under which wsfed keeps sessions and transactions."""
    phone = await flow.phone()
    made = await sign_in(flow, phone)
    (session,) = flow.world.documents("wsfed", "sessions")
    secrets = [*made.browser.cookies.values(), session["_id"], made.stored["browser"]]
    said = b"".join(signed.body for signed in flow.sent(BrowserChanged.TYPE)).decode()
    kept = repr(flow.world.databases["admin"].data)
    assert said
    assert [secret for secret in secrets if secret in said or secret in kept] == []


async def test_the_id_stays_from_one_sign_in_to_the_next_and_two_browsers_have_two(flow: Flow) -> None:
    phone = await flow.phone()
    first, second = await sign_in(flow, phone), await sign_in(flow, phone)
    ids = {browser.id for browser in await listed(flow)}
    assert len(ids) == 2
    for made in (first, second):
        await sign_out(flow, made.browser)
        await sign_in(flow, phone, made.browser)
    assert {browser.id for browser in await listed(flow)} == ids
    assert len(flow.sent(BrowserChanged.TYPE)) == 2


async def test_a_passkey_that_vouches_is_told_and_a_later_push_does_not_take_it_back(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    (before,) = await listed(flow)
    flow.world.clock.advance(timedelta(days=2).total_seconds())
    await by_passkey(flow, phone, browser)
    (after,) = await listed(flow)
    assert (before.id, before.method) == (after.id, "blokkey_push")
    assert (after.method, after.known_since - before.known_since) == ("passkey", timedelta(days=2))
    assert after.first_seen == before.first_seen
    await sign_out(flow, browser)
    await sign_in(flow, phone, browser)
    assert await listed(flow) == [after]


async def test_not_me_silences_the_next_request_by_the_same_stolen_cookies(flow: Flow) -> None:
    """The thief takes only the account's cookie along, so each of these sign-ins seems to come from another browser."""
    phone = await flow.phone()
    own = await sign_in(flow, phone)
    stolen = {name: secret for name, secret in own.browser.cookies.items() if ACCOUNT_COOKIE_PREFIX in name}
    for _ in range(2):
        flow.world.clock.advance(60)
        thief = await flow.browser()
        thief.steal(stolen)
        asked = await flow.begin(browser=thief, prompt="login")
        await asked.push()
        (request,) = await phone.list()
        assert request.facts["known_browser"] is True
        await phone.not_me(request)
    (account,) = flow.world.documents("approval", "accounts")
    challenges = sorted(account["challenges"].values(), key=lambda each: each["opened_at"])
    assert [each["silenced"] for each in challenges[-2:]] == [False, True]


async def test_a_removed_browser_has_no_session_and_is_a_stranger_and_others_stay(flow: Flow) -> None:
    phone = await flow.phone()
    gone = await sign_in(flow, phone)
    (browser,) = await listed(flow)
    stays = await sign_in(flow, phone)
    await removed(flow, browser.id)  # 7
    assert not await answered_from_session(flow, gone.browser)
    assert not await known_browser(flow, gone.browser, phone)
    assert await answered_from_session(flow, stays.browser)
    assert browser.id not in {each.id for each in await listed(flow)}
    (record,) = [e for e in flow.world.documents("admin", "errands") if e["what"] == "remove_browser"]
    assert record["browser"] == browser.id


async def test_what_is_listed_is_what_counts(flow: Flow) -> None:
    """Not a browser from before a sign-out everywhere, nor one that a removed phone made known."""
    lost, kept = await flow.phone(), await flow.phone()
    await sign_in(flow, kept)
    await signed_out(flow)
    assert await listed(flow) == []
    await sign_in(flow, kept)
    (still,) = await listed(flow)
    await sign_in(flow, lost)
    assert len(await listed(flow)) == 2
    await admin.remove_device(flow.admin, TENANT, ADA, lost.key.device)
    await flow.world.settle()
    assert await listed(flow) == [still]


async def test_a_browser_is_listed_for_ninety_days_after_its_last_use(flow: Flow) -> None:
    """And on the day on which they end: a sign-in in the evening makes it known until the evening."""
    phone = await flow.phone()
    flow.world.clock.advance(timedelta(hours=14).total_seconds())
    await sign_in(flow, phone)
    (session,) = flow.world.documents("wsfed", "sessions")
    last = session["known_until"] - timedelta(seconds=1) - flow.world.clock.now()
    assert last > timedelta(days=89)
    flow.world.clock.advance(last.total_seconds())
    assert len(await listed(flow)) == 1
    flow.world.clock.advance(timedelta(days=1).total_seconds())
    assert await listed(flow) == []


async def test_the_day_of_the_latest_token_is_written_apart_from_the_sign_in(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    (before,) = await listed(flow)
    flow.world.clock.advance(timedelta(hours=20).total_seconds())
    await sign_in(flow, phone, browser)
    assert await listed(flow) == [before]
    service = flow.world.services["wsfed"]
    for step in service.on_stop:  # as once a minute
        await step()
    await flow.world.settle()
    (after,) = await listed(flow)
    assert after.last_seen - before.last_seen == timedelta(days=1)
    assert (after.id, after.known_since) == (before.id, before.known_since)
    assert len(flow.sent(BrowserChanged.TYPE)) == 2


async def test_nobody_removes_a_browser_of_somebody_else(flow: Flow) -> None:
    phone = await flow.phone()
    made = await sign_in(flow, phone)
    (browser,) = await listed(flow)
    bob = await flow.person(BOB)
    with pytest.raises(NotFound):
        await removed(flow, browser.id, BOB)
    with pytest.raises(NotFound):
        await removed(flow, "no-such-browser")
    command = RemoveBrowser(account=bob.id, browser=browser.id, version=1)
    await flow.say("admin", command)
    await flow.say("admin", command.model_copy(update={"account": browser.account}), tenant="fabrikam")
    assert sum("somebody else's" in reason for reason in flow.reasons()) == 2
    assert await answered_from_session(flow, made.browser)


async def test_nobody_but_admin_removes_browsers(flow: Flow) -> None:
    phone = await flow.phone()
    made = await sign_in(flow, phone)
    (browser,) = await listed(flow)
    command = RemoveBrowser(account=browser.account, browser=browser.id, version=1)
    for sender, key_of in (("approval", "approval"), ("admin", "approval"), ("admin", None)):
        await flow.publish(flow.sign(command, sender=sender, key_of=key_of))
    assert len(flow.reasons()) == 3
    assert await answered_from_session(flow, made.browser)


# --- late, twice, lost, at once ----------------------------------------------------------------------------------


async def test_a_removal_that_comes_again_later_ends_nothing_that_began_since(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    (known,) = await listed(flow)
    await removed(flow, known.id)
    (command,) = flow.sent(RemoveBrowser.TYPE)
    flow.world.clock.advance(timedelta(days=6).total_seconds())
    await sign_in(flow, phone, browser)
    (new,) = await listed(flow)
    assert new.id != known.id
    for _ in range(2):
        await flow.publish(command)
    assert await listed(flow) == [new]
    assert await answered_from_session(flow, browser)


async def test_a_removal_from_before_a_passkey_vouched_changes_nothing(flow: Flow) -> None:
    """It was kept back. What the administrator saw then is not what the browser is known by now."""
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    (known,) = await listed(flow)
    flow.world.bus.loses = lambda signed: signed.type == RemoveBrowser.TYPE
    await removed(flow, known.id)
    flow.world.bus.loses = lambda signed: False
    flow.world.clock.advance(61)
    await sign_out(flow, browser)
    await by_passkey(flow, phone, browser)
    await flow.publish(flow.sent(RemoveBrowser.TYPE)[0])
    assert await answered_from_session(flow, browser)
    (still,) = await listed(flow)
    assert (still.id, still.method) == (known.id, "passkey")


async def test_a_removal_counts_though_the_browser_was_used_since_it_was_listed(flow: Flow) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    (known,) = await listed(flow)
    flow.world.clock.advance(timedelta(hours=20).total_seconds())
    await sign_in(flow, phone, browser)
    for step in flow.world.services["wsfed"].on_stop:
        await step()
    command = RemoveBrowser(account=known.account, browser=known.id, version=known.seen_version)
    await flow.say("admin", command)
    assert not await answered_from_session(flow, browser)
    assert await listed(flow) == []


async def test_old_news_of_a_browser_again_does_not_list_it_again(flow: Flow) -> None:
    phone = await flow.phone()
    await sign_in(flow, phone)
    (known,) = await listed(flow)
    await removed(flow, known.id)
    for signed in flow.sent(BrowserChanged.TYPE):
        await flow.publish(signed)
    assert await listed(flow) == []


async def test_lost_news_of_a_browser_comes_with_the_next_pull(flow: Flow) -> None:
    phone = await flow.phone()
    await flow.world.live(30)
    flow.world.bus.loses = lambda signed: signed.type == BrowserChanged.TYPE
    await sign_in(flow, phone)
    flow.world.bus.loses = lambda signed: False
    assert await listed(flow) == []
    await flow.world.live(20)
    assert len(await listed(flow)) == 1


async def test_wsfed_that_dies_between_the_two_writes_of_a_removal_ends_the_session_afterwards(
    flow: Flow,
) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    (known,) = await listed(flow)
    away = mock.AsyncMock(side_effect=Unavailable())
    with mock.patch.object(SessionRepository, "forget_browser", away):
        command = RemoveBrowser(account=known.account, browser=known.id, version=known.seen_version)
        await flow.say("admin", command)
        assert away.await_count
        assert len(flow.world.documents("wsfed", "sessions")) == 1
    for _ in range(30):
        flow.world.clock.advance(10)
        await flow.world.settle()
    assert flow.world.documents("wsfed", "sessions") == []
    assert not await answered_from_session(flow, browser)


Before = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("before", ["add", "forget"])
async def test_a_browser_that_is_removed_while_its_token_is_made_keeps_no_session(
    flow: Flow, before: str
) -> None:
    """However the two cross: no session may live on under an id that no list shows any more."""
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    (known,) = await listed(flow)
    await sign_out(flow, browser)
    again = await flow.begin(browser=browser)
    await phone.approve(await again.push())
    step: Before = getattr(SessionRepository, before)

    async def crossed(store: SessionRepository, *arguments: Any) -> Any:
        store_of_wsfed = wsfed_store(flow)
        now = flow.world.clock.now()
        await store_of_wsfed.change(known.id, lambda each: each.remove(known.seen_version, now))
        await store.forget_browser(known.id)
        return await step(store, *arguments)

    with mock.patch.object(SessionRepository, before, crossed):
        await again.take()  # it was proved before: this one token goes out
    await flow.world.settle()
    assert flow.world.documents("wsfed", "sessions") == []
    assert await listed(flow) == []
    flow.world.clock.advance(61)
    assert not await known_browser(flow, browser, phone)


async def test_rows_of_browsers_that_wsfed_has_forgotten_go_from_admin_too(flow: Flow) -> None:
    phone = await flow.phone()
    await sign_in(flow, phone)
    assert len(flow.world.documents("admin", "browsers")) == 1
    await flow.world.databases["wsfed"].collection("browsers").delete({})  # as its index does in time
    subscriptions = flow.world.services["admin"].subscriptions
    assert subscriptions is not None
    await subscriptions.want_all()
    await flow.world.live(30)
    assert flow.world.documents("admin", "browsers") == []


async def test_a_browser_from_before_browsers_were_listed_is_listed_from_its_next_sign_in_on(
    flow: Flow,
) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    (document,) = flow.world.documents("wsfed", "sessions")
    del document["browser"], document["authentication"]["session_epoch"]
    await flow.world.databases["wsfed"].collection("browsers").delete({})
    await flow.world.databases["admin"].collection("browsers").delete({})
    assert await answered_from_session(flow, browser)  # absent is 0, and nobody was signed out yet
    assert await known_browser(flow, browser, phone)
    assert await listed(flow) == []
    flow.world.clock.advance(200)
    await sign_in(flow, phone, browser)
    assert len(await listed(flow)) == 1
    assert (await flow.account()).status is AccountStatus.ACTIVE
