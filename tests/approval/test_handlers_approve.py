"""Approvals (docs/flows/sign-in.md, steps 4 to 7) and the attacks on them."""

import asyncio
import json
from collections.abc import Sequence

import pytest
import rfc8785

from deploy.standins.phone.authenticator import UP, Tamper, make_private_key
from services.approval.handlers import challenges
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import ChallengeAccepted
from shared.crypto.assertion import verify_assertion
from shared.errors import Blok365Error, Conflict, Forbidden, Gone, NotFound
from shared.ids import SeededIds, unb64u
from tests.approval.support import BROWSER_ADDRESS, ORIGIN, RP_ID, Approval, replica


def codes(results: Sequence[object]) -> list[str]:
    """The error codes among the results of a gather; an unexpected exception is shown as itself."""
    found = []
    for result in results:
        if isinstance(result, Blok365Error):
            found.append(result.code)
        elif isinstance(result, BaseException):
            raise result
    return found


async def test_right_code_is_accepted_and_told_with_a_proof_that_verifies(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    assert await phone.listed() == [asked.id]
    await phone.approve(asked)
    assert await approval.outcomes() == [(asked.command.transaction, "accepted")]
    (told,) = [m for m in approval.heard if isinstance(m, ChallengeAccepted)]
    (device,) = await approval.devices_told()
    assert (told.challenge, told.account, told.device) == (asked.id, "ada", device.device)
    assert told.proof.context == asked.with_code()
    verify_assertion(
        authenticator_data=unb64u(told.proof.authenticator_data),
        client_data_json=unb64u(told.proof.client_data_json),
        signature=unb64u(told.proof.signature),
        public_key=unb64u(device.public_key),
        expected_challenge=unb64u(asked.command.expected_digest),
        expected_origins=frozenset({ORIGIN}),
        expected_rp_id=RP_ID,
    )


async def test_accepted_continues_the_correlation_of_the_request(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    correlation = approval.document()["challenges"][asked.id]["correlation"]
    await phone.approve(asked)
    (signed,) = [e for e in approval.document()["outbox"] if e["type"].endswith("accepted.v1")]
    assert json.loads(signed["body"])["correlation_id"] == correlation


async def test_one_approval_costs_two_store_operations(approval: Approval) -> None:
    phone = await approval.phone()
    database = approval.world.databases["approval"]
    before = len(database.operations)
    asked = await approval.ask()
    opening = database.operations[before:]
    context = asked.with_code()
    answer = phone.answer(context)
    before = len(database.operations)
    await challenges.approve(approval.deps, asked.id, context, answer)
    assert opening == [("accounts", "find"), ("accounts", "update")]
    assert database.operations[before:] == [("accounts", "find"), ("accounts", "update")]


# --- attacks ------------------------------------------------------------------------------------------------


async def test_rejects_replayed_approval(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    context = asked.with_code()
    credential = phone.answer(context)
    await challenges.approve(approval.deps, asked.id, context, credential)
    with pytest.raises(Conflict) as refused:
        await challenges.approve(approval.deps, asked.id, context, credential)
    assert refused.value.code == "accepted"


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::1", "unknown", ""])
async def test_other_network_is_refused_where_the_tenant_wants_one_and_spends_nothing(
    approval: Approval, address: str
) -> None:
    phone = await approval.phone()
    asked = await approval.ask(same_network=True)
    context = asked.with_code()
    answer = phone.answer(context)
    before = approval.document()
    for _ in range(5):  # more than there are tries
        with pytest.raises(Forbidden) as refused:
            await challenges.approve(approval.deps, asked.id, context, answer, address)
        assert refused.value.code == "other_network"
        assert "Use a passkey" in refused.value.remedy
    assert approval.document() == before
    await challenges.approve(approval.deps, asked.id, context, answer, BROWSER_ADDRESS)
    assert approval.state(asked) == "accepted"


async def test_other_network_is_not_told_to_whoever_did_not_sign(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask(same_network=True)
    context = asked.with_code()
    with pytest.raises(Forbidden) as refused:
        await challenges.approve(approval.deps, asked.id, context, phone.answer("another"), "203.0.113.9")
    assert refused.value.code == "assertion"


async def test_rejects_replayed_assertion_of_an_earlier_request(approval: Approval) -> None:
    phone = await approval.phone()
    first = await approval.ask()
    old = phone.answer(first.with_code())
    await challenges.approve(approval.deps, first.id, first.with_code(), old)
    second = await approval.ask()
    with pytest.raises(Forbidden):
        await challenges.approve(approval.deps, second.id, second.with_code(), old)
    assert approval.state(second) == "open"


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("counts", [True, False], ids=["counter", "no counter"])
async def test_twice_at_once_is_accepted_once(approval: Approval, replicas: int, counts: bool) -> None:
    phone = await approval.phone(counts=counts)
    asked = await approval.ask()
    context = asked.with_code()
    deps = [approval.deps, *(replica(approval.world) for _ in range(replicas - 1))]
    results = await asyncio.gather(
        *(
            challenges.approve(deps[i % replicas], asked.id, context, phone.answer(context))
            for i in range(50)
        ),
        return_exceptions=True,
    )
    assert len(codes(results)) == 49
    assert await approval.outcomes() == [(asked.command.transaction, "accepted")]


async def test_rejects_late_approval(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask(lifetime=120)
    approval.world.clock.advance(120)
    with pytest.raises(Gone) as refused:
        await phone.approve(asked)
    assert refused.value.code == "expired"
    assert await approval.outcomes() == []


async def test_approval_in_the_last_moment_counts(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask(lifetime=120)
    approval.world.clock.advance(119.999)
    await phone.approve(asked)
    assert approval.state(asked) == "accepted"


async def test_lifetime_counts_from_receipt_because_clocks_may_differ(approval: Approval) -> None:
    phone = await approval.phone()
    command = (await approval.ask(deliver=False)).command
    signed = approval.world.signer("wsfed").sign(command, tenant="contoso")
    approval.world.clock.advance(300)  # our clock is five minutes ahead of wsfed's
    await approval.world.bus.publish([signed])
    assert await phone.listed() == [command.challenge]


async def test_wrong_code_thrice_ends_the_request(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    for code in ("000000", "111111"):
        with pytest.raises(Forbidden) as refused:
            await phone.approve(asked, code=code)
        assert refused.value.code == "wrong_code"
    with pytest.raises(Gone) as over:
        await phone.approve(asked, code="222222")
    assert over.value.code == "wrong_code"
    with pytest.raises(Gone):
        await phone.approve(asked)  # the right one comes too late
    assert await approval.outcomes() == [(asked.command.transaction, "wrong_code")]


async def test_right_code_after_two_wrong_ones_is_accepted(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    for code in ("000000", "111111"):
        with pytest.raises(Forbidden):
            await phone.approve(asked, code=code)
    await phone.approve(asked)
    assert approval.state(asked) == "accepted"


@pytest.mark.parametrize("replicas", [1, 3])
async def test_guessing_in_parallel_gets_three_tries(approval: Approval, replicas: int) -> None:
    phone = await approval.phone(counts=False)
    asked = await approval.ask()
    deps = [approval.deps, *(replica(approval.world) for _ in range(replicas - 1))]

    async def guess(number: int) -> None:
        context = asked.with_code(f"{number:06}")
        await challenges.approve(deps[number % replicas], asked.id, context, phone.answer(context))

    results = await asyncio.gather(*(guess(number) for number in range(50)), return_exceptions=True)
    assert len(codes(results)) == 50
    assert approval.document()["challenges"][asked.id]["tries"] == 3
    assert await approval.outcomes() == [(asked.command.transaction, "wrong_code")]


async def test_wrong_codes_are_not_counted_for_whoever_has_no_key(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    liar = Tamper(signing_key=make_private_key("ES256", SeededIds("liar")))
    for code in ("000000", "111111", "222222", "333333"):
        with pytest.raises(Forbidden) as refused:
            await phone.approve(asked, code=code, tamper=liar)
        assert refused.value.code == "assertion"
    await phone.approve(asked)
    assert approval.state(asked) == "accepted"


async def test_a_liar_does_not_learn_whether_the_code_was_right(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    liar = Tamper(signing_key=make_private_key("ES256", SeededIds("liar")))
    said = []
    for code in (asked.code, "000000"):
        with pytest.raises(Forbidden) as refused:
            await phone.approve(asked, code=code, tamper=liar)
        said.append((refused.value.code, refused.value.detail))
    assert said[0] == said[1]


ATTACKS = {
    "foreign key": Tamper(signing_key=make_private_key("ES256", SeededIds("foreign"))),
    "without user verification": Tamper(flags=UP),
    "other origin": Tamper(origin="https://evil.example"),
    "other RP ID": Tamper(rp_id="evil.example"),
    "other challenge": Tamper(challenge=bytes(32)),
    "counter that stands still": Tamper(sign_count=1),
}


@pytest.mark.parametrize("tamper", ATTACKS.values(), ids=ATTACKS)
async def test_rejects_approval(approval: Approval, tamper: Tamper) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    with pytest.raises(Forbidden):
        await phone.approve(asked, tamper=tamper)
    assert approval.state(asked) == "open"
    assert await approval.outcomes() == []


async def test_rejects_approval_for_another_transaction(approval: Approval) -> None:
    phone = await approval.phone()
    mine = await approval.ask(browser="mine")
    other = await approval.ask(browser="other")
    with pytest.raises(Conflict) as refused:
        await phone.approve(mine, tamper=Tamper(context=other.with_code()))
    assert refused.value.code == "other_context"
    assert (approval.state(mine), approval.state(other)) == ("open", "open")


async def test_rejects_a_context_with_another_realm(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    changed = rfc8785.dumps({**json.loads(asked.with_code()), "realm": "urn:evil"}).decode()
    with pytest.raises(Conflict):
        await phone.approve(asked, tamper=Tamper(context=changed))


async def test_rejects_foreign_tenants_device(approval: Approval) -> None:
    await approval.phone()
    await approval.tenant("fabrikam", name="Fabrikam")
    stranger = await approval.phone("ada", tenant="fabrikam")  # the same account name elsewhere
    asked = await approval.ask()
    with pytest.raises(NotFound):
        await stranger.approve(asked)
    assert approval.state(asked) == "open"


async def test_rejects_device_of_another_account(approval: Approval) -> None:
    await approval.phone()
    grace = await approval.phone("grace")
    asked = await approval.ask()
    with pytest.raises(NotFound):
        await grace.approve(asked)


async def test_rejects_unknown_device(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    with pytest.raises(NotFound) as refused:
        await phone.approve(asked, tamper=Tamper(credential_id="unknown0"))
    assert refused.value.code == "unknown_device"


async def test_rejects_removed_device(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    who = await phone.who()
    await phone.remove(who, who.session.device)
    with pytest.raises(Forbidden) as refused:
        await phone.approve(asked)
    assert refused.value.code == "device_removed"


@pytest.mark.parametrize("status", [AccountStatus.SUSPENDED, AccountStatus.REMOVED])
async def test_rejects_suspended_account(approval: Approval, status: AccountStatus) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    await approval.account(version=2, status=status)
    with pytest.raises(Forbidden) as refused:
        await phone.approve(asked)
    assert refused.value.code == "account"
    assert approval.state(asked) == "open"


async def test_account_suspended_while_it_approves_is_one_or_the_other(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    await asyncio.gather(
        approval.account(version=2, status=AccountStatus.SUSPENDED),
        phone.approve(asked),
        return_exceptions=True,
    )
    heard = await approval.outcomes()
    assert heard == ([(asked.command.transaction, "accepted")] if approval.state(asked) == "accepted" else [])
    assert approval.document()["status"] == "suspended"


@pytest.mark.long
async def test_many_requests_and_approvals_at_once_keep_every_limit(approval: Approval) -> None:
    phone = await approval.phone(counts=False)
    asked = [await approval.ask(browser=f"b{i % 20}", deliver=False) for i in range(120)]

    async def one(number: int) -> None:
        approval.world.clock.advance(0.001)  # as exact as the times of messages
        await approval.world.say("wsfed", asked[number].command)
        await phone.approve(asked[number])

    codes(await asyncio.gather(*(one(i) for i in range(120)), return_exceptions=True))
    heard = await approval.outcomes()
    assert len({transaction for transaction, _ in heard}) == len(heard)
    kept = approval.document()
    still = [c for c in kept["challenges"].values() if c["state"] == "open"]
    assert len(still) <= 3
    assert len(kept["pushes_unknown"]) <= 3
    assert len(heard) + len(still) == 120
