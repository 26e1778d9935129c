"""docs/flows/passkey.md: a passkey on the sign-in page. The numbers are the page's."""

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.browser import Page
from deploy.standins.phone.authenticator import UP, Tamper, assertion
from services.admin import handlers as admin
from services.wsfed.domain.authentication import MULTIPLE_AUTHN
from shared.crypto.assertion import verify_assertion
from shared.ids import b64u, unb64u
from tests.flows.support import (
    ADA,
    BOB,
    TENANT,
    Flow,
    SignIn,
    assert_no_token,
    on_sign_in_page,
    start_flow,
    token_form,
)


def assert_refused(answer: Page) -> None:
    """The one refusal."""
    assert answer.status == 403, answer.text
    problem = json.loads(answer.text)
    assert problem["code"] == "passkey_refused"
    assert problem["detail"] == "We can't sign you in this way."
    assert problem["remedy"] == "Try another way, or ask your administrator."


async def test_steps_1_to_7(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin(wauth=MULTIPLE_AUTHN)
    # 1: the page has it, for its own script to offer: the digest of a context, and nothing that tells of devices
    sent = len(flow.world.bus.sent)
    assert (await sign_in.page()).form("/passkey").fields["csrf"] == sign_in.csrf
    context = sign_in.stored["passkey"]
    assert context["method"] == "passkey"
    assert sign_in.stored["state"] == "started"
    told = await sign_in.page_passkey()
    assert told.keys() == {"challenge", "rp-id", "timeout"}
    assert told["rp-id"] == "id.localhost"
    # 2: the press; 3, 4: signed and posted, without another request before; 5: verified; 6: proved
    challenge = unb64u(told["challenge"])
    assert (await sign_in.passkey(phone, challenge=challenge)).status == 200
    assert await sign_in.state() == "proved"
    assert sign_in.stored["passkey"] is None
    assert len(flow.world.bus.sent) == sent  # approval and the bus take no part
    # 7: the token
    user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
    assert user.upn == ADA
    assert user.mfa
    assert user.authentication_method == MULTIPLE_AUTHN
    assert flow.world.bus.dead_letters == []


async def test_issuance_record_of_a_passkey_can_be_verified_by_itself(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.passkey(phone)
    await sign_in.take()
    (record,) = flow.issuances()
    assert record["method"] == "passkey"
    proof = record["proof"]
    context = json.loads(proof["context"])
    assert (context["transaction"], context["method"], context["upn"]) == (sign_in.id, "passkey", ADA)
    assert "code" not in context
    verify_assertion(
        authenticator_data=proof["authenticator_data"],
        client_data_json=proof["client_data_json"],
        signature=proof["signature"],
        public_key=proof["public_key"],
        expected_challenge=hashlib.sha256(proof["context"].encode()).digest(),
        expected_origins=frozenset({flow.origin}),
        expected_rp_id="id.localhost",
    )


async def test_session_of_a_passkey_answers_the_next_request(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.passkey(phone)
    await sign_in.take()
    url, pending = flow.entra.request(ADA)
    user = await flow.entra.verify(token_form(await sign_in.browser.get(url)), pending)
    assert user.mfa


# --- step 1: in the page, beside an open request ---------------------------------------------------------------


@pytest.mark.parametrize("method", ["push", "qr"])
async def test_step_1_an_open_request_survives_a_cancelled_dialog(flow: Flow, method: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = (await sign_in.post(method)).code()
    await sign_in.passkey_challenge()  # and the person cancels: nothing more is sent
    assert await sign_in.state() == f"{method}_waiting"
    request = None
    if method == "qr":
        request = await phone.scan(f"{flow.phone_origin}/#q={sign_in.stored['challenge']['handle']}")
    await phone.approve(code, request)
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA


@pytest.mark.parametrize("end", ["deny", "not_me", None])
async def test_step_5_a_passkey_proves_from_every_state_that_is_not_over(flow: Flow, end: str | None) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.push()
    if end is not None:
        await getattr(phone, end)()
    assert (await sign_in.passkey(phone)).status == 200
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA


async def test_step_5_a_passkey_proves_after_the_request_expired(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.push()
    flow.world.clock.advance(130)
    assert await sign_in.state() == "expired"
    assert (await sign_in.passkey(phone)).status == 200
    assert token_form(await sign_in.token())


async def test_an_approval_after_the_passkey_changes_nothing(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    await sign_in.passkey(phone)
    proof = sign_in.stored["proof"]
    await phone.approve(code)
    assert sign_in.stored["proof"] == proof
    await sign_in.take()
    assert len(flow.issuances()) == 1


async def test_step_1_needs_a_user_name_and_a_sign_in_that_is_not_proved(flow: Flow) -> None:
    phone = await flow.phone()
    nameless = await flow.begin("")
    assert await nameless.page_passkey() == {}
    proved = await flow.begin()
    await proved.passkey(phone)
    assert await proved.page_passkey() == {}
    assert proved.stored["passkey"] is None


async def test_step_1_every_drawing_of_the_page_brings_the_same_challenge_until_it_is_spent(
    flow: Flow,
) -> None:
    """A second tab, or a page drawn anew for a push, must not end the challenge that a device is just signing."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    first = await sign_in.passkey_challenge()
    await sign_in.push()
    flow.world.clock.advance(600)
    pages = await asyncio.gather(*(sign_in.passkey_challenge() for _ in range(5)))
    assert set(pages) == {first}
    assert_refused(await sign_in.passkey(phone, Tamper(flags=UP), challenge=first))
    assert await sign_in.passkey_challenge() != first


async def test_step_1_of_pages_that_are_drawn_at_once_all_bring_the_same_challenge(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    assert_refused(await sign_in.passkey(phone, Tamper(flags=UP)))
    pages = await asyncio.gather(*(sign_in.passkey_challenge() for _ in range(5)))
    assert len(set(pages)) == 1
    assert (await sign_in.passkey(phone, challenge=pages[0])).status == 200


async def test_step_1_thirty_times_and_no_more(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    for _ in range(30):
        assert_refused(await sign_in.passkey(phone, Tamper(flags=UP)))
    assert await sign_in.page_passkey() == {}


async def test_steps_1_and_4_only_on_our_own_page_in_the_same_browser(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    challenge = await sign_in.passkey_challenge()
    stranger = SignIn(flow, await flow.browser(), sign_in.url, sign_in.csrf, sign_in.pending)
    assert (await stranger.page()).status == 404
    assert (await stranger.passkey(phone, challenge=challenge)).status == 404
    forged = replace(sign_in, csrf="x" * 43)
    assert json.loads((await forged.passkey(phone, challenge=challenge)).text)["code"] == "csrf"
    await assert_no_token(sign_in, "start")


# --- step 5: the one refusal -----------------------------------------------------------------------------------

TAMPERED = {
    "user not verified": Tamper(flags=UP),
    "another page's origin": Tamper(origin="https://login.contoso.evil.example"),
    "the phone's page": Tamper(origin="http://key.id.localhost:8365"),
    "our host on another port": Tamper(origin="http://id.localhost:1"),
    "an app's origin": Tamper(origin="android:apk-key-hash:AAAA"),
    "other RP ID": Tamper(rp_id="evil.example"),
    "in a frame": Tamper(cross_origin=True),
    "a registration": Tamper(type="webauthn.create"),
    "other challenge": Tamper(challenge=bytes(32)),
    "unknown credential": Tamper(credential_id=b64u(bytes(32))),
    "counter that stands still": Tamper(sign_count=1),
}


@pytest.mark.parametrize("name", TAMPERED)
async def test_step_5_refuses(flow: Flow, name: str) -> None:
    phone = await flow.phone()
    before = await flow.begin()
    await before.passkey(phone)  # the counter has risen once
    sign_in = await flow.begin()
    assert_refused(await sign_in.passkey(phone, TAMPERED[name]))
    assert sign_in.stored["state"] == "started"
    assert sign_in.stored["passkey"] is None
    await assert_no_token(sign_in, "start")
    assert (await sign_in.passkey(phone)).status == 200  # and the person's next try works


async def test_step_5_refuses_an_apps_origin_also_where_approvals_may_come_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_origin = "android:apk-key-hash:AAAA"
    monkeypatch.setenv("BLOK365_NATIVE_ORIGINS", json.dumps([app_origin]))
    async with start_flow(tmp_path) as flow:
        phone = await flow.phone()
        sign_in = await flow.begin()
        assert_refused(await sign_in.passkey(phone, Tamper(origin=app_origin)))
        await phone.approve(await sign_in.push(), tamper=Tamper(origin=app_origin))
        assert await sign_in.state() == "proved"


async def test_step_5_takes_a_byte_order_mark_off(flow: Flow) -> None:
    phone = await flow.phone()
    marked = Tamper(byte_order_mark=True)
    by_passkey = await flow.begin()
    assert (await by_passkey.passkey(phone, marked)).status == 200
    by_push = await flow.begin()
    await phone.approve(await by_push.push(), tamper=marked)
    for sign_in in (by_passkey, by_push):
        assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA


async def test_step_5_refuses_another_accounts_passkey_like_an_unknown_one(flow: Flow) -> None:
    await flow.phone()
    await flow.person(BOB)
    bobs = await flow.phone(BOB)
    sign_in = await flow.begin(ADA)
    stolen = await sign_in.passkey(bobs)
    nobody = await flow.begin("nobody@contoso.example")
    unknown = await nobody.passkey(bobs)
    assert_refused(stolen)
    assert_refused(unknown)
    await assert_no_token(sign_in, "start")
    await assert_no_token(nobody, "start")


async def test_step_5_refuses_another_tenants_passkey(flow: Flow) -> None:
    await flow.phone()
    await flow.tenant("fabrikam", "fabrikam.example")
    await flow.person("ada@fabrikam.example", "fabrikam")
    foreign = await flow.phone("ada@fabrikam.example", "fabrikam")
    assert_refused(await (await flow.begin(ADA)).passkey(foreign))


async def test_step_5_refuses_a_key_under_the_victims_credential_id(flow: Flow) -> None:
    adas = await flow.phone()
    await flow.person(BOB)
    bobs = await flow.phone(BOB)
    sign_in = await flow.begin(ADA)
    assert_refused(await sign_in.passkey(bobs, Tamper(credential_id=adas.key.credential_id)))


async def test_step_5_refuses_a_removed_device_and_a_suspended_account(flow: Flow) -> None:
    phone = await flow.phone()
    other = await flow.phone()
    await other.remove_device(phone.key.device)
    await flow.world.settle()
    assert_refused(await (await flow.begin()).passkey(phone))
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    assert_refused(await (await flow.begin()).passkey(other))


async def test_step_5_refuses_a_challenge_that_is_over(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    challenge = await sign_in.passkey_challenge()
    flow.world.clock.advance(15 * 60)  # with the sign-in itself
    assert (await sign_in.passkey(phone, challenge=challenge)).status == 410
    assert (await sign_in.token()).status == 410
    assert flow.issuances() == []


async def test_step_5_a_challenge_is_valid_once_and_only_the_newest(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    older = await sign_in.passkey_challenge()
    assert_refused(await sign_in.passkey(phone, Tamper(flags=UP), challenge=older))
    newer = await sign_in.passkey_challenge()
    assert newer != older
    assert_refused(await sign_in.passkey(phone, challenge=older))
    assert_refused(await sign_in.passkey(phone, challenge=newer))  # spent by the refusal
    await assert_no_token(sign_in, "start")


async def test_step_5_refuses_a_replayed_assertion(flow: Flow) -> None:
    phone = await flow.phone()
    first = await flow.begin()
    made = assertion(on_sign_in_page(phone.used_key()), await first.passkey_challenge())
    assert (await first.passkey(phone, Tamper(replay=made), challenge=b"")).status == 200
    again = await flow.begin()
    await again.passkey_challenge()
    assert_refused(await again.passkey(phone, Tamper(replay=made), challenge=b""))
    await assert_no_token(again, "start")


async def test_step_5_refuses_an_assertion_that_was_made_for_an_approval(flow: Flow) -> None:
    """A phone's approval of this very transaction is no passkey on its page: another context was signed."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    await sign_in.passkey_challenge()
    (request,) = await phone.list()
    context = request.with_code(code)
    made = assertion(phone.used_key(), hashlib.sha256(context.encode()).digest())
    assert_refused(await sign_in.passkey(phone, Tamper(replay=made), challenge=b""))


async def test_step_5_an_assertion_for_the_page_approves_nothing_on_the_phones_api(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    made = assertion(phone.used_key(), await sign_in.passkey_challenge())
    with pytest.raises(Exception, match="assertion"):
        await phone.approve(code, tamper=Tamper(replay=made))
    await assert_no_token(sign_in, "push_waiting")


async def test_step_1_a_name_typed_after_the_challenge_ends_it(flow: Flow) -> None:
    phone = await flow.phone()
    await flow.person(BOB)
    sign_in = await flow.begin("")
    await sign_in.post("account", username=ADA)
    challenge = await sign_in.passkey_challenge()
    await sign_in.post("account", username=BOB)
    assert_refused(await sign_in.passkey(phone, challenge=challenge))
    await assert_no_token(sign_in, "start")


@pytest.mark.parametrize("field", ["credential_id", "authenticator_data", "client_data_json", "signature"])
@pytest.mark.parametrize("value", ["", "?", "A" * 6000])
async def test_step_4_malformed_answers_are_bad_input(flow: Flow, field: str, value: str) -> None:
    await flow.phone()
    sign_in = await flow.begin()
    await sign_in.passkey_challenge()
    fields = dict.fromkeys(("credential_id", "authenticator_data", "client_data_json", "signature"), "AAAA")
    assert (await sign_in.script("passkey", **{**fields, field: value})).status == 400
    assert sign_in.stored["passkey"] is not None  # nothing was evaluated


# --- strangers -------------------------------------------------------------------------------------------------


async def test_challenge_and_refusal_cost_the_same_for_every_name(flow: Flow) -> None:
    """What a stranger can see or time: the same answers after the same operations on the store."""
    await flow.phone()
    await flow.person(BOB)
    strange = await flow.phone(BOB)
    suspended = await flow.person("carl@contoso.example")
    await flow.phone(suspended.upn)
    await admin.suspend(flow.admin, TENANT, suspended.upn)
    await flow.world.settle()
    seen = []
    operations = flow.world.databases["wsfed"].operations
    await flow.begin()  # from now on the tenant is held in memory
    for upn in (ADA, "nobody@contoso.example", suspended.upn):
        before = len(operations)
        sign_in = await flow.begin(upn)
        told = await sign_in.page_passkey()
        refusal = await sign_in.passkey(strange, challenge=b"x" * 32)
        problem = json.loads(refusal.text)
        del problem["request_id"]
        shape = sorted(told), len(told["challenge"])
        seen.append((shape, refusal.status, problem, operations[before:]))
    assert seen[0] == seen[1] == seen[2]


# --- devices from before -----------------------------------------------------------------------------------------


async def test_devices_from_before_get_their_credential_id_by_a_full_pull(flow: Flow) -> None:
    phone = await flow.phone()
    (device,) = flow.world.databases["wsfed"].data["devices"].values()
    del device["credential_id"], device["tenant"]
    assert_refused(await (await flow.begin()).passkey(phone))
    subscriptions = flow.world.services["wsfed"].subscriptions
    assert subscriptions is not None
    await subscriptions.want_all(["approval"])
    await flow.world.look()
    (device,) = flow.world.documents("wsfed", "devices")
    assert device["credential_id"] == phone.key.credential_id
    assert (await (await flow.begin()).passkey(phone)).status == 200


async def test_counter_is_kept_and_a_removal_keeps_the_device_gone(flow: Flow) -> None:
    phone = await flow.phone()
    await (await flow.begin()).passkey(phone)
    (device,) = flow.world.documents("wsfed", "devices")
    assert device["sign_count"] == phone.key.sign_count
    uncounted = await flow.phone(counts=False)
    for _ in range(2):  # an authenticator without a counter says 0 each time
        assert (await (await flow.begin()).passkey(uncounted)).status == 200
