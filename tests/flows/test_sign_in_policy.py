"""docs/flows/passkey.md, "Which ways a tenant takes": what is offered, what is accepted, and when it counts."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from deploy.local.browser import Page
from deploy.standins.phone.authenticator import Tamper
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from services.admin.domain.tenants import Tenant
from tests.flows.support import ADA, TENANT, BrowserWindow, Flow, SignIn, normal, peers, token_form

pytestmark = pytest.mark.long

START_URL = "https://m365.cloud.microsoft/"


async def anew(flow: Flow, browser: BrowserWindow | None = None) -> SignIn:
    """A sign-in that no session may answer, a minute later."""
    flow.world.clock.advance(61)
    return await flow.begin(browser=browser, prompt="login")


async def by_passkey(flow: Flow, phone: SoftPhone, browser: BrowserWindow | None = None) -> BrowserWindow:
    """A whole sign-in by passkey; the browser, which it has vouched for."""
    sign_in = await anew(flow, browser)
    assert (await sign_in.passkey(phone)).status == 200
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA
    return sign_in.browser


async def by_push(flow: Flow, phone: SoftPhone, browser: BrowserWindow | None = None) -> BrowserWindow:
    """A whole sign-in by push."""
    sign_in = await anew(flow, browser)
    await phone.approve(await sign_in.push())
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA
    return sign_in.browser


def offered(page: Page) -> set[str]:
    """The ways that the page has buttons for."""
    return {form.action.rpartition("/")[2] for form in page.forms()} & {"push", "qr", "passkey"}


async def assert_phone_refused(sign_in: SignIn, *, page: bool = True) -> None:
    """Not offered, and not taken from whoever posts it all the same; the answer has a way on."""
    if page:
        assert offered(await sign_in.page()) == {"passkey"}
    sent = len(sign_in.flow.world.bus.sent)
    for method in ("push", "qr"):
        answer = await sign_in.post(method)
        assert answer.status == 403
        assert offered(answer) == {"passkey"}
        assert START_URL in answer.text  # and where the browser has no passkeys, a way back
        assert "Your organisation requires a passkey" in answer.words()
    assert len(sign_in.flow.world.bus.sent) == sent
    assert sign_in.stored["challenge"] is None


# --- what is offered and taken -----------------------------------------------------------------------------------


async def test_open_offers_everything_everywhere(flow: Flow) -> None:
    assert offered(await (await flow.begin()).page()) == {"push", "qr", "passkey"}


async def test_known_browsers_wants_a_passkey_in_a_new_browser_and_takes_push_there_afterwards(
    flow: Flow,
) -> None:
    phone = await flow.phone()
    await flow.policy(sign_in="known_browsers")
    await assert_phone_refused(await flow.begin())
    browser = await by_passkey(flow, phone)
    assert offered(await (await anew(flow, browser)).page()) >= {"push", "qr"}
    for _ in range(2):  # carried on from session to session
        await by_push(flow, phone, browser)
    sign_in = await anew(flow, browser)
    code = (await sign_in.post("qr")).text
    assert "data-code" not in code  # known: no number is asked for
    request = await phone.scan(f"{flow.phone_origin}/#q={sign_in.stored['challenge']['handle']}")
    await phone.approve("", request)
    await sign_in.take()
    await assert_phone_refused(await flow.begin())  # another browser is as new as before


async def test_passkeys_only_takes_push_nowhere(flow: Flow) -> None:
    phone = await flow.phone()
    browser = await by_passkey(flow, phone)
    await flow.policy(sign_in="passkeys_only")
    await assert_phone_refused(await anew(flow, browser))
    await by_passkey(flow, phone, browser)


async def test_known_browsers_is_by_account_and_by_passkey(flow: Flow) -> None:
    """A browser that is known for Ada is new for Bob, and one that only push has used is not vouched for."""
    phone = await flow.phone()
    await flow.person("bob@contoso.example")
    await flow.phone("bob@contoso.example")
    used_by_push = await by_push(flow, phone)
    browser = await by_passkey(flow, phone)
    await flow.policy(sign_in="known_browsers")
    await assert_phone_refused(await flow.begin("bob@contoso.example", browser=browser))
    await assert_phone_refused(await flow.begin(browser=used_by_push))


async def test_known_browsers_ends_with_the_device_that_vouched(flow: Flow) -> None:
    lost, other = await flow.phone(), await flow.phone()
    await flow.policy(sign_in="known_browsers")
    browser = await by_passkey(flow, lost)
    await other.remove_device(lost.key.device)
    await assert_phone_refused(await anew(flow, browser))
    await by_passkey(flow, other, browser)
    await by_push(flow, other, browser)


async def test_signing_out_leaves_the_browser_vouched_for(flow: Flow) -> None:
    phone = await flow.phone()
    await flow.policy(sign_in="known_browsers")
    browser = await by_passkey(flow, phone)
    await browser.get(f"{flow.origin}/t/{TENANT}/wsfed?wa=wsignout1.0")
    await by_push(flow, phone, browser)


@pytest.mark.parametrize("sign_in", ["known_browsers", "passkeys_only"])
async def test_strangers_learn_nothing_from_the_page(flow: Flow, sign_in: str) -> None:
    """Enrolled, invited, suspended and unknown names look alike, also after a refused post, and cost the same."""
    await flow.phone()
    await flow.person("invited@contoso.example")
    await flow.person("gone@contoso.example")
    await admin.suspend(flow.admin, TENANT, "gone@contoso.example")
    await flow.policy(sign_in=sign_in)
    await flow.begin()  # the tenant's configuration is held from now on
    operations = flow.world.databases["wsfed"].operations
    seen = []
    for upn in (ADA, "invited@contoso.example", "gone@contoso.example", "nobody@contoso.example"):
        before = len(operations)
        begun = await flow.begin(upn)
        pages = [normal(await begun.page()), normal(await begun.post("push")), normal(await begun.post("qr"))]
        seen.append((pages, operations[before:]))
    for each in seen:
        assert each == seen[0]


# --- when a policy counts ------------------------------------------------------------------------------------------


async def test_session_from_before_a_tightened_policy_answers_no_more(flow: Flow) -> None:
    phone = await flow.phone()
    browser = await by_push(flow, phone)
    url, pending = flow.entra.request(ADA)
    assert token_form(await browser.get(url))
    await flow.policy(sign_in="known_browsers")
    page = await browser.get(flow.entra.request(ADA)[0])
    assert "wresult" not in page.text
    assert offered(page) == {"passkey"}
    await by_passkey(flow, phone, browser)
    url, pending = flow.entra.request(ADA)
    assert (await flow.entra.verify(token_form(await browser.get(url)), pending)).upn == ADA


async def test_push_session_on_a_vouched_browser_answers_until_passkeys_only(flow: Flow) -> None:
    phone = await flow.phone()
    browser = await by_push(flow, phone, await by_passkey(flow, phone))
    await flow.policy(sign_in="known_browsers")
    assert token_form(await browser.get(flow.entra.request(ADA)[0]))
    await flow.policy(sign_in="passkeys_only")
    assert "wresult" not in (await browser.get(flow.entra.request(ADA)[0])).text


async def shorter_idle_time(flow: Flow) -> None:
    """5 minutes instead of two hours."""
    await flow.policy(session_idle_minutes=5)


async def shorter_length(flow: Flow) -> None:
    """4 hours instead of 8."""

    def shorter(tenant: Tenant) -> Tenant:
        (application,) = tenant.applications
        changed = (application.model_copy(update={"session_hours": 4}),)
        return replace(tenant, applications=changed, version=tenant.version + 1)

    assert await flow.admin.tenants.change(TENANT, shorter)
    await flow.world.settle()


@pytest.mark.parametrize(("shorten", "minutes"), [(shorter_idle_time, 6), (shorter_length, 81)])
async def test_shorter_session_counts_at_once(
    flow: Flow, shorten: Callable[[Flow], Awaitable[None]], minutes: int
) -> None:
    """The last request comes within the limits that the session was opened with, and beyond those of now."""
    browser = await by_passkey(flow, await flow.phone())

    async def asked_after(minutes: int) -> Page:
        flow.world.clock.advance(minutes * 60)
        await flow.world.current()
        return await browser.get(flow.entra.request(ADA)[0])

    for pause in (80, 80, minutes):
        assert token_form(await asked_after(pause))
    await shorten(flow)
    answer = await asked_after(minutes)
    assert "wresult" not in answer.text
    assert "passkey" in offered(answer)


async def test_longer_session_is_for_sessions_that_begin_then(flow: Flow) -> None:
    browser = await by_passkey(flow, await flow.phone())
    await flow.policy(session_idle_minutes=240)
    flow.world.clock.advance(121 * 60)
    await flow.world.current()
    assert "wresult" not in (await browser.get(flow.entra.request(ADA)[0])).text


async def test_lost_answer_to_the_token_takes_the_vouch_from_the_browser(flow: Flow) -> None:
    """docs/flows/sign-in.md, faults: the older cookie is worth nothing by then, and the new one never arrived."""
    phone = await flow.phone()
    await flow.policy(sign_in="known_browsers")
    browser = await by_passkey(flow, phone)
    kept = dict(browser.cookies)
    await by_push(flow, phone, browser)
    browser.cookies.update(kept)
    await assert_phone_refused(await anew(flow, browser))
    await by_push(flow, phone, await by_passkey(flow, phone, browser))


@pytest.mark.parametrize("sign_in", ["known_browsers", "passkeys_only"])
@pytest.mark.parametrize("approved_first", [True, False])
async def test_policy_tightened_before_the_token_counts(
    flow: Flow, sign_in: str, approved_first: bool
) -> None:
    phone = await flow.phone()
    begun = await flow.begin()
    code = await begun.push()
    if approved_first:
        await phone.approve(code)
    await flow.policy(sign_in=sign_in)
    if not approved_first:
        await phone.approve(code)
    answer = await begun.token()
    assert answer.status == 403
    assert "wresult" not in answer.text
    assert "requires a passkey" in answer.words()
    assert START_URL in answer.text
    assert flow.issuances() == []


# --- the same network ----------------------------------------------------------------------------------------------


async def test_same_network_or_passkey(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    peers(monkeypatch)
    away = await flow.phone(peer="203.0.113.9")
    await flow.policy(same_network_or_passkey=True)
    browser = await flow.browser(peer="198.51.100.7")
    sign_in = await flow.begin(browser=browser)
    code = await sign_in.push()
    with pytest.raises(PhoneError) as refusal:
        await away.approve(code)
    assert refusal.value.code == "other_network"
    assert "Use a passkey" in refusal.value.problem["remedy"]
    assert await sign_in.state() == "push_waiting"  # not ended, no try counted
    (request,) = await away.list()
    assert request.tries_left == 3
    # the very same answer is good from the right network: nothing of it was spent
    home = await flow.bare_phone(peer="198.51.100.20")
    home.keys, home._current = away.keys, 0
    made = away.last_credential
    assert made is not None
    await home.approve(code, request, tamper=Tamper(replay=made))
    assert await sign_in.state() == "proved"


async def test_same_network_or_passkey_takes_a_passkey_from_anywhere(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers(monkeypatch)
    phone = await flow.phone(peer="203.0.113.9")
    await flow.policy(same_network_or_passkey=True)
    sign_in = await flow.begin(browser=await flow.browser(peer="198.51.100.7"))
    await sign_in.push()
    assert (await sign_in.passkey(phone)).status == 200
    assert token_form(await sign_in.token())


async def test_same_network_or_passkey_does_not_end_sessions(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By which network a session was opened is not kept: it answers until it ends by itself."""
    peers(monkeypatch)
    phone = await flow.phone(peer="203.0.113.9")
    browser = await by_push(flow, phone, await flow.browser(peer="198.51.100.7"))
    await flow.policy(same_network_or_passkey=True)
    assert token_form(await browser.get(flow.entra.request(ADA)[0]))


async def test_same_network_is_not_asked_for_by_default(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    peers(monkeypatch)
    phone = await flow.phone(peer="203.0.113.9")
    sign_in = await flow.begin(browser=await flow.browser(peer="198.51.100.7"))
    await phone.approve(await sign_in.push())
    assert await sign_in.state() == "proved"


@pytest.mark.parametrize(
    ("browser_peer", "phone_peer"),
    [("10.0.0.7", "10.0.0.7"), ("10.0.0.7", "10.0.0.8"), ("127.0.0.1", "127.0.0.1"), ("", "")],
)
async def test_two_unknown_addresses_are_not_one_network(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, browser_peer: str, phone_peer: str
) -> None:
    """Behind a proxy that was not named everybody seems to be in one place. Nobody is approved for by that."""
    peers(monkeypatch)
    phone = await flow.phone(peer=phone_peer)
    await flow.policy(same_network_or_passkey=True)
    sign_in = await flow.begin(browser=await flow.browser(peer=browser_peer))
    code = await sign_in.push()
    (request,) = await phone.list()
    assert request.facts["address"] == "unknown"
    assert request.network_differs
    with pytest.raises(PhoneError) as refusal:
        await phone.approve(code, request)
    assert refusal.value.code == "other_network"
    assert await sign_in.state() == "push_waiting"


async def test_browser_without_a_known_address_stays_known(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known by its cookie, and its address takes no part in that."""
    peers(monkeypatch)
    phone = await flow.phone(peer="203.0.113.9")
    browser = await by_push(flow, phone, await flow.browser(peer="10.0.0.7"))
    flow.world.clock.advance(13 * 3600)
    sign_in = await flow.begin(browser=browser)
    await sign_in.push()
    (request,) = await phone.list()
    assert request.facts["known_browser"] is True
