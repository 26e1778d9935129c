"""docs/flows/sign-out-everywhere.md: what was begun before is over for good, whatever comes late or twice.

The numbers in comments are the steps of that page. Its steps 5 to 7 are in `test_known_browsers.py`.
"""

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from deploy.local.browser import Page
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import app as admin_app
from services.admin import handlers as admin
from shared.contracts.admin import AccountChanged, InvitationChanged
from shared.contracts.approval import DeviceChanged
from shared.store.memory import MemoryDatabase
from tests.flows.support import ADA, TENANT, BrowserWindow, Flow, SignIn, accepted, proof_of, start_flow

End = Callable[[Flow], Awaitable[None]]


async def signed_out(flow: Flow) -> None:
    await admin.sign_out_everywhere(flow.admin, TENANT, ADA)
    await flow.world.settle()


async def suspended_and_resumed(flow: Flow) -> None:
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    await admin.resume(flow.admin, TENANT, ADA)
    await flow.world.settle()


ENDS = pytest.mark.parametrize("end", [signed_out, suspended_and_resumed], ids=lambda end: end.__name__)


async def sign_in(flow: Flow, phone: SoftPhone, browser: BrowserWindow | None = None) -> SignIn:
    """A whole sign-in by push."""
    made = await flow.begin(browser=browser)
    await phone.approve(await made.push())
    await made.take()
    return made


async def answered_from_session(flow: Flow, browser: BrowserWindow) -> bool:
    url, _ = flow.entra.request(ADA)
    return "wresult" in (await browser.get(url)).text


async def sign_out(flow: Flow, browser: BrowserWindow) -> None:
    """End the browser's sessions; it stays known."""
    await browser.get(f"{flow.origin}/t/{TENANT}/wsfed?wa=wsignout1.0")


async def known_browser(flow: Flow, browser: BrowserWindow, phone: SoftPhone) -> bool:
    """What the phone is told of a browser that asks, once it has no live session."""
    await sign_out(flow, browser)
    await (await flow.begin(browser=browser)).push()
    newest = max(await phone.list(), key=lambda request: str(request.facts["issued_at"]))
    known: bool = newest.facts["known_browser"]
    await phone.deny(newest)
    return known


@ENDS
async def test_sessions_and_known_browsers_are_over_and_phones_stay_enrolled(flow: Flow, end: End) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    assert await answered_from_session(flow, browser)
    await end(flow)  # 1
    assert not await answered_from_session(flow, browser)  # 3
    assert not await known_browser(flow, browser, phone)
    assert [d.id for d in await admin.list_devices(flow.admin, TENANT, ADA)] == [phone.key.device]
    flow.world.clock.advance(61)  # or it would look like a loop
    again = await sign_in(flow, phone, browser)
    assert await answered_from_session(flow, again.browser)
    assert await known_browser(flow, browser, phone)


@ENDS
async def test_a_passkey_that_vouched_for_a_browser_has_to_do_so_again(flow: Flow, end: End) -> None:
    """An approval by push carries on what vouched for the browser before, but not from before the end."""
    phone = await flow.phone()
    vouched = await flow.begin()
    assert (await vouched.passkey(phone)).status == 200
    await vouched.take()
    await flow.policy(sign_in="known_browsers")
    await sign_out(flow, vouched.browser)
    await (await flow.begin(browser=vouched.browser)).push()
    await flow.policy(sign_in="open")
    await end(flow)
    flow.world.clock.advance(200)
    await sign_in(flow, phone, vouched.browser)
    await flow.policy(sign_in="known_browsers")
    await sign_out(flow, vouched.browser)
    refused = await flow.begin(browser=vouched.browser)
    assert (await refused.post("push")).status == 403


@ENDS
async def test_the_phones_session_is_over_and_it_makes_another_one(flow: Flow, end: End) -> None:
    phone = await flow.phone()
    await phone.list()
    (before,) = flow.world.documents("approval", "sessions")
    await end(flow)
    token = phone.token
    with pytest.raises(PhoneError) as refused:  # 2
        await phone._call(phone.key.origin, "GET", "/challenges", session=phone.key.credential_id)
    assert refused.value.status == 401
    await phone.list()  # by an assertion
    assert phone.token != token
    new = next(s for s in flow.world.documents("approval", "sessions") if s["_id"] != before["_id"])
    assert new["session_epoch"] == before["session_epoch"] + 1


@ENDS
async def test_the_open_invitation_is_dead(flow: Flow, end: End) -> None:
    link = await flow.invite()
    await end(flow)
    phone = await flow.bare_phone()
    with pytest.raises(PhoneError) as refused:
        await phone.enrol(link)
    assert refused.value.status == 410
    assert flow.world.documents("wsfed", "devices") == []


@ENDS
async def test_a_phone_enrolled_before_approval_hears_of_the_end_is_trusted_by_nobody(
    flow: Flow, end: End
) -> None:
    """approval and wsfed hear nothing for a while, so both still take the invitation; admin does not."""
    link = await flow.invite()
    lost = {AccountChanged.TYPE, InvitationChanged.TYPE}
    flow.world.bus.loses = lambda signed: signed.type in lost
    await end(flow)
    phone = await flow.bare_phone()
    await phone.enrol(link)
    flow.world.bus.loses = lambda signed: False
    await flow.world.live(30)
    assert [d.reason for d in await admin.list_devices(flow.admin, TENANT, ADA)] == ["withdrawn"]
    refused = await flow.begin()
    assert (await refused.passkey(phone)).status == 403
    assert flow.issuances() == []


@ENDS
async def test_an_invitation_from_before_vouches_for_nobody_even_if_nothing_says_that_it_was_withdrawn(
    flow: Flow, end: End
) -> None:
    """A taken-over approval service enrols the phone; the news that the invitation was withdrawn never comes."""
    link = await flow.invite()
    phone = await flow.bare_phone()
    flow.world.bus.loses = lambda signed: signed.type == DeviceChanged.TYPE
    await phone.enrol(link)
    (signed,) = flow.sent(DeviceChanged.TYPE)
    flow.world.bus.loses = lambda signed: signed.type in (DeviceChanged.TYPE, InvitationChanged.TYPE)
    await end(flow)
    flow.world.bus.loses = lambda signed: False
    await flow.publish(signed)
    assert [d.reason for d in await admin.list_devices(flow.admin, TENANT, ADA)] == ["withdrawn"]
    refused = await flow.begin()
    assert (await refused.passkey(phone)).status == 403
    assert flow.issuances() == []


# --- a sign-in under way (step 4) --------------------------------------------------------------------------------


@ENDS
async def test_a_request_that_waits_on_the_phone_is_over(flow: Flow, end: End) -> None:
    phone = await flow.phone()
    under_way = await flow.begin()
    code = await under_way.push()
    (request,) = await phone.list()
    await end(flow)
    assert await phone.list() == []
    with pytest.raises(PhoneError) as refused:
        await phone.approve(code, request)
    assert refused.value.status == 410
    assert await under_way.state() == "push_waiting"  # as for an account that does not exist
    assert "wresult" not in (await under_way.token()).text
    assert flow.issuances() == []


@ENDS
async def test_an_approval_of_a_request_from_before_gives_no_token_however_it_arrives(
    flow: Flow, end: End
) -> None:
    """A taken-over approval service, or the bus, held the person's own approval back until after the end."""
    phone = await flow.phone()
    under_way = await flow.begin()
    code = await under_way.push()
    (request,) = await phone.list()
    proof = proof_of(phone.key, request.with_code(code))
    await end(flow)
    for _ in range(2):
        await flow.say("approval", accepted(under_way, request, phone.key, proof))
    answer = await under_way.token()
    assert answer.status == 403
    assert "signed out everywhere" in answer.words()
    assert "Start again" in answer.words()
    assert flow.issuances() == []
    assert flow.world.documents("wsfed", "sessions") == []


@ENDS
@pytest.mark.parametrize(
    ("language", "says"), [("en", "signed out everywhere"), ("fr", "déconnecté partout")]
)
async def test_an_end_between_proof_and_token_leaves_no_token_and_a_page_that_says_why(
    flow: Flow, end: End, language: str, says: str
) -> None:
    phone = await flow.phone()
    under_way = await flow.begin()
    await phone.approve(await under_way.push())
    await end(flow)
    fields = {"csrf": under_way.csrf}
    answer = await under_way.browser.post(
        f"{under_way.url}/token", fields, headers={"Accept-Language": language}
    )
    assert answer.status == 403
    assert says in answer.words()
    assert "m365.cloud.microsoft" in answer.text  # the way to start again
    assert flow.issuances() == []
    assert flow.world.documents("wsfed", "sessions") == []
    assert await sign_in(flow, phone)  # started again


@ENDS
async def test_a_passkeys_challenge_from_before_is_refused_and_a_new_one_is_not(flow: Flow, end: End) -> None:
    phone = await flow.phone()
    under_way = await flow.begin()
    challenge = await under_way.passkey_challenge()
    await end(flow)
    assert (await under_way.passkey(phone, challenge=challenge)).status == 403
    assert (await under_way.passkey(phone)).status == 200
    await under_way.take()


@ENDS
async def test_a_passkey_between_proof_and_token_gives_no_token(flow: Flow, end: End) -> None:
    phone = await flow.phone()
    under_way = await flow.begin()
    assert (await under_way.passkey(phone)).status == 200
    await end(flow)
    assert (await under_way.token()).status == 403
    assert flow.issuances() == []


@ENDS
async def test_a_passkeys_new_challenge_does_not_renew_a_push_from_before(flow: Flow, end: End) -> None:
    """Both may be open in one transaction; each keeps the epoch under which it was asked."""
    phone = await flow.phone()
    under_way = await flow.begin()
    code = await under_way.push()
    (request,) = await phone.list()
    proof = proof_of(phone.key, request.with_code(code))
    await end(flow)
    await under_way.passkey_challenge()
    await flow.say("approval", accepted(under_way, request, phone.key, proof))
    assert (await under_way.token()).status == 403
    assert flow.issuances() == []


async def test_a_stranger_sees_no_difference_between_the_end_and_an_account_that_does_not_exist(
    flow: Flow,
) -> None:
    await flow.phone()
    real, none = await flow.begin(), await flow.begin("nobody@contoso.example")
    for each in (real, none):
        await each.push()
    await signed_out(flow)
    assert await real.state() == await none.state()
    again = [await each.post("push") for each in (real, none)]
    assert [page.status for page in again] == [200, 200]
    assert [page.state() for page in again] == ["push_waiting", "push_waiting"]
    assert [await each.state() for each in (real, none)] == ["push_waiting", "push_waiting"]


# --- late, twice, lost, and after a backup -----------------------------------------------------------------------


@ENDS
async def test_old_news_of_the_account_again_brings_nothing_back(flow: Flow, end: End) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    before = list(flow.world.bus.sent)
    await end(flow)
    for signed in [*before, *list(flow.world.bus.sent)]:
        if signed.type in (AccountChanged.TYPE, InvitationChanged.TYPE):
            await flow.publish(signed)
    assert not await answered_from_session(flow, browser)
    assert not await known_browser(flow, browser, phone)


@ENDS
async def test_a_lost_announcement_of_the_end_comes_with_the_next_pull(flow: Flow, end: End) -> None:
    phone = await flow.phone()
    browser = (await sign_in(flow, phone)).browser
    await flow.world.live(30)
    flow.world.bus.loses = lambda signed: signed.type == AccountChanged.TYPE
    await end(flow)
    flow.world.bus.loses = lambda signed: False
    assert await answered_from_session(flow, browser)  # nobody could know yet
    await flow.world.live(20)
    assert not await answered_from_session(flow, browser)


async def test_each_end_is_one_more_and_none_brings_back_what_an_earlier_one_ended(flow: Flow) -> None:
    phone = await flow.phone()
    browsers = []
    for _ in range(3):
        browsers.append((await sign_in(flow, phone)).browser)
        await signed_out(flow)
    assert (await flow.account()).session_epoch == 3
    for browser in browsers:
        assert not await answered_from_session(flow, browser)


async def test_a_backup_that_forgot_a_sign_out_revives_no_session(flow: Flow) -> None:
    """After the restore admin counts from where the backup was, and so reaches the same number a second time."""
    phone = await flow.phone()
    await flow.world.live(20)
    backup = copy.deepcopy(flow.world.databases["admin"].data)
    forgotten = (await sign_in(flow, phone)).browser
    await signed_out(flow)
    later = (await sign_in(flow, phone)).browser
    flow.world.bus.forget("admin")
    await MemoryDatabase(clock=flow.world.clock, data=backup).raise_generation(0)  # `blok365 restore admin`
    flow.world.kept["admin"] = backup
    wired = admin_app.build(flow.world.platform)
    await flow.world.begin(wired.service)
    flow.admin = wired.dependencies
    await flow.world.live(30)
    assert not await answered_from_session(flow, forgotten)
    await signed_out(flow)
    assert (await flow.account()).session_epoch == 1
    assert not await answered_from_session(flow, later)
    assert await answered_from_session(flow, (await sign_in(flow, phone)).browser)


async def test_somebody_elses_sessions_are_not_touched(flow: Flow) -> None:
    bob = await flow.person("bob@contoso.example")
    phone = await flow.phone(bob.upn)
    made = await flow.begin(bob.upn)
    await phone.approve(await made.push())
    await made.take()
    await signed_out(flow)
    url, _ = flow.entra.request(bob.upn)
    assert "wresult" in (await made.browser.get(url)).text


# --- admin is away -----------------------------------------------------------------------------------------------


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Flow]:
    """With the real limit on the age of what wsfed knows of admin."""
    async with start_flow(tmp_path, projection_max_age=300) as started:
        yield started


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ("up-to-date data", "Try again in a few minutes")),
        ("fr", ("données à jour", "quelques minutes")),
    ],
)
async def test_while_admin_is_away_sign_ins_go_on_for_300_seconds_and_then_a_page_says_so(
    strict: Flow, language: str, says: tuple[str, str]
) -> None:
    phone = await strict.phone()
    browser = (await sign_in(strict, phone)).browser
    await strict.world.live(10)
    await strict.world.live(299, silent=frozenset({"admin"}))
    assert await answered_from_session(strict, browser)
    assert await sign_in(strict, phone)
    await strict.world.live(2, silent=frozenset({"admin"}))
    url, _ = strict.entra.request(ADA)
    for page in (
        await browser.get(url, headers={"Accept-Language": language}),  # from its session
        await _push(strict, language),
    ):
        assert page.status == 503
        assert all(words in page.words() for words in says)
    await strict.world.live(62)  # admin is back
    assert await sign_in(strict, phone)


async def _push(flow: Flow, language: str) -> Page:
    asked = await flow.begin()
    fields = {"csrf": asked.csrf}
    return await asked.browser.post(f"{asked.url}/push", fields, headers={"Accept-Language": language})
