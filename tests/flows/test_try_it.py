"""docs/flows/try-it.md, step by step, and what attackers try there. The numbers are those of the page."""

import json
from datetime import datetime
from urllib.parse import urlsplit

import pytest

from deploy.local.browser import Form, Page
from deploy.standins.entra.errors import Code, EntraError
from services.admin import handlers as admin
from services.wsfed.domain.keys import create_signing_key
from services.wsfed.domain.trial import Check, Expected, TrialResult, examine
from services.wsfed.handlers import trial
from tests.flows.support import (
    ADA,
    BOB,
    LOGIN,
    REALM,
    TENANT,
    BrowserWindow,
    Flow,
    Phone,
    SignIn,
    accepted,
    proof_of,
    token_form,
)
from tests.flows.test_sign_in_figures import count, counts


async def begin(
    flow: Flow, upn: str = ADA, *, tenant: str = TENANT, browser: BrowserWindow | None = None
) -> SignIn:
    """Steps 1 and 2."""
    browser = browser or await flow.browser()
    page = await browser.get(f"{flow.origin}/t/{tenant}/try?login_hint={upn}")
    assert page.status == 200, page.words()
    csrf = next(form.fields["csrf"] for form in page.forms() if "csrf" in form.fields)
    _, pending = flow.entra.request(upn, tenant)
    return SignIn(flow, browser, page.url, csrf, pending)


async def finish(sign_in: SignIn) -> Page:
    """Steps 3 to 5."""
    page = await sign_in.post("token")
    assert urlsplit(page.url).path == f"{urlsplit(sign_in.url).path}/try", page.words()
    return page


async def tried(flow: Flow, phone: Phone, *, browser: BrowserWindow | None = None) -> tuple[SignIn, Page]:
    """A whole trial, by push."""
    sign_in = await begin(flow, browser=browser)
    await phone.approve(await sign_in.push())
    return sign_in, await finish(sign_in)


async def signed_in(flow: Flow, phone: Phone) -> BrowserWindow:
    """A browser in which Ada has just signed in to Microsoft 365."""
    made = await flow.begin()
    await phone.approve(await made.push())
    await made.take()
    return made.browser


def overheard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens that are read from now on, which no page and no store has."""
    seen: list[str] = []

    def listen(wresult: str, expected: Expected, now: datetime) -> TrialResult:
        seen.append(wresult)
        return examine(wresult, expected, now)

    monkeypatch.setattr(trial, "examine", listen)
    return seen


async def test_steps_1_to_5_the_result_says_what_the_token_says(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await begin(flow)
    assert "Test sign-in: nothing is sent to Microsoft 365" in (await sign_in.page()).words()
    code = await sign_in.push()
    (request,) = await phone.list()
    assert request.facts["application_name"] == "Test sign-in"
    assert request.facts["application"] == "try"
    assert request.facts["realm"] == f"{flow.origin}/t/{TENANT}/try"
    await phone.approve(code, request)
    page = await finish(sign_in)
    words, account = page.words(), await flow.account()
    configured = await admin.show_tenant(flow.admin, TENANT)
    assert page.status == 200
    assert "The test sign-in worked" in words
    assert "nothing was sent to Microsoft 365, and nobody has been signed in" in words
    assert words.count("As it should be") == len(Check)
    for value in (
        configured.domains[0].issuer,
        f"{flow.origin}/t/{TENANT}/try",
        REALM,
        ADA,
        account.immutable_id,
        "http://schemas.microsoft.com/claims/multipleauthn",
    ):
        assert value in words, value
    assert sign_in.stored["result"]["failed"] == []


async def test_steps_1_and_2_in_french_on_the_phone_too(flow: Flow) -> None:
    phone, browser = await flow.phone(), await flow.browser()
    page = await browser.get(
        f"{flow.origin}/t/{TENANT}/try?login_hint={ADA}", headers={"Accept-Language": "fr"}
    )
    csrf = next(form.fields["csrf"] for form in page.forms() if "csrf" in form.fields)
    await browser.post(f"{page.url}/push", {"csrf": csrf})
    assert [each.facts["application_name"] for each in await phone.list()] == ["Connexion d'essai"]


async def test_step_1_without_a_name_the_page_asks_for_one(flow: Flow) -> None:
    browser = await signed_in(flow, await flow.phone())
    for hint in ("", "?login_hint=", "?login_hint=%00", "?login_hint=contoso.example"):
        page = await browser.get(f"{flow.origin}/t/{TENANT}/try{hint}")
        assert page.form("/account").fields["username"] == "", hint


async def test_step_1_no_tenant_and_no_application(flow: Flow) -> None:
    await admin.create_tenant(flow.admin, "fabrikam", "Fabrikam")
    await flow.world.settle()
    browser = await flow.browser()
    assert (await browser.get(f"{flow.origin}/t/nowhere/try")).status == 404
    page = await browser.get(f"{flow.origin}/t/fabrikam/try")
    assert page.status == 404
    assert "This organisation has no application yet." in page.words()


async def test_step_2_a_session_is_not_enough(flow: Flow) -> None:
    browser = await signed_in(flow, await flow.phone())
    sign_in = await begin(flow, browser=browser)
    assert await sign_in.state() == "start"
    assert (await browser.get(f"{sign_in.url}/try")).url == sign_in.url
    assert (await sign_in.post("token")).url == sign_in.url
    assert len(flow.issuances()) == 1


async def test_step_2_by_passkey_and_by_qr_code(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await begin(flow)
    assert (await sign_in.passkey(phone)).status == 200
    assert "The test sign-in worked" in (await finish(sign_in)).words()
    sign_in = await begin(flow)
    code = await sign_in.qr()
    await phone.approve(code, await phone.scan(sign_in.qr_text))
    assert "The test sign-in worked" in (await finish(sign_in)).words()


async def test_step_2_the_policy_holds_for_a_trial_too(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await begin(flow)
    await phone.approve(await sign_in.push())
    await flow.policy(sign_in="passkeys_only")
    assert (await sign_in.post("token")).status == 403
    assert flow.issuances() == []
    assert (await (await begin(flow)).post("push")).status == 403


async def test_step_3_suspended_or_signed_out_since_the_approval(flow: Flow) -> None:
    phone = await flow.phone()
    for act in (admin.sign_out_everywhere, admin.suspend):
        sign_in = await begin(flow)
        await phone.approve(await sign_in.push())
        await act(flow.admin, TENANT, ADA)
        await flow.world.settle()
        assert (await sign_in.post("token")).status == 403, act
    assert flow.issuances() == []


async def test_step_3_twice_is_one_token_and_one_result(flow: Flow) -> None:
    sign_in, page = await tried(flow, await flow.phone())
    before = sign_in.stored
    flow.world.clock.advance(5)
    for _ in range(2):
        assert (await finish(sign_in)).words() == page.words()
        assert sign_in.stored == before
    assert len(flow.issuances()) == 1
    # Back leads to the result, too
    assert (await sign_in.page()).url.endswith("/try")


async def test_step_3_interrupted_there_is_no_result_and_another_test_is_offered(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    phone = await flow.phone()
    sign_in = await begin(flow)
    await phone.approve(await sign_in.push())
    with monkeypatch.context() as patch:
        patch.setattr(trial, "examine", killed)
        assert (await sign_in.post("token")).status == 503
    page = await finish(sign_in)
    assert "There is no result for this test yet." in page.words()
    again = await sign_in.browser.get(f"{flow.origin}/t/{TENANT}/try")
    assert again.url != sign_in.url
    assert len(flow.issuances()) == 1


async def test_step_3_nothing_follows_from_a_trial(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in, _ = await tried(flow, phone)
    await flow.world.settle()
    for collection in ("sessions", "browsers"):
        assert flow.world.documents("wsfed", collection) == [], collection
    (record,) = flow.issuances()
    assert record["trial"] is True
    flow.world.clock.advance(10)
    assert flow.world.documents("wsfed", "first_use") == []
    assert flow.sent("wsfed.domain.used.v1") == []
    assert flow.sent("wsfed.browser.changed.v1") == []
    # the next request of Entra's finds a stranger
    assert await (await flow.begin(browser=sign_in.browser)).state() == "start"


async def test_step_4_no_page_and_no_document_holds_the_token(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = overheard(monkeypatch)
    sign_in, page = await tried(flow, await flow.phone())
    (token,) = seen
    signature = token.partition("<ds:SignatureValue>")[2].partition("<")[0]
    assert len(signature) > 300
    kept = json.dumps(
        [flow.world.documents("wsfed", name) for name in ("transactions", "issuances")], default=str
    )
    sent = b"".join(each.body for each in flow.world.bus.sent)
    for place in (page.text, kept, sent.decode(), (await sign_in.page()).text):
        assert signature not in place
        assert "<saml:Assertion" not in place


async def test_step_4_entra_refuses_the_token_that_nobody_gets(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line of defence: its audience is not Entra's."""
    seen = overheard(monkeypatch)
    phone = await flow.phone()
    await tried(flow, phone)
    real = await flow.begin()
    fields = {"wa": "wsignin1.0", "wresult": seen[0], "wctx": real.pending.wctx}
    with pytest.raises(EntraError) as refused:
        await flow.entra.verify(Form(LOGIN, fields), real.pending)
    assert refused.value.code in (Code.BAD_ASSERTION, Code.BAD_MESSAGE)
    # control: a real one of the same person passes
    await phone.approve(await real.push())
    await flow.entra.verify(await real.take(), real.pending)


async def test_step_4_a_certificate_that_is_not_published_shows(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a switch of keys and the moment when this replica has noticed it."""
    phone = await flow.phone()
    await tried(flow, phone)
    other = create_signing_key("Blok365 other", flow.world.clock.now(), 3)
    (keys,) = flow.world.documents("wsfed", "signing_keys")
    keys["keys"][keys["current"]]["certificate"] = other.certificate
    sign_in, page = await tried(flow, phone)
    assert "Something is wrong with the token" in page.words()
    assert sign_in.stored["result"]["failed"] == ["signature", "certificate"]


async def test_step_5_the_result_goes_after_15_minutes(flow: Flow) -> None:
    sign_in, _ = await tried(flow, await flow.phone())
    flow.world.clock.advance(15 * 60 - 1)
    assert "The test sign-in worked" in (await sign_in.page()).words()
    flow.world.clock.advance(1)
    page = await sign_in.page()
    assert "shown for 15 minutes" in page.words()
    assert ADA not in page.words()


async def test_step_5_only_the_browser_that_tried_sees_it(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in, _ = await tried(flow, phone)
    stranger = await flow.browser()
    for path in (f"{sign_in.url}/try", sign_in.url):
        page = await stranger.get(path)
        assert page.status == 404
        assert ADA not in page.text
    real = await flow.begin()
    assert (await real.browser.get(f"{real.url}/try")).url == real.url


async def test_the_own_page_lists_it_as_a_test(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in, _ = await tried(flow, phone)
    page = await sign_in.browser.get(f"{flow.origin}/t/{TENANT}/me?login_hint={ADA}")
    csrf = next(form.fields["csrf"] for form in page.forms() if "csrf" in form.fields)
    visit = SignIn(flow, sign_in.browser, page.url, csrf, sign_in.pending)
    await phone.approve(await visit.push())
    assert "Approved in BlokKey · Test sign-in" in (await visit.post("token")).words()


async def test_an_approval_of_a_trial_is_none_of_a_real_sign_in_nor_the_other_way_round(flow: Flow) -> None:
    phone = await flow.phone()
    trial_, real = await begin(flow), await flow.begin()
    await trial_.push()
    (of_trial,) = await phone.list()
    await real.push()
    of_real = next(each for each in await phone.list() if each.id != of_trial.id)
    for sign_in, request, other in ((real, of_real, of_trial), (trial_, of_trial, of_real)):
        proof = proof_of(phone.key, other.with_code(sign_in.stored["challenge"]["code"]))
        await flow.say("approval", accepted(sign_in, request, phone.key, proof))
        assert sign_in.stored["state"] == "waiting"
    assert flow.issuances() == []


async def test_a_trial_gives_no_token_however_it_is_asked_for(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await begin(flow)
    await phone.approve(await sign_in.push())
    for _ in range(2):
        for fields in ({}, {"told": "1"}):
            page = await sign_in.post("token", **fields)
            assert "wresult" not in page.text
    assert "wresult" not in (await sign_in.browser.get(f"{sign_in.url}/added")).text
    with pytest.raises(ValueError, match="unpack"):
        token_form(await sign_in.page())


async def test_a_stranger_learns_nothing_that_a_real_sign_in_does_not_tell(flow: Flow) -> None:
    await flow.phone()
    await flow.person(BOB)  # invited, and without a phone
    shown = []
    for upn in (ADA, BOB, "nobody@contoso.example"):
        sign_in = await begin(flow, upn)
        await sign_in.push()
        shown.append((await sign_in.state(), (await sign_in.page()).words().replace(upn, "NAME")))
    states = {state for state, _ in shown}
    assert states == {"push_waiting"}


async def test_the_figures_count_who_was_asked_and_reported_it_but_no_trial_that_worked(flow: Flow) -> None:
    phone = await flow.phone()
    await tried(flow, phone)
    flow.world.clock.advance(30 * 60)  # also what nobody has answered is counted by now
    await flow.world.current()
    await count(flow)
    assert await counts(flow) == {}
    sign_in = await begin(flow)
    await sign_in.push()
    await phone.not_me()
    await count(flow)
    assert await counts(flow) == {"blokkey_push/not_me": 1}
