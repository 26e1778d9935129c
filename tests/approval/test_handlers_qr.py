"""QR codes at approval: scanned once, by one phone, in time; renewed without losing who has scanned already."""

import asyncio

import pytest

from services.approval.domain.lifecycle import ChallengeAction
from services.approval.handlers import challenges
from services.approval.handlers.challenges import end_overdue
from shared.contracts.approval import ChallengeAccepted
from shared.errors import BadInput, Blok365Error, Forbidden, Gone, NotFound
from tests.approval.support import Approval, Asked, Phone, replica


async def shown(approval: Approval, **more: object) -> Asked:
    """A code as wsfed shows it: 60 s to scan, 120 s to answer."""
    fields: dict[str, object] = {"method": "qr", "handle_lifetime": 60, **more}
    return await approval.ask(**fields)  # type: ignore[arg-type]


async def second_phone(approval: Approval) -> Phone:
    phone = Phone(approval)
    await phone.enrol(await approval.invitation())
    return phone


async def test_scan_is_told_and_spends_the_code(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await shown(approval)
    found = await phone.scan(asked)
    assert (found.id, found.context) == (asked.id, asked.command.context)
    (device,) = approval.document()["devices"]
    assert await approval.claims() == [(asked.id, device)]
    for other in (phone, await second_phone(approval)):
        with pytest.raises(Gone):
            await other.scan(asked)
    assert len(await approval.claims()) == 1


async def test_scanned_by_two_phones_at_once_one_has_it(approval: Approval) -> None:
    phones = [await approval.phone(), *[await second_phone(approval) for _ in range(3)]]
    asked = await shown(approval)
    for phone in phones:
        phone.deps = replica(approval.world)
    results = await asyncio.gather(*(phone.scan(asked) for phone in phones), return_exceptions=True)
    assert len([r for r in results if isinstance(r, Gone)]) == 3
    assert len(await approval.claims()) == 1


async def test_scanned_request_stays_on_that_phones_list_and_on_no_other(approval: Approval) -> None:
    """The page may be reloaded, or the answer to the scan be lost on its way."""
    phone, other = await approval.phone(), await second_phone(approval)
    pushed = await approval.ask(browser="b")
    asked = await shown(approval)
    assert await phone.listed() == [pushed.id]
    await phone.scan(asked)
    assert await phone.listed() == [asked.id, pushed.id]
    assert await other.listed() == [pushed.id]


async def test_another_phone_of_the_same_person_cannot_approve_what_was_scanned(approval: Approval) -> None:
    phone, other = await approval.phone(), await second_phone(approval)
    asked = await shown(approval)
    await phone.scan(asked)
    with pytest.raises(NotFound):
        await other.approve(asked)
    await phone.approve(asked)
    assert await approval.outcomes() == [(asked.command.transaction, "accepted")]


async def test_rejects_approval_of_a_code_that_was_never_scanned(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await shown(approval)
    with pytest.raises(NotFound):
        await phone.approve(asked)
    assert approval.state(asked) == "open"


async def test_code_lives_60_s_and_the_request_behind_it_as_long_as_any(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await shown(approval)
    approval.world.clock.advance(59)
    await phone.scan(asked)
    approval.world.clock.advance(60)
    await phone.approve(asked)
    assert await approval.outcomes() == [(asked.command.transaction, "accepted")]


async def test_scanned_request_expires_with_its_own_time(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await shown(approval)
    await phone.scan(asked)
    approval.world.clock.advance(60)
    assert await end_overdue(approval.deps) == 0
    approval.world.clock.advance(60)
    assert await end_overdue(approval.deps) == 1
    with pytest.raises(Gone):
        await phone.approve(asked)


async def test_code_that_nobody_scanned_is_swept_after_60_s(approval: Approval) -> None:
    await approval.phone()
    asked = await shown(approval)
    approval.world.clock.advance(60)
    assert await end_overdue(approval.deps) == 1
    assert await approval.outcomes() == [(asked.command.transaction, "expired")]


async def test_renewed_code_replaces_the_older_one(approval: Approval) -> None:
    phone = await approval.phone()
    old = await shown(approval)
    new = await shown(approval, renews=old.id)
    with pytest.raises(Gone):
        await phone.scan(old)
    await phone.scan(new)


@pytest.mark.parametrize("answered", [False, True])
async def test_renewal_a_moment_after_the_scan_leaves_the_scanned_one(
    approval: Approval, answered: bool
) -> None:
    phone = await approval.phone()
    old = await shown(approval)
    await phone.scan(old)
    if answered:
        await phone.approve(old)
    new = await shown(approval, renews=old.id)
    with pytest.raises(Gone):
        await phone.scan(new)
    if not answered:
        await phone.approve(old)
    assert await approval.outcomes() == [
        (old.command.transaction, "accepted")
    ]  # and nothing about the new one


async def test_a_new_code_that_the_person_asked_for_ends_the_scanned_one(approval: Approval) -> None:
    phone = await approval.phone()
    old = await shown(approval)
    await phone.scan(old)
    new = await shown(approval)
    assert await approval.outcomes() == [(old.command.transaction, "superseded")]
    await phone.scan(new)


async def test_renewal_cannot_be_used_to_keep_another_browsers_request(approval: Approval) -> None:
    phone = await approval.phone()
    mine = await shown(approval, browser="mine")
    await phone.scan(mine)
    theirs = await shown(approval, browser="theirs", renews=mine.id)
    # Theirs is opened as any other: its code has yet to be scanned, and mine is as it was.
    assert [challenge for challenge, _ in await approval.claims()] == [mine.id]
    assert await phone.listed() == [mine.id]
    await phone.scan(theirs)
    await phone.approve(mine)
    assert await approval.outcomes() == [(mine.command.transaction, "accepted")]


async def test_scan_with_a_wrong_account_does_not_spend_the_code(approval: Approval) -> None:
    phone = await approval.phone()
    grace = await approval.phone("grace")
    asked = await shown(approval)
    with pytest.raises(Forbidden):
        await grace.scan(asked)
    await phone.scan(asked)


async def test_wrong_codes_are_counted_on_a_scanned_request_too(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await shown(approval)
    await phone.scan(asked)
    for kind in (Forbidden, Forbidden, Gone):
        with pytest.raises(kind):
            await phone.approve(asked, code="000000")
    assert await approval.outcomes() == [(asked.command.transaction, "wrong_code")]


@pytest.mark.parametrize(
    ("answer", "outcome"), [(ChallengeAction.DENY, "denied"), (ChallengeAction.REPORT, "not_me")]
)
async def test_scanned_request_can_be_refused(
    approval: Approval, answer: ChallengeAction, outcome: str
) -> None:
    phone = await approval.phone()
    asked = await shown(approval)
    await phone.scan(asked)
    await challenges.refuse(approval.deps, await phone.who(), asked.id, answer)
    assert await approval.outcomes() == [(asked.command.transaction, outcome)]


# --- no code ------------------------------------------------------------------------------------------------


async def test_known_browsers_code_needs_no_typing(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await shown(approval, known=True, code="")
    await phone.scan(asked)
    await phone.approve(asked)
    await approval.settle()
    (told,) = [m for m in approval.heard if isinstance(m, ChallengeAccepted)]
    assert '"code":""' in told.proof.context


@pytest.mark.parametrize(("code", "typed"), [("", "482913"), ("482913", "")])
async def test_rejects_a_code_where_none_is_asked_and_none_where_one_is(
    approval: Approval, code: str, typed: str
) -> None:
    phone = await approval.phone()
    asked = await shown(approval, known=True, code=code)
    await phone.scan(asked)
    with pytest.raises(BadInput):
        await phone.approve(asked, code=typed)
    assert approval.state(asked) == "open"


async def test_phone_cannot_decide_that_no_code_is_asked(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await shown(approval)
    await phone.scan(asked)
    lied = asked.with_code("").replace('"code_required":true', '"code_required":false')
    with pytest.raises(Blok365Error):
        await challenges.approve(approval.deps, asked.id, lied, phone.answer(lied))
    assert approval.state(asked) == "open"


# --- networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("browser", "phone", "expected"),
    [
        ("192.0.2.17", "192.0.2.200", False),
        ("192.0.2.17", "192.0.3.17", True),
        ("2001:db8:1:2::3", "2001:db8:1:ffff::1", False),
        ("2001:db8:1:2::3", "2001:db8:2:2::3", True),
        ("192.0.2.17", "2001:db8::1", True),
        ("::ffff:192.0.2.17", "192.0.2.3", False),
        ("unknown", "unknown", True),
        ("", "192.0.2.3", True),
    ],
)
async def test_different_networks_are_told(
    approval: Approval, browser: str, phone: str, expected: bool
) -> None:
    handset = await approval.phone()
    await approval.ask(address=browser)
    (found,) = await challenges.list_requests(approval.deps, await handset.who(), phone)
    assert found.network_differs is expected
