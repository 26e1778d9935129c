"""docs/flows/sign-in.md, step 6, attacked: what a phone, or somebody in its place, may send to approval.

After each attack no token can be got.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from deploy.standins.phone.authenticator import UP, UV, Tamper, make_private_key
from deploy.standins.phone.phone import PhoneError
from deploy.standins.phone.request import Request
from services.admin import handlers as admin
from services.admin.ports import Dependencies
from shared.ids import SeededIds
from tests.flows.support import (
    ADA,
    BOB,
    TENANT,
    Flow,
    Phone,
    SignIn,
    assert_no_token,
    token_form,
)

End = Callable[[Dependencies, str, str], Awaitable[object]]
GONE = pytest.mark.parametrize("gone", [admin.suspend, admin.remove], ids=["suspended", "removed"])


async def asked(sign_in: SignIn, phone: Phone) -> tuple[str, Request]:
    """Steps 3 to 5: the code on the page, and the request on the phone."""
    code = await sign_in.push()
    found = [r for r in await phone.list() if r.facts["transaction"] == sign_in.id]
    assert len(found) == 1
    return code, found[0]


def wrong(code: str) -> str:
    """Another code than that."""
    return f"{(int(code) + 1) % 10**6:06d}"


async def refused(phone: Phone, code: str, request: Request, tamper: Tamper) -> PhoneError:
    with pytest.raises(PhoneError) as caught:
        await phone.approve(code, request, tamper=tamper)
    return caught.value


async def test_approval_for_another_transaction(flow: Flow) -> None:
    """Ada approves her own sign-in; the attacker, who started one too, offers that approval for his."""
    phone = await flow.phone()
    hers, his = await flow.begin(), await flow.begin()
    her_code, her_request = await asked(hers, phone)
    _, his_request = await asked(his, phone)
    stolen = Tamper(context=her_request.with_code(her_code))
    error = await refused(phone, her_code, his_request, stolen)
    assert error.code == "other_context"
    await assert_no_token(his, "push_waiting")
    await phone.approve(her_code, her_request)
    assert await hers.state() == "proved"
    assert await his.state() == "push_waiting"


async def test_approval_twice(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    await phone.approve(code, request)
    replay = Tamper(replay=phone.last_credential)
    assert (await refused(phone, code, request, replay)).code == "accepted"
    assert (await refused(phone, code, request, Tamper())).code == "accepted"
    await sign_in.take()
    assert len(flow.issuances()) == 1
    # nor does it serve a second sign-in of the same person
    second = await flow.begin()
    _, other = await asked(second, phone)
    error = await refused(phone, code, other, Tamper(context=request.with_code(code), replay=replay.replay))
    assert error.code == "other_context"
    assert await second.state() == "push_waiting"
    assert "wresult" not in (await second.token()).text


async def test_approval_late(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    flow.world.clock.advance(120)
    assert (await refused(phone, code, request, Tamper())).code == "expired"
    await assert_no_token(sign_in, "expired")


async def test_approval_of_a_superseded_request(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    new_code = await sign_in.push()
    assert (await refused(phone, code, request, Tamper())).code == "superseded"
    await assert_no_token(sign_in, "push_waiting")
    await phone.approve(new_code)
    assert await sign_in.state() == "proved"


async def test_approval_of_a_denied_request(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    await phone.deny(request)
    assert (await refused(phone, code, request, Tamper())).code == "denied"
    assert sign_in.stored["state"] == "denied"
    await assert_no_token(sign_in, "push_waiting")  # this browser is not known: it is told nothing


async def test_wrong_code_three_times(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    errors = [await refused(phone, wrong(code), request, Tamper()) for _ in range(3)]
    assert [(e.status, e.code) for e in errors] == [(403, "wrong_code")] * 2 + [(410, "wrong_code")]
    assert (await refused(phone, code, request, Tamper())).status == 410  # the right one comes too late
    await assert_no_token(sign_in)
    assert sign_in.stored["state"] == "wrong_code"


async def test_wrong_code_once_leaves_the_request_open(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    await refused(phone, wrong(code), request, Tamper())
    await assert_no_token(sign_in, "push_waiting")
    await phone.approve(code, request)
    assert token_form(await sign_in.token())


async def test_code_of_the_request_before_counts_as_wrong(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    old = await sign_in.push()
    code, request = await asked(sign_in, phone)
    if old != code:  # one in a million is the same
        assert (await refused(phone, old, request, Tamper())).code == "wrong_code"
    await assert_no_token(sign_in, "push_waiting")


async def test_approval_without_a_code(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    assert (await refused(phone, code, request, Tamper(context=request.context))).status == 400
    await assert_no_token(sign_in, "push_waiting")


THIEF = make_private_key("ES256", SeededIds("thief"))
LIES = {
    "without user verification": Tamper(flags=UP),
    "without user presence": Tamper(flags=UV),
    "other origin": Tamper(origin="https://login.contoso.example"),
    "the sign-in page's origin": Tamper(origin="http://id.localhost:8365"),
    "origin that begins like ours": Tamper(origin="http://key.id.localhost:83650"),
    "other RP ID": Tamper(rp_id="evil.example"),
    "other challenge": Tamper(challenge=bytes(32)),
    "registration instead of assertion": Tamper(type="webauthn.create"),
    "from a foreign frame": Tamper(cross_origin=True),
    "foreign key": Tamper(signing_key=THIEF),
    "counter that went back": Tamper(sign_count=1),
}


@pytest.mark.parametrize("tamper", LIES.values(), ids=LIES)
async def test_approval_refused(flow: Flow, tamper: Tamper) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    assert (await refused(phone, code, request, tamper)).status == 403
    await assert_no_token(sign_in, "push_waiting")


async def test_approval_with_the_key_of_another_account(flow: Flow) -> None:
    await flow.person(BOB)
    ada, bob = await flow.phone(), await flow.phone(BOB)
    sign_in = await flow.begin()
    code, request = await asked(sign_in, ada)
    assert (await refused(bob, code, request, Tamper())).status == 404
    # under Ada's credential id, with Bob's key
    disguised = Tamper(credential_id=ada.key.credential_id)
    assert (await refused(bob, code, request, disguised)).status == 403
    await assert_no_token(sign_in, "push_waiting")


async def test_approval_with_the_key_of_another_tenant(flow: Flow) -> None:
    await flow.tenant("fabrikam", "fabrikam.example")
    await flow.person("ada@fabrikam.example", "fabrikam")
    ada = await flow.phone()
    stranger = await flow.phone("ada@fabrikam.example", "fabrikam")
    sign_in = await flow.begin()
    code, request = await asked(sign_in, ada)
    assert (await refused(stranger, code, request, Tamper())).status == 404
    disguised = Tamper(credential_id=ada.key.credential_id)
    assert (await refused(stranger, code, request, disguised)).status == 403
    await assert_no_token(sign_in, "push_waiting")


async def test_qr_code_of_another_account_is_refused_loudly(flow: Flow) -> None:
    """QR relay: the attacker's own code, shown to Bob."""
    await flow.person(BOB)
    await flow.phone()
    bob = await flow.phone(BOB)
    sign_in = await flow.begin()
    await sign_in.qr()
    with pytest.raises(PhoneError) as caught:
        await bob.scan(f"{flow.phone_origin}/#q={sign_in.stored['challenge']['handle']}")
    assert caught.value.code == "other_account"
    await assert_no_token(sign_in, "qr_waiting")


async def test_approval_with_a_removed_device(flow: Flow) -> None:
    lost, kept = await flow.phone(), await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, kept)
    await kept.remove_device(lost.key.device)
    assert (await refused(lost, code, request, Tamper())).status in (403, 404)
    await assert_no_token(sign_in, "push_waiting")
    await kept.approve(code, request)
    assert token_form(await sign_in.token())


@GONE
async def test_approval_by_an_account_that_was_suspended_meanwhile(flow: Flow, gone: End) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    await gone(flow.admin, TENANT, ADA)
    await flow.world.settle()
    assert (await refused(phone, code, request, Tamper())).status == 410  # requests end with the account
    assert (
        await flow.world.databases["approval"].collection("accounts").find({"due": {"$exists": True}}) == []
    )
    await assert_no_token(sign_in)


@GONE
async def test_account_suspended_between_approval_and_token(flow: Flow, gone: End) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await gone(flow.admin, TENANT, ADA)
    await flow.world.settle()
    answer = await sign_in.token()
    assert answer.status == 403
    assert "wresult" not in answer.text
    assert flow.issuances() == []
    assert sign_in.stored["state"] == "proved"


async def test_device_removed_between_approval_and_token(flow: Flow) -> None:
    """A stolen phone approved; its owner removes it from another one before the thief's browser goes on."""
    stolen, other = await flow.phone(), await flow.phone()
    sign_in = await flow.begin()
    await stolen.approve(await sign_in.push())
    await other.remove_device(stolen.key.device)
    answer = await sign_in.token()
    assert answer.status == 403
    assert "wresult" not in answer.text
    assert flow.issuances() == []


async def test_unknown_credential_teaches_nothing_and_ends_nothing(flow: Flow) -> None:
    """A stranger can neither approve nor spend the person's three tries."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    code, request = await asked(sign_in, phone)
    stranger = await flow.bare_phone()
    stranger.keys = [replace(phone.key, credential_id="A" * 43, private_key=THIEF)]
    stranger.use(ADA)
    for _ in range(5):
        assert (await refused(stranger, wrong(code), request, Tamper())).code == "unknown_device"
    await phone.approve(code, request)
    assert await sign_in.state() == "proved"
