"""wsfed's handlers when messages come twice, too early, in the wrong order, or the database fails in between."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy.standins.phone.phone import PhoneError, SoftPhone
from services.admin import handlers as admin
from shared.contracts import Message
from shared.contracts.admin import AccountStatus, InvitationChanged
from shared.contracts.approval import ChallengeAccepted, ChallengeEnded, DeviceChanged
from shared.contracts.envelope import SignedMessage
from shared.errors import Unavailable
from shared.store.memory import MemoryCollection
from tests.flows.support import ADA, BOB, DOMAIN, TENANT, Flow, SignIn, assert_no_token, token_form


def losing(flow: Flow, *kinds: type[Message]) -> list[SignedMessage]:
    """The bus keeps such messages back from now on; they gather in the list."""
    kept: list[SignedMessage] = []
    names = {kind.TYPE for kind in kinds}

    def loses(signed: SignedMessage) -> bool:
        if signed.type in names:
            kept.append(signed)
        return signed.type in names

    flow.world.bus.loses = loses
    return kept


async def deliver(flow: Flow, messages: list[SignedMessage]) -> None:
    """What was kept back arrives after all."""
    flow.world.bus.loses = lambda signed: False
    for signed in messages:
        await flow.publish(signed)


# --- order and repetition --------------------------------------------------------------------------------------


async def test_approval_that_overtakes_its_device_waits_for_it(flow: Flow) -> None:
    late = losing(flow, DeviceChanged)
    phone = await flow.phone()
    assert flow.world.documents("wsfed", "devices") == []
    flow.world.bus.loses = lambda signed: False
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    assert sign_in.stored["state"] == "waiting"
    await deliver(flow, late)
    flow.world.clock.advance(1)
    await flow.world.settle()
    assert token_form(await sign_in.token())


async def test_approval_waits_no_longer_the_later_its_device_comes(flow: Flow) -> None:
    """A person sits before the page: half a minute late, and then a second."""
    late = losing(flow, DeviceChanged)
    phone = await flow.phone()
    flow.world.bus.loses = lambda signed: False
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    for _ in range(30):
        flow.world.clock.advance(1)
        await flow.world.settle()
    assert sign_in.stored["state"] == "waiting"
    await deliver(flow, late)
    flow.world.clock.advance(1)
    await flow.world.settle()
    assert token_form(await sign_in.token())


async def test_approval_of_a_device_that_never_comes_ends_as_a_dead_letter(flow: Flow) -> None:
    losing(flow, DeviceChanged)
    phone = await flow.phone()
    flow.world.bus.loses = lambda signed: False
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    for seconds in (1, 10, 60, 60):
        flow.world.clock.advance(seconds)
        await flow.world.settle()
    assert flow.reasons()
    await assert_no_token(sign_in, "expired")


async def test_device_that_overtakes_its_invitation_waits_for_it(flow: Flow) -> None:
    """approval had the invitation in time; at wsfed it is late."""
    url = await flow.invite()
    (invitation,) = flow.world.databases["wsfed"].data["invitations"].values()
    del flow.world.databases["wsfed"].data["invitations"][invitation["_id"]]
    later = losing(flow, InvitationChanged)
    await (await flow.bare_phone()).enrol(url)
    assert flow.world.documents("wsfed", "devices") == []
    await deliver(flow, later)
    flow.world.clock.advance(1)
    await flow.world.settle()
    assert len(flow.world.documents("wsfed", "devices")) == 1


async def test_everything_delivered_twice_and_backwards_changes_nothing(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    before = {name: flow.world.documents("wsfed", name) for name in COLLECTIONS}
    sent = [signed for signed in flow.world.bus.sent if not signed.type.startswith("notify.")]
    for signed in (*sent, *reversed(sent)):
        await flow.publish(signed)
    assert {name: flow.world.documents("wsfed", name) for name in COLLECTIONS} == before
    await sign_in.take()
    assert len(flow.issuances()) == 1


COLLECTIONS = ("tenants", "accounts", "invitations", "devices", "transactions", "issuances")


async def test_older_news_of_a_suspended_account_do_not_wake_it(flow: Flow) -> None:
    phone = await flow.phone()
    active = (await flow.account()).event()
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    await flow.say("admin", active)
    sign_in = await flow.begin()
    await sign_in.push()
    assert await _listed(phone) == 0
    await assert_no_token(sign_in)


async def _listed(phone: SoftPhone) -> int:
    try:
        return len(await phone.list())
    except PhoneError:
        return 0


async def test_end_of_a_request_that_was_replaced_does_not_end_the_new_one(flow: Flow) -> None:
    late = losing(flow, ChallengeEnded)
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.push()
    await phone.deny()
    flow.world.bus.loses = lambda signed: False
    code = await sign_in.push()
    await deliver(flow, late)
    assert await sign_in.state() == "push_waiting"
    await phone.approve(code)
    assert await sign_in.state() == "proved"


@pytest.mark.parametrize("kind", [ChallengeAccepted, ChallengeEnded])
async def test_message_about_no_transaction_is_a_dead_letter(flow: Flow, kind: type[Message]) -> None:
    body: dict[str, Any] = {"challenge": "c", "transaction": "none", "account": "a", "outcome": "denied"}
    body |= {
        "device": "d",
        "proof": {"context": "", "authenticator_data": "", "client_data_json": "", "signature": ""},
    }
    await flow.say("approval", kind.model_validate(body))
    assert len(flow.reasons()) == 1


@pytest.mark.parametrize("field", ["transaction", "challenge", "device", "account"])
async def test_ids_that_are_operators_or_paths_find_nothing(flow: Flow, field: str) -> None:
    """NoSQL injection by a taken-over service: ids are text, whatever is in them."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    await sign_in.push()
    challenge = sign_in.stored["challenge"]["context"]["challenge"]
    body: dict[str, Any] = {
        "challenge": challenge,
        "transaction": sign_in.id,
        "account": phone.key.account,
        "device": phone.key.device,
        "proof": {"context": "{}", "authenticator_data": "AA", "client_data_json": "AA", "signature": "AA"},
    }
    for odd in ('{"$ne":null}', "$where", "../contoso", f"{TENANT}/x", "\x00", "a.b", "é" * 1000, ""):
        await flow.say("approval", ChallengeAccepted.model_validate({**body, field: odd}))
    await assert_no_token(sign_in, "push_waiting")


# --- tokens ----------------------------------------------------------------------------------------------------


async def approved(flow: Flow) -> SignIn:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    return sign_in


async def test_no_token_leaves_without_its_record(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log before sign: the database fails just then."""
    sign_in = await approved(flow)
    genuine = MemoryCollection.insert_many

    async def fails(self: MemoryCollection, documents: Any) -> None:
        raise Unavailable()

    monkeypatch.setattr(MemoryCollection, "insert_many", fails)
    answer = await sign_in.token()
    assert answer.status == 503
    assert "wresult" not in answer.text
    monkeypatch.setattr(MemoryCollection, "insert_many", genuine)
    again = await sign_in.token()
    assert "wresult" not in again.text or len(flow.issuances()) == 1


async def test_person_whose_domain_is_no_longer_federated_gets_no_token(flow: Flow) -> None:
    """The issuer follows from the person's domain; without one there is nothing to sign with."""
    sign_in = await approved(flow)
    tenant = await admin.show_tenant(flow.admin, TENANT)
    moved = replace(tenant, version=tenant.version + 1, domains=())
    await flow.say("admin", moved.event())
    answer = await sign_in.token()
    assert answer.status in (403, 409)
    assert "wresult" not in answer.text
    assert flow.issuances() == []
    assert sign_in.stored["state"] == "proved"


async def test_token_of_a_subdomain_carries_the_root_domains_issuer(flow: Flow) -> None:
    phone = await flow.phone()
    account = await flow.account()
    moved = replace(account, version=account.version + 1, upn="ada@berlin.contoso.example")
    await flow.say("admin", moved.event())
    sign_in = await flow.begin("ada@berlin.contoso.example")
    await phone.approve(await sign_in.push())
    form = await sign_in.take()
    tenant = await admin.show_tenant(flow.admin, TENANT)
    assert f'Issuer="{tenant.domains[0].issuer}"' in form.fields["wresult"]
    assert [d.name for d in tenant.domains] == [DOMAIN]


async def test_issuer_of_another_tenant_is_never_used(flow: Flow) -> None:
    """Issuer confusion: contoso's account with fabrikam's domain in its name."""
    await flow.tenant("fabrikam", "fabrikam.example")
    phone = await flow.phone()
    account = await flow.account()
    await flow.say("admin", replace(account, version=account.version + 1, upn="ada@fabrikam.example").event())
    sign_in = await flow.begin("ada@fabrikam.example")
    await phone.approve(await sign_in.push())
    answer = await sign_in.token()
    assert answer.status in (403, 409)
    assert "wresult" not in answer.text
    assert flow.issuances() == []


async def test_token_says_the_account_that_approved_not_the_name_that_was_typed(flow: Flow) -> None:
    """ImmutableID spoofing: the hint proves nothing."""
    await flow.person(BOB)
    bob = await flow.phone(BOB)
    sign_in = await flow.begin(ADA)
    page = await sign_in.post("account", username=BOB)
    assert BOB in page.words()
    await bob.approve(await sign_in.push())
    user = await flow.entra.verify(await sign_in.take(), sign_in.pending)
    assert user.upn == BOB
    assert user.immutable_id == (await flow.account(BOB)).immutable_id


@pytest.mark.parametrize("method", ["push", "qr"])
async def test_approval_of_the_question_under_an_earlier_name_signs_nobody_in(
    flow: Flow, method: str
) -> None:
    """Whoever answers must not be signed in under another name, nor in the browser that has given up theirs."""
    await flow.person(BOB)
    ada, bob = await flow.phone(), await flow.phone(BOB)
    sign_in = await flow.begin(ADA)
    code = (await sign_in.post(method)).code()
    handle = sign_in.stored["challenge"]["handle"]
    request = await ada.scan(f"{flow.phone_origin}/#q={handle}") if method == "qr" else None
    page = await sign_in.post("account", username=BOB)
    assert page.status == 200
    await ada.approve(code, request)
    await assert_no_token(sign_in, "start")
    await bob.approve(await sign_in.push())
    assert "bob@contoso.example" in (await sign_in.take()).fields["wresult"]


async def test_name_is_not_changed_once_the_sign_in_is_proved(flow: Flow) -> None:
    await flow.person(BOB)
    sign_in = await approved(flow)
    page = await sign_in.post("account", username=BOB)
    assert "Approved" in page.words()
    assert (await sign_in.browser.get(f"{sign_in.url}/name")).url == sign_in.url
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA


@pytest.mark.parametrize("end", [None, "waiting", "denied", "expired", "wrong name"])
async def test_name_on_the_page_can_be_changed_in_every_state_before_the_proof(
    flow: Flow, end: str | None
) -> None:
    """An alias, an old name: the push went to nobody, and the page must not be a dead end."""
    ada = await flow.phone()
    await flow.person(BOB)
    other = await flow.phone(BOB)
    sign_in = await flow.begin("ada.lovelace@contoso.example" if end == "wrong name" else BOB)
    if end is not None:
        await sign_in.push()
    if end == "denied":
        await other.deny()
    if end == "expired":
        flow.world.clock.advance(130)
    page = await sign_in.page()
    assert f'href="/signin/{sign_in.id}/name"' in page.text
    asked = await sign_in.browser.get(f"{sign_in.url}/name")
    assert asked.form("/account").fields["username"] == sign_in.stored["hint"]
    await sign_in.browser.submit(asked.form("/account"), username=ADA)
    assert await sign_in.state() == "start"
    await ada.approve(await sign_in.push())
    assert token_form(await sign_in.token())


@pytest.mark.parametrize("hint", ["contoso.example", "CONTOSO\\ada", "ada"])
async def test_hint_that_is_no_user_name_is_asked_for(flow: Flow, hint: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin(hint)
    page = await sign_in.page()
    assert page.form("/account").fields["username"] == ""
    assert hint not in page.words().replace("ada@contoso.example", "")  # the example beside the field
    await sign_in.post("account", username=ADA)
    await phone.approve(await sign_in.push())
    assert token_form(await sign_in.token())


async def test_renamed_person_gets_a_token_with_the_new_name_and_the_same_immutable_id(flow: Flow) -> None:
    sign_in = await approved(flow)
    account = await flow.account()
    await flow.say(
        "admin", replace(account, version=account.version + 1, upn="lovelace@contoso.example").event()
    )
    form = await sign_in.take()
    assert "lovelace@contoso.example" in form.fields["wresult"]
    assert account.immutable_id in form.fields["wresult"]


async def test_removed_tenant_signs_nobody_in(flow: Flow) -> None:
    sign_in = await approved(flow)
    tenant = await admin.show_tenant(flow.admin, TENANT)
    removed = tenant.event().model_copy(update={"version": tenant.version + 1, "removed": True})
    await flow.say("admin", removed)
    assert (await sign_in.token()).status == 404
    url, _ = flow.entra.request(ADA)
    assert (await (await flow.browser()).get(url)).status == 404
    assert flow.issuances() == []


async def test_tenant_without_an_application_says_so(flow: Flow) -> None:
    await admin.create_tenant(flow.admin, "empty", "Empty")
    await flow.world.settle()
    url, _ = flow.entra.request("a@empty.example", "empty")
    page = await (await flow.browser()).get(url)
    assert page.status == 404
    assert "administrator" in page.words()


@pytest.mark.parametrize("status", [AccountStatus.SUSPENDED, AccountStatus.REMOVED, AccountStatus.INVITED])
async def test_status_is_read_at_the_moment_of_the_token(flow: Flow, status: AccountStatus) -> None:
    sign_in = await approved(flow)
    account = await flow.account()
    await flow.say("admin", replace(account, version=account.version + 1, status=status).event())
    answer = await sign_in.token()
    assert ("wresult" in answer.text) == (status is AccountStatus.INVITED)
    assert len(flow.issuances()) == (status is AccountStatus.INVITED)


async def test_old_knowledge_signs_nothing(flow: Flow) -> None:
    """The clock of the approval is not the clock of the token: an approval of an hour ago is too old."""
    sign_in = await approved(flow)
    flow.world.clock.advance(timedelta(hours=1).total_seconds())
    answer = await sign_in.token()
    assert answer.status == 410
    assert flow.issuances() == []


async def test_record_names_what_an_auditor_asks_for(flow: Flow) -> None:
    sign_in = await approved(flow)
    await sign_in.take()
    (record,) = flow.issuances()
    account = await flow.account()
    assert record["tenant"] == TENANT
    assert record["account"] == account.id
    assert record["upn"] == ADA
    assert record["immutable_id"] == account.immutable_id
    assert record["transaction"] == sign_in.id
    assert record["client_request_id"] == sign_in.pending.client_request_id
    assert record["authenticated_at"] == record["issued_at"] == flow.world.clock.now()
    assert json.loads(record["proof"]["context"])["tenant"] == TENANT
    assert record["number"] == 1
