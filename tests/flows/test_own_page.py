"""docs/flows/own-page.md, step by step, and what attackers try there. The numbers are those of the page."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from deploy.local.browser import Page
from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from shared.contracts.envelope import SignedMessage
from tests.flows.support import ADA, BOB, TENANT, BrowserWindow, Flow, Phone, SignIn, known_browser

COMMANDS = (
    "admin.authenticator.rename.v1",
    "admin.authenticator.remove.v1",
    "admin.browser.remove.v1",
    "admin.account.signout.v1",
)


@dataclass
class Visit:
    """A browser on its way to the own page, and there."""

    flow: Flow
    sign_in: SignIn
    last: Page

    @property
    def browser(self) -> BrowserWindow:
        return self.sign_in.browser

    @property
    def url(self) -> str:
        return f"{self.sign_in.url}/me"

    async def page(self) -> Page:
        return await self.browser.get(self.url)

    async def post(self, path: str, **fields: str) -> Page:
        """As the form on the page, whose fields are given where they differ."""
        form = self.last.form(path)
        self.last = await self.browser.submit(form, **fields)
        return self.last


async def begin(
    flow: Flow, upn: str = ADA, *, tenant: str = TENANT, browser: BrowserWindow | None = None
) -> SignIn:
    """Steps 1 and 2."""
    browser = browser or await flow.browser()
    page = await browser.get(f"{flow.origin}/t/{tenant}/me?login_hint={upn}")
    assert page.status == 200, page.words()
    csrf = next(form.fields["csrf"] for form in page.forms() if "csrf" in form.fields)
    _, pending = flow.entra.request(upn, tenant)
    return SignIn(flow, browser, page.url, csrf, pending)


async def visit(
    flow: Flow, phone: SoftPhone, upn: str = ADA, *, browser: BrowserWindow | None = None
) -> Visit:
    """Steps 1 to 4, by push."""
    sign_in = await begin(flow, upn, browser=browser)
    await phone.approve(await sign_in.push())
    page = await sign_in.post("token")
    assert urlsplit(page.url).path == f"{urlsplit(sign_in.url).path}/me", page.words()
    return Visit(flow, sign_in, page)


async def two_phones(flow: Flow) -> tuple[Phone, Phone]:
    first = await flow.phone()
    return first, await flow.phone()


async def signed_in(flow: Flow, phone: SoftPhone) -> BrowserWindow:
    """A browser in which Ada has just signed in to Microsoft 365."""
    made = await flow.begin()
    await phone.approve(await made.push())
    await made.take()
    return made.browser


def asked(flow: Flow) -> list[SignedMessage]:
    return [signed for command in COMMANDS for signed in flow.sent(command)]


async def test_steps_1_to_4_the_phone_shows_the_own_page_and_the_person_sees_what_is_theirs(
    flow: Flow,
) -> None:
    phone = await flow.phone()
    await signed_in(flow, phone)
    sign_in = await begin(flow)
    code = await sign_in.push()
    (request,) = await phone.list()
    assert request.facts["application_name"] == "your account"
    assert request.facts["realm"] == f"{flow.origin}/t/{TENANT}/me"
    await phone.approve(code, request)
    page = await sign_in.post("token")
    words = page.words()
    assert page.status == 200
    assert "Software phone" in words
    assert "You signed in to this page with it" in words
    assert "Firefox on Linux" in words
    assert "Approved in BlokKey" in words
    assert "<script" not in page.text


async def test_step_1_in_french_the_phone_speaks_french_too(flow: Flow) -> None:
    phone = await flow.phone()
    browser = await flow.browser()
    page = await browser.get(
        f"{flow.origin}/t/{TENANT}/me?login_hint={ADA}", headers={"Accept-Language": "fr"}
    )
    csrf = next(form.fields["csrf"] for form in page.forms() if "csrf" in form.fields)
    await browser.post(f"{page.url}/push", {"csrf": csrf})
    assert [each.facts["application_name"] for each in await phone.list()] == ["votre compte"]


async def test_step_1_the_name_of_whoever_was_here_last_is_taken(flow: Flow) -> None:
    browser = await signed_in(flow, await flow.phone())
    page = await browser.get(f"{flow.origin}/t/{TENANT}/me")
    assert ADA in page.words()
    nobody = await (await flow.browser()).get(f"{flow.origin}/t/{TENANT}/me")
    assert nobody.form("/account").fields["username"] == ""
    flow.world.clock.advance(12 * 3600)  # the session is over: whoever sits here now may be somebody else
    await flow.world.current()
    later = await browser.get(f"{flow.origin}/t/{TENANT}/me")
    assert later.form("/account").fields["username"] == ""


async def test_step_2_a_session_however_fresh_is_not_enough(flow: Flow) -> None:
    """Its approval was for Microsoft 365, and a relay may have got that out of the person."""
    browser = await signed_in(flow, await flow.phone())
    sign_in = await begin(flow, browser=browser)
    assert await sign_in.state() == "start"
    page = await browser.get(f"{sign_in.url}/me")
    assert page.url == sign_in.url
    assert asked(flow) == []


async def test_step_3_there_is_no_token_and_no_session(flow: Flow) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    assert flow.issuances() == []
    assert flow.world.documents("wsfed", "sessions") == []
    assert flow.world.documents("wsfed", "browsers") == []
    for _ in range(2):
        page = await visited.sign_in.post("token", told="1")
        assert "wresult" not in page.text
    assert flow.issuances() == []
    url, _ = flow.entra.request(ADA)
    assert "wresult" not in (await visited.browser.get(url)).text


async def test_a_passkey_opens_the_page_too_and_asks_for_things(flow: Flow) -> None:
    phone, lost = await two_phones(flow)
    sign_in = await begin(flow)
    assert (await sign_in.passkey(phone)).status == 200
    visited = Visit(flow, sign_in, await sign_in.post("token"))
    await remove(visited, lost)
    assert await flow.decision(lost.key.device) == ("revoked", "person")


# --- step 5 to 7


async def remove(visited: Visit, phone: SoftPhone) -> Page:
    """The question, and the answer."""
    visited.last = await visited.browser.get(f"{visited.url}/phones/{phone.key.device}/remove")
    assert "no longer be able to approve" in visited.last.words()
    return await visited.post("/remove")


async def test_steps_5_to_7_a_phone_is_renamed_everywhere(flow: Flow) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    page = await visited.post("/name", name="  Ada's \u202egreen\n phone ")
    assert "“Software phone” is now called “Ada's green phone”." in page.words()
    assert [each["name"] for each in await phone.devices()] == ["Ada's green phone"]
    (listed,) = await admin.list_devices(flow.admin, TENANT, ADA)
    assert listed.name == "Ada's green phone"
    page = await visited.post("/name", name="Once more")  # with the version of now, in the same visit
    assert "is now called “Once more”" in page.words()


async def test_step_7_an_outcome_is_told_once_and_only_the_latest(flow: Flow) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    assert "is now called" in (await visited.post("/name", name="Green phone")).words()
    assert "is now called" not in (await visited.page()).words()
    visited.last = await visited.browser.get(f"{visited.url}/sign-out")
    page = await visited.post("/sign-out")
    assert "You've been signed out everywhere" in page.words()
    assert "is now called" not in page.words()
    assert "data-result" not in (await visited.page()).text


async def test_step_5_a_phone_needs_a_name(flow: Flow) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    page = await visited.post("/name", name=" \u200b ")
    assert page.status == 400
    assert "Enter a name for this phone" in page.words()
    assert page.text.count('aria-invalid="true"') == 1
    assert asked(flow) == []


async def test_steps_5_to_7_a_lost_phone_is_removed_with_what_it_opened(flow: Flow) -> None:
    phone, lost = await two_phones(flow)
    thief = await signed_in(flow, lost)
    visited = await visit(flow, phone)
    page = await remove(visited, lost)
    assert "“Software phone” has been removed." in page.words()
    assert await flow.decision(lost.key.device) == ("revoked", "person")
    assert not await flow.counts(lost.key)
    with pytest.raises(PhoneError):
        await lost.list()
    url, _ = flow.entra.request(ADA)
    assert "wresult" not in (await thief.get(url)).text


async def test_step_7_removing_the_phone_in_use_ends_the_visit(flow: Flow) -> None:
    phone, other = await two_phones(flow)
    visited = await visit(flow, phone)
    page = await remove(visited, phone)
    assert "has been removed. It can no longer approve sign-ins." in page.words()
    assert "The phone you signed in with has been removed" in page.words()
    assert "Your phones" not in page.words()
    await assert_takes_nothing(visited, other)


async def test_steps_5_to_7_a_browser_is_removed(flow: Flow) -> None:
    phone = await flow.phone()
    browser = await signed_in(flow, phone)
    visited = await visit(flow, phone)
    page = await visited.post("/remove")
    assert "Firefox on Linux has been removed." in page.words()
    assert "None at the moment." in page.words()
    url, _ = flow.entra.request(ADA)
    assert "wresult" not in (await browser.get(url)).text


async def test_steps_5_to_7_signed_out_everywhere_from_this_page_too(flow: Flow) -> None:
    phone = await flow.phone()
    browser = await signed_in(flow, phone)
    visited = await visit(flow, phone)
    visited.last = await visited.browser.get(f"{visited.url}/sign-out")
    page = await visited.post("/sign-out")
    assert page.words().count("You've been signed out everywhere") == 1
    assert "Your phones" not in page.words()
    assert (await flow.account()).session_epoch == 1
    url, _ = flow.entra.request(ADA)
    assert "wresult" not in (await browser.get(url)).text
    await assert_takes_nothing(visited, phone)


async def test_step_7_nothing_is_said_to_be_done_before_admin_has_said_so(flow: Flow) -> None:
    phone, lost = await two_phones(flow)
    visited = await visit(flow, phone)
    flow.world.bus.loses = lambda signed: signed.type == "admin.authenticator.remove.v1"
    page = await remove(visited, lost)
    assert "Waiting for confirmation." in page.words()
    assert "Check again" in page.words()
    assert "Software phone" in page.words()
    flow.world.clock.advance(31)
    await flow.world.current()
    page = await visited.page()
    assert "hasn't been confirmed, so it may still be able to approve sign-ins" in page.words()
    assert "Check again" not in page.words()
    assert await flow.counts(lost.key)


async def test_step_5_the_same_pressed_twice_is_asked_once(flow: Flow) -> None:
    phone, lost = await two_phones(flow)
    visited = await visit(flow, phone)
    flow.world.bus.loses = lambda signed: signed.type == "admin.authenticator.remove.v1"
    for _ in range(3):
        await remove(visited, lost)
    assert len(visited.sign_in.stored["acts"]) == 1


async def test_step_5_what_came_too_late_for_its_version_can_be_asked_for_again(flow: Flow) -> None:
    """Two tabs: admin takes no name for the version that the second one shows. Read anew, the page takes it."""
    phone = await flow.phone()
    visited = await visit(flow, phone)
    old = visited.last
    await visited.post("/name", name="First")
    await visited.browser.submit(old.form("/name"), name="Second")
    assert [each["name"] for each in await phone.devices()] == ["First"]
    visited.last = await visited.page()
    assert "is now called “Second”" in (await visited.post("/name", name="Second")).words()
    assert [each["name"] for each in await phone.devices()] == ["Second"]


async def test_step_5_at_most_twenty_acts_and_the_next_is_refused_aloud(flow: Flow) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    for number in range(20):
        await visited.post("/name", name=f"Phone {number}")
    page = await visited.post("/name", name="One more")
    assert page.status == 409
    assert len(flow.sent("admin.authenticator.rename.v1")) == 20


# --- what an attacker tries


async def assert_takes_nothing(visited: Visit, phone: SoftPhone) -> None:
    """The page as it was open does nothing any more."""
    before = len(asked(visited.flow))
    fields = {"csrf": visited.sign_in.csrf, "version": "1", "name": "Mine"}
    for path in (f"phones/{phone.key.device}/name", f"phones/{phone.key.device}/remove", "sign-out"):
        await visited.browser.post(f"{visited.url}/{path}", fields)
    assert len(asked(visited.flow)) == before


async def test_page_is_open_for_five_minutes_and_takes_nothing_afterwards(flow: Flow) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    flow.world.clock.advance(299)
    await flow.world.current()
    assert "Your phones" in (await visited.page()).words()
    flow.world.clock.advance(1)
    page = await visited.page()
    assert "closes five minutes after you signed in" in page.words()
    assert "Software phone" not in page.words()
    await assert_takes_nothing(visited, phone)
    assert f"/t/{TENANT}/me?login_hint={ADA}" in page.text


async def test_page_that_was_proved_late_in_its_transaction_has_its_five_minutes(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await begin(flow)
    flow.world.clock.advance(14 * 60)
    await flow.world.current()
    await phone.approve(await sign_in.push())
    await sign_in.post("token")
    flow.world.clock.advance(4 * 60)
    await flow.world.current()
    assert "Your phones" in (await sign_in.browser.get(f"{sign_in.url}/me")).words()


async def test_approval_for_microsoft_365_opens_nothing_and_is_no_proof_of_a_visit(flow: Flow) -> None:
    phone = await flow.phone()
    made = await flow.begin()
    await phone.approve(await made.push())
    for path in ("me", "me/sign-out", f"me/phones/{phone.key.device}/remove"):
        assert (await made.browser.get(f"{made.url}/{path}")).url == made.url
    fields = {"csrf": made.csrf, "version": "1", "name": "Mine"}
    for path in (f"phones/{phone.key.device}/name", f"phones/{phone.key.device}/remove", "sign-out"):
        await made.browser.post(f"{made.url}/me/{path}", fields)
    assert asked(flow) == []


async def test_another_browser_with_the_address_has_nothing(flow: Flow) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    other = await flow.browser()
    own = await begin(flow, browser=other)
    fields = {"csrf": own.csrf, "version": "1", "name": "Mine"}
    assert (await other.get(visited.url)).status == 404
    for path in (f"phones/{phone.key.device}/remove", "sign-out"):
        assert (await other.get(f"{visited.url}/{path}")).status == 404
        assert (await other.post(f"{visited.url}/{path}", fields)).status == 404
    assert asked(flow) == []


@pytest.mark.parametrize("lie", ["no token", "another transaction's", "another site"])
async def test_forged_post_does_nothing(flow: Flow, lie: str) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    fields, headers = {"csrf": visited.sign_in.csrf, "version": "1", "name": "Mine"}, {}
    match lie:
        case "no token":
            del fields["csrf"]
        case "another transaction's":
            fields["csrf"] = (await begin(flow, browser=visited.browser)).csrf
        case _:
            headers = {"Sec-Fetch-Site": "cross-site"}
    for path in (f"phones/{phone.key.device}/name", f"phones/{phone.key.device}/remove", "sign-out"):
        page = await visited.browser.post(f"{visited.url}/{path}", fields, headers=headers)
        assert page.status == 403
    assert asked(flow) == []


async def test_ids_of_another_account_and_another_tenant_are_nobodys(flow: Flow) -> None:
    await flow.tenant("fabrikam", "fabrikam.example")
    await flow.person(BOB)
    await flow.person("eve@fabrikam.example", "fabrikam")
    bob, eve, ada = (
        await flow.phone(BOB),
        await flow.phone("eve@fabrikam.example", "fabrikam"),
        await flow.phone(),
    )
    made = await flow.begin(BOB)
    await bob.approve(await made.push())
    await made.take()
    (browser,) = flow.world.documents("wsfed", "browsers")
    visited = await visit(flow, ada)
    words = visited.last.words()
    assert "Firefox" not in words
    fields = {"csrf": visited.sign_in.csrf, "version": "1", "name": "Mine"}
    for path in [
        *(f"phones/{phone.key.device}/{act}" for phone in (bob, eve) for act in ("name", "remove")),
        f"browsers/{browser['_id']}/remove",
        "phones/nothing/remove",
    ]:
        assert (await visited.browser.post(f"{visited.url}/{path}", fields)).status == 404
    assert asked(flow) == []
    stranger = await flow.browser()
    assert (await stranger.get(f"{flow.origin}/t/nobody/me")).status == 404


@pytest.mark.parametrize("version", ["", "0", "-1", "x", "9" * 30, "\u0661"])
async def test_version_that_is_none_gets_a_clear_answer(flow: Flow, version: str) -> None:
    phone = await flow.phone()
    visited = await visit(flow, phone)
    fields = {"csrf": visited.sign_in.csrf, "version": version, "name": "Mine"}
    page = await visited.browser.post(f"{visited.url}/phones/{phone.key.device}/name", fields)
    assert page.status == 400
    assert asked(flow) == []


async def test_old_form_changes_nothing_after_the_state_moved_on(flow: Flow) -> None:
    """Two tabs: what the second one shows is of a version that is no more."""
    phone = await flow.phone()
    visited = await visit(flow, phone)
    old = visited.last
    await visited.post("/name", name="First")
    page = await visited.browser.submit(old.form("/name"), name="Second")
    assert "“First”" in page.words()
    assert [each["name"] for each in await phone.devices()] == ["First"]


@pytest.mark.parametrize("end", ["signed out", "suspended", "phone removed"])
async def test_visit_ends_with_what_an_administrator_ends(flow: Flow, end: str) -> None:
    phone, other = await two_phones(flow)
    visited = await visit(flow, phone)
    match end:
        case "signed out":
            await admin.sign_out_everywhere(flow.admin, TENANT, ADA)
        case "suspended":
            await admin.suspend(flow.admin, TENANT, ADA)
        case _:
            await admin.remove_device(flow.admin, TENANT, ADA, phone.key.device)
    await flow.world.settle()
    page = await visited.page()
    assert "Your phones" not in page.words()
    await assert_takes_nothing(visited, other)


async def test_recorded_commands_said_again_after_the_state_moved_on_change_nothing(flow: Flow) -> None:
    phone, lost = await two_phones(flow)
    visited = await visit(flow, phone)
    await visited.post("/name", name="First")
    await visited.post("/name", name="Second")
    await remove(visited, lost)
    visited.last = await visited.browser.get(f"{visited.url}/sign-out")
    await visited.post("/sign-out")
    before = await admin.list_devices(flow.admin, TENANT, ADA)
    commands = asked(flow)
    assert len(commands) == 4
    for later in (0, 120, 3600):
        flow.world.clock.advance(later)
        for command in commands:
            for _ in range(2):
                await flow.publish(command)
    assert await admin.list_devices(flow.admin, TENANT, ADA) == before
    assert (await flow.account()).session_epoch == 1


async def test_stranger_sees_the_same_page_for_every_name(flow: Flow) -> None:
    """As for a sign-in to Microsoft 365: whether there is such an account, nobody learns here."""
    await flow.phone()
    texts = []
    for name in (ADA, "nobody@contoso.example"):
        sign_in = await begin(flow, name)
        page = (await sign_in.post("push")).text
        text = re.sub(r"[A-Za-z0-9_-]{22,}|\d+|[a-z]+@contoso\.example|[AN]</span>", "X", page)
        texts.append(re.sub(r"<output.*?</output>", "", text, flags=re.DOTALL))
    assert texts[0] == texts[1]


async def test_policy_of_the_tenant_counts_here_too(flow: Flow) -> None:
    await flow.policy(sign_in="passkeys_only")
    phone = await flow.phone()
    sign_in = await begin(flow)
    assert (await sign_in.post("push")).status == 403
    assert (await sign_in.passkey(phone)).status == 200
    assert "Your phones" in (await sign_in.post("token")).words()


async def test_pages_that_tell_of_something_lead_here(flow: Flow) -> None:
    phone = await flow.phone()
    made = await known_browser(flow, phone)
    await flow.phone()
    page = await made.page()
    assert "A phone was added" in page.words()
    assert f'href="/t/{TENANT}/me?login_hint={ADA}"' in page.text
    await phone.approve(await made.push())
    page = await made.post("token")
    assert f'href="/t/{TENANT}/me?login_hint={ADA}"' in page.text
    page = await made.browser.get(f"{flow.origin}/t/{TENANT}/wsfed?wa=wsignout1.0")
    assert f'href="/t/{TENANT}/me"' in page.text
