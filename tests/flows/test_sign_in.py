"""docs/flows/sign-in.md, walked from Entra's request to the token. The numbers are the page's."""

import hashlib
import json

import pytest

from deploy.local.browser import Page
from deploy.standins.entra.verify import EntraError
from services.wsfed.domain.authentication import MULTIPLE_AUTHN
from shared.crypto.assertion import verify_assertion
from tests.flows.support import ADA, LOGIN, REALM, Flow, assert_no_token, known_browser, token_form


async def test_steps_1_to_11_by_push(flow: Flow) -> None:
    phone = await flow.phone()
    # 1: Entra's request becomes a transaction of this browser
    browser = await flow.browser()
    url, pending = flow.entra.request(ADA)
    first = await browser.get(url, follow=False)
    assert first.status == 303
    (transaction,) = flow.world.documents("wsfed", "transactions")
    assert transaction["state"] == "started"
    assert transaction["browser"] not in first.headers["Set-Cookie"]
    # 2: the sign-in page, with the name from the hint
    page = await browser.get(url)
    assert page.status == 200
    assert ADA in page.words()
    # 3: code and context are drawn when the person asks
    page = await browser.submit(page.form("/push"))
    code = page.code()
    assert len(code) == 6
    assert code.isdigit()
    # 4 and 5: the phone sees the request, and not the code
    (request,) = await phone.list()
    assert "code" not in request.facts
    assert request.facts["upn"] == ADA
    assert request.facts["realm"] == REALM
    assert request.facts["origin"] == flow.origin
    # 6: typed, verified, signed
    await phone.approve(code, request)
    # 7 and 8: the proof reached wsfed, which verified it itself
    transaction = next(d for d in flow.world.documents("wsfed", "transactions") if d["state"] == "proved")
    assert transaction["proof"]["public_key"] == phone.key.spki
    # 9: the page goes on
    assert await flow.polled(browser, page.url) == "proved"
    page = await browser.get(page.url)
    # 10: the record, then the token
    assert flow.issuances() == []
    page = await browser.submit(page.form("/token"))
    (record,) = flow.issuances()
    form = token_form(page)
    assert record["assertion_id"] in form.fields["wresult"]
    # 11: to Microsoft, which accepts
    assert form.action == LOGIN
    user = await flow.entra.verify(form, pending)
    assert user.upn == ADA
    assert user.immutable_id == (await flow.account()).immutable_id
    assert user.mfa
    assert user.authentication_method == MULTIPLE_AUTHN
    assert user.authentication_instant == flow.world.clock.now()
    assert flow.world.bus.dead_letters == []


async def test_steps_3_to_8_by_qr_code(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    page = await sign_in.post("qr")
    assert await sign_in.state() == "qr_waiting"
    assert "<svg" in page.text
    # 5: not listed; only whoever scans the code sees the request
    assert await phone.list() == []
    request = await phone.scan(sign_in.qr_text)
    await phone.approve(page.code(), request)
    assert await sign_in.state() == "proved"
    user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
    assert user.upn == ADA


async def test_step_10_authentication_instant_is_the_approval_not_the_issue(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    approved = flow.world.clock.now()
    flow.world.clock.advance(200)
    user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
    assert user.authentication_instant == approved
    assert user.issue_instant == flow.world.clock.now()


async def test_step_10_mfa_wanted_is_answered_with_the_claim(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin(wauth="http://schemas.microsoft.com/claims/multipleauthn", mfa_max_age=60)
    await phone.approve(await sign_in.push())
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).mfa


async def test_step_10_a_second_post_shows_finished_and_no_token(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    form = await sign_in.take()
    again = await sign_in.token()
    assert_finished(again)
    assert_finished(await sign_in.page())  # Back
    assert len(flow.issuances()) == 1
    # and the stand-in refuses the same token twice, so the check above is worth something
    entra = flow.entra
    await entra.verify(form, sign_in.pending)
    with pytest.raises(EntraError):
        await entra.verify(form, sign_in.pending)


def assert_finished(page: Page) -> None:
    assert page.status == 200
    assert "wresult" not in page.text
    assert page.forms() == []
    assert "finished" in page.words()


async def test_issuance_record_can_be_verified_by_itself(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await sign_in.take()
    (record,) = flow.issuances()
    proof = record["proof"]
    context = json.loads(proof["context"])
    assert context["transaction"] == sign_in.id
    verify_assertion(
        authenticator_data=proof["authenticator_data"],
        client_data_json=proof["client_data_json"],
        signature=proof["signature"],
        public_key=proof["public_key"],
        expected_challenge=hashlib.sha256(proof["context"].encode()).digest(),
        expected_origins=frozenset({flow.phone_origin}),
        expected_rp_id="id.localhost",
    )


# --- step 7: the other answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "state"), [("deny", "denied"), ("not_me", "not_me")])
async def test_step_7_a_refusal_ends_the_request_and_offers_a_way_on(
    flow: Flow, answer: str, state: str
) -> None:
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)
    await sign_in.push()
    await getattr(phone, answer)()
    assert await sign_in.state() == state
    assert "wresult" not in (await sign_in.token()).text
    assert sign_in.stored["state"] == state
    page = await sign_in.page()
    assert any(form.action.endswith("/push") for form in page.forms())


async def test_a_new_request_has_a_new_code_and_a_new_nonce(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    seen = set()
    for _ in range(3):
        code = await sign_in.push()
        (request,) = await phone.list()  # the one before was superseded
        seen.add((code, request.facts["nonce"], request.id))
    assert len({nonce for _, nonce, _ in seen}) == 3
    assert len({code for code, _, _ in seen}) > 1
    await phone.approve(code, request)
    assert await sign_in.state() == "proved"


async def test_an_unanswered_request_expires_after_two_minutes_and_can_be_repeated(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.push()
    flow.world.clock.advance(119)
    assert await sign_in.state() == "push_waiting"
    flow.world.clock.advance(1)
    await assert_no_token(sign_in, "expired")
    await phone.approve(await sign_in.push())
    assert token_form(await sign_in.token())


async def test_a_transaction_lives_fifteen_minutes(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    flow.world.clock.advance(15 * 60)
    page = await sign_in.page()
    assert page.status == 410
    assert "Start again" in page.words()
    assert "wresult" not in (await sign_in.token()).text
    assert flow.issuances() == []


async def test_person_names_herself_when_entra_sends_no_hint(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin("")
    page = await sign_in.post("account", username="  ADA@contoso.example ")
    assert page.status == 200
    await phone.approve(await sign_in.push())
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA


async def test_no_message_of_the_flow_is_left_unsent(flow: Flow) -> None:
    """Nothing waits in an outbox when the flow is over."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await sign_in.take()
    for service in flow.world.databases:
        for collection in flow.world.databases[service].data:
            for document in flow.world.documents(service, collection):
                left = [signed["type"] for signed in document.get("outbox", [])]
                assert all(kind.startswith("notify.") for kind in left), (
                    service,
                    collection,
                )  # notify is not here
