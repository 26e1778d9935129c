"""docs/flows/sign-in.md, the QR code: a minute, one scan, ten renewals, and no approval lost at the edge."""

import json

import pytest

from deploy.standins.phone.phone import PhoneError
from deploy.standins.phone.request import Request
from services.approval.handlers.challenges import end_overdue
from services.wsfed.domain.context import digest
from shared.contracts.approval import ChallengeClaimed, ChallengeEnded
from shared.contracts.envelope import SignedMessage
from tests.approval.support import replica
from tests.flows.support import (
    ADA,
    BOB,
    Flow,
    Phone,
    SignIn,
    accepted,
    assert_no_token,
    known_browser,
    normal,
    proof_of,
)


async def scan(phone: Phone, sign_in: SignIn) -> Request:
    return await phone.scan(sign_in.qr_text)


async def renew(sign_in: SignIn) -> None:
    """What the page's own code does when the minute is over."""
    page = await sign_in.page()
    form = next(f for f in page.forms() if "renews" in f.fields)
    await sign_in.browser.submit(form)


# --- a scan -------------------------------------------------------------------------------------------------


async def test_scan_takes_the_code_off_the_page_and_leaves_the_number(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.qr()
    request = await scan(phone, sign_in)
    assert await sign_in.state() == "qr_scanned"
    page = await sign_in.page()
    assert "Finish on your phone" in page.words()
    assert "data-expires-in" not in page.text
    assert not any("renews" in form.fields for form in page.forms())
    assert page.code() == code
    await phone.approve(code, request)
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA
    assert flow.world.bus.dead_letters == []


async def test_code_is_scanned_once(flow: Flow) -> None:
    phone, second = await flow.phone(), await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    text = sign_in.qr_text
    await phone.scan(text)
    for other in (second, phone):
        with pytest.raises(PhoneError) as refused:
            await other.scan(text)
        assert refused.value.status == 410
    (mine,) = await phone.list()  # reloaded, or the answer got lost: it is still here
    assert await second.list() == []
    await phone.approve(sign_in.stored["challenge"]["code"], mine)
    assert await sign_in.state() == "proved"


async def test_late_phone_has_as_long_as_for_a_push(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.qr()
    flow.world.clock.advance(59)
    request = await scan(phone, sign_in)
    flow.world.clock.advance(60)
    assert await sign_in.state() == "qr_scanned"
    await phone.approve(code, request)
    assert await sign_in.state() == "proved"


async def test_scanned_and_left_alone_it_expires(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    await scan(phone, sign_in)
    flow.world.clock.advance(120)
    await assert_no_token(sign_in, "expired")
    await phone.approve(await sign_in.push())
    assert await sign_in.state() == "proved"


@pytest.mark.parametrize(("answer", "state"), [("deny", "denied"), ("not_me", "not_me")])
async def test_scanned_request_can_be_refused(flow: Flow, answer: str, state: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    await getattr(phone, answer)(await scan(phone, sign_in))
    await assert_no_token(sign_in, state)


# --- renewal ------------------------------------------------------------------------------------------------


async def test_page_renews_ten_times_then_offers_a_new_code(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    handles = {sign_in.stored["challenge"]["handle"]}
    for _ in range(10):
        flow.world.clock.advance(59)
        await renew(sign_in)
        handles.add(sign_in.stored["challenge"]["handle"])
    assert len(handles) == 11
    page = await sign_in.page()
    assert await sign_in.state() == "qr_waiting"
    assert not any("renews" in form.fields for form in page.forms())
    flow.world.clock.advance(60)
    assert await sign_in.state() == "expired"
    assert any(form.action.endswith("/qr") for form in (await sign_in.page()).forms())
    code = await sign_in.qr()  # "Show a new code"
    await phone.approve(code, await scan(phone, sign_in))
    assert await sign_in.state() == "proved"


async def test_renewals_are_bounded_whatever_the_browser_sends(flow: Flow) -> None:
    await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    for _ in range(15):
        await sign_in.post("qr", renews=sign_in.stored["challenge"]["context"]["challenge"])
    assert (sign_in.stored["renewals"], sign_in.stored["challenges"]) == (10, 1)
    before = sign_in.stored["challenge"]
    for renews in ("", "unknown", "$where"):
        await sign_in.post("qr", renews=renews)
    await sign_in.post("push", renews=before["context"]["challenge"])
    assert sign_in.stored["challenge"] == before


async def test_renewed_code_is_dead(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    old = sign_in.qr_text
    await renew(sign_in)
    with pytest.raises(PhoneError) as refused:
        await phone.scan(old)
    assert refused.value.status == 410


async def test_code_without_a_page_to_renew_it_expires_after_a_minute(flow: Flow) -> None:
    """No JavaScript, or a machine asleep."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    text = sign_in.qr_text
    flow.world.clock.advance(60)
    await assert_no_token(sign_in, "expired")
    with pytest.raises(PhoneError):
        await phone.scan(text)


async def test_renewal_does_not_take_away_what_was_scanned(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.qr()
    form = next(f for f in (await sign_in.page()).forms() if "renews" in f.fields)
    request = await scan(phone, sign_in)
    await sign_in.browser.submit(form)  # the page's timer, before the page heard of the scan
    assert await sign_in.state() == "qr_scanned"
    await phone.approve(code, request)
    assert await sign_in.state() == "proved"


class Held:
    """News of a scan that is under way while the page renews: the bus delivers it last."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.messages: list[SignedMessage] = []
        flow.world.bus.loses = self.holds

    def holds(self, signed: SignedMessage) -> bool:
        if signed.type == ChallengeClaimed.TYPE:
            self.messages.append(signed)
            return True
        return False

    async def deliver(self) -> None:
        self.flow.world.bus.loses = lambda signed: False
        await self.flow.world.bus.publish(self.messages)
        await self.flow.world.settle()


@pytest.mark.parametrize("answers_first", [False, True])
async def test_approval_at_the_edge_is_not_lost(flow: Flow, answers_first: bool) -> None:
    """Scanned a moment before the page renews: wsfed hears of it after it has shown the next code."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.qr()
    held = Held(flow)
    request = await scan(phone, sign_in)
    await renew(sign_in)
    assert sign_in.stored["challenge"]["context"]["challenge"] != request.id
    if answers_first:
        await phone.approve(code, request)
        assert await sign_in.state() == "proved"
        await held.deliver()
    else:
        await held.deliver()
        assert await sign_in.state() == "qr_scanned"
        assert (await sign_in.page()).code() == code
        await phone.approve(code, request)
    assert await sign_in.state() == "proved"
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA
    assert flow.world.bus.dead_letters == []


@pytest.mark.parametrize(("answer", "state"), [("deny", "denied"), ("not_me", "not_me")])
async def test_refusal_at_the_edge_is_not_lost(flow: Flow, answer: str, state: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    held = Held(flow)
    request = await scan(phone, sign_in)
    await renew(sign_in)
    await getattr(phone, answer)(request)
    await held.deliver()
    await assert_no_token(sign_in, state)


async def test_only_the_renewed_code_is_taken_back_not_older_ones(flow: Flow) -> None:
    """A taken-over approval claims a code of minutes ago: the page does not go back to it."""
    await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    first = sign_in.stored["challenge"]["context"]
    await renew(sign_in)
    await renew(sign_in)
    claimed = ChallengeClaimed(
        challenge=first["challenge"], transaction=sign_in.id, account=first["account"], device="d"
    )
    before = sign_in.stored["challenge"]
    await flow.say("approval", claimed)
    assert sign_in.stored["challenge"] == before


async def test_claim_for_another_tenants_sign_in_is_a_dead_letter(flow: Flow) -> None:
    sign_in = await flow.begin()
    await sign_in.qr()
    context = sign_in.stored["challenge"]["context"]
    claimed = ChallengeClaimed(
        challenge=context["challenge"], transaction=sign_in.id, account=context["account"], device="d"
    )
    await flow.say("approval", claimed, "fabrikam")
    assert await sign_in.state() == "qr_waiting"
    assert "no such transaction" in flow.reasons()[0]


@pytest.mark.parametrize("method", ["push", "qr"])
async def test_claim_of_a_push_or_after_the_end_changes_nothing(flow: Flow, method: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.post(method)
    context = sign_in.stored["challenge"]["context"]
    if method == "qr":
        code = sign_in.stored["challenge"]["code"]
        await phone.approve(code, await scan(phone, sign_in))
    before = await sign_in.state()
    claimed = ChallengeClaimed(
        challenge=context["challenge"], transaction=sign_in.id, account=context["account"], device="d"
    )
    await flow.say("approval", claimed)
    assert await sign_in.state() == before


# --- who must not learn, and who must not be helped ---------------------------------------------------------


async def test_expiry_and_renewal_look_the_same_for_nobody(flow: Flow) -> None:
    await flow.phone()
    seen = []
    for upn in (ADA, "nobody@contoso.example"):
        sign_in = await flow.begin(upn)
        words = []
        await sign_in.qr()
        for _ in range(3):
            words.append(normal(await sign_in.page()))
            await renew(sign_in)
        flow.world.clock.advance(60)
        await end_overdue(replica(flow.world))
        await flow.world.settle()
        words.append(normal(await sign_in.page()))
        # stored alike, too: approval's own sweeper must not make the one end earlier
        seen.append((words, sign_in.stored["state"], sign_in.stored["renewals"]))
    assert seen[0] == seen[1]


async def test_rejects_qr_relay_of_another_account_and_says_so(flow: Flow) -> None:
    """The attacker asks for Bob and shows Ada the code: Ada's phone refuses, and Bob's sign-in stays unscanned."""
    await flow.person(BOB)
    await flow.phone(BOB)
    ada = await flow.phone()
    attacker = await flow.begin(BOB)
    await attacker.qr()
    with pytest.raises(PhoneError) as refused:
        await scan(ada, attacker)
    assert refused.value.code == "other_account"
    assert await attacker.state() == "qr_waiting"


async def test_qr_relay_to_an_unknown_browser_needs_the_number(flow: Flow) -> None:
    """The attacker's own code for Ada's account, shown to Ada: without the number from the attacker's page, nothing."""
    ada = await flow.phone()
    attacker = await flow.begin()
    await attacker.qr()
    request = await scan(ada, attacker)
    assert request.code_required
    for code in ("000000", "111111", "222222"):
        with pytest.raises(PhoneError):
            await ada.approve(code, request)
    await assert_no_token(attacker, "wrong_code")


async def test_qr_relay_cannot_drop_the_code_from_the_context(flow: Flow) -> None:
    """A taken-over approval shows the phone a context that asks for no code: wsfed compares with its own."""
    ada = await flow.phone()
    attacker = await flow.begin()
    await attacker.qr()
    request = await scan(ada, attacker)
    facts = {**json.loads(request.context), "code_required": False}
    lied = Request(**{f: getattr(request, f) for f in request.__slots__} | {"context": json.dumps(facts)})
    proof = proof_of(ada.key, lied.with_code(""))
    await flow.say("approval", accepted(attacker, request, ada.key, proof))
    await assert_no_token(attacker, "qr_scanned")
    assert "another context or code" in flow.reasons()[0]


async def test_known_browser_needs_no_typed_code_with_qr(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)
    page = await sign_in.post("qr")
    assert "data-code" not in page.text
    request = await scan(phone, sign_in)
    assert not request.code_required
    await phone.approve("", request)
    user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
    assert user.mfa


async def test_known_browser_still_needs_the_code_with_push(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)
    await sign_in.push()
    (request,) = await phone.list()
    assert request.code_required
    with pytest.raises(PhoneError):
        await phone.approve("", request)
    assert (
        await sign_in.state() == "push_unnotified"
    )  # a known browser hears that the phone has no notifications


async def test_cookie_of_another_account_makes_no_known_browser(flow: Flow) -> None:
    """Bob signs in on Ada's machine: her cookie does not spare him the code."""
    ada = await flow.phone()
    at_adas = await known_browser(flow, ada)
    await flow.person(BOB)
    bob = await flow.phone(BOB)
    sign_in = await flow.begin(BOB, browser=at_adas.browser)
    await sign_in.qr()
    assert (await scan(bob, sign_in)).code_required


async def test_page_of_a_known_browser_hears_of_supersession_by_its_own_renewal_never(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)
    await sign_in.post("qr")
    for _ in range(3):
        await renew(sign_in)
        assert await sign_in.state() == "qr_waiting"
    late = ChallengeEnded(
        challenge="gone", transaction=sign_in.id, account=phone.key.account, outcome="superseded"
    )
    await flow.say("approval", late)
    assert await sign_in.state() == "qr_waiting"


async def test_handle_is_kept_by_approval_only_as_its_digest(flow: Flow) -> None:
    await flow.phone()
    sign_in = await flow.begin()
    await sign_in.qr()
    handle = sign_in.stored["challenge"]["handle"]
    (account,) = flow.world.documents("approval", "accounts")
    assert handle not in str(account)
    assert len(digest(handle)) == 32
    assert len(handle) == 22  # 128 bit
