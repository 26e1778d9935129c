"""docs/flows/sign-in.md: whoever knows only a name learns nothing about the account, and locks nobody out.

Words are compared letter by letter, time by what a step causes: store operations, in wsfed before the answer and in all
services after it, and messages. `test_sign_in_timing.py` measures the time itself.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from deploy.local.browser import Page
from deploy.standins.phone.phone import PhoneError
from services.admin import handlers as admin
from services.wsfed.domain.session import cookie_name
from shared.contracts.approval import OpenChallenge
from shared.web.cookies import HostCookie
from tests.flows.support import TENANT, Flow, Phone, normal


async def _invited(flow: Flow) -> str:
    return (await flow.person("invited@contoso.example")).upn


async def _active(flow: Flow) -> str:
    upn = (await flow.person("active@contoso.example")).upn
    await flow.phone(upn)
    return upn


async def _suspended(flow: Flow) -> str:
    upn = await _active(flow)
    await admin.suspend(flow.admin, TENANT, upn)
    await flow.world.settle()
    return upn


async def _removed(flow: Flow) -> str:
    upn = await _active(flow)
    await admin.remove(flow.admin, TENANT, upn)
    await flow.world.settle()
    return upn


async def _unknown(flow: Flow) -> str:
    return "nobody@contoso.example"


async def _of_another_tenant(flow: Flow) -> str:
    await flow.tenant("fabrikam", "fabrikam.example")
    await flow.person("carl@fabrikam.example", "fabrikam")
    return "carl@fabrikam.example"


KINDS = {
    "invited": _invited,
    "suspended": _suspended,
    "removed": _removed,
    "unknown": _unknown,
    "another tenant's": _of_another_tenant,
}


class OfRequests(list[tuple[str, str]]):
    """Store operations without those that a message from the bus causes: no answer waits for these."""

    def append(self, operation: tuple[str, str]) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not task.get_name().startswith("deliver ") and operation[1] != "pull_outbox":
            super().append(operation)


@dataclass(frozen=True)
class Cost:
    """What a step causes: the operations that its answer waits for, those that follow from it, and messages.

    Without the pulls of state: they come with the time, whatever anybody asks for.
    """

    operations: Counter[tuple[str, str]]
    after: Counter[tuple[str, str]]
    messages: Counter[str]


def _alike(operation: tuple[str, str]) -> tuple[str, str]:
    """A decoy's document is kept beside the accounts, and the first request for a name makes it: one write, too."""
    collection, what = operation
    return ("accounts" if collection == "decoys" else collection, "update" if what == "insert" else what)


async def walk(flow: Flow, upn: str, method: str, *, invented: bool) -> tuple[list[str], list[Cost]]:
    """All that a stranger can see and measure: words of every page, and what every step costs.

    `invented`: the browser sends a made-up cookie, under the name that belongs to that account.
    """
    words, costs = [], []
    database, approval = flow.world.databases["wsfed"], flow.world.databases["approval"]

    def note(page: Page) -> None:
        costs.append(
            Cost(
                Counter(database.operations),
                Counter(map(_alike, approval.operations)),
                Counter(signed.type for signed in flow.world.bus.sent if ".state.pull" not in signed.type),
            )
        )
        words.append(f"{page.status} {normal(page)}".replace("carl@fabrikam.example", "NAME"))
        begin()

    def begin() -> None:
        database.operations = OfRequests()
        approval.operations.clear()
        flow.world.bus.sent.clear()

    browser = await flow.browser()
    if invented:
        browser.cookies[HostCookie(cookie_name(TENANT, upn)).name] = "A" * 43
    flow.world.clock.advance(10)  # whatever is held for seconds is read again
    begin()
    sign_in = await flow.begin(upn, browser=browser)
    note(await sign_in.page())
    note(await sign_in.post(method))
    note(await sign_in.browser.get(f"{sign_in.url}/state"))
    note(await sign_in.page())
    note(await sign_in.token())
    note(await sign_in.post(method))  # supersedes the one before
    flow.world.clock.advance(60)
    note(await sign_in.page())
    flow.world.clock.advance(60)
    note(await sign_in.page())
    note(await sign_in.post(method))
    note(await sign_in.post("account", username=upn))
    return words, costs


@pytest.mark.parametrize(
    ("method", "invented"),
    [("push", False), ("qr", False), ("push", True)],
    ids=["push", "qr", "with an invented cookie"],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_no_page_and_no_cost_tells_accounts_apart(
    flow: Flow, kind: str, method: str, invented: bool
) -> None:
    colleague = (await flow.person("known@contoso.example")).upn
    await flow.phone(colleague)
    known = await walk(flow, colleague, method, invented=invented)
    other = await walk(flow, await KINDS[kind](flow), method, invented=invented)
    for step, (expected, got) in enumerate(zip(known[0], other[0], strict=True)):
        assert got == expected, f"words of step {step}"
    assert other[1] == known[1]


@pytest.mark.parametrize("kind", ["suspended", "removed", "unknown", "another tenant's"])
async def test_no_phone_is_asked_for_an_account_that_may_not_sign_in(flow: Flow, kind: str) -> None:
    upn = await KINDS[kind](flow)
    before = {d["_id"]: len(d["challenges"]) for d in flow.world.documents("approval", "accounts")}
    flow.world.bus.sent.clear()
    sign_in = await flow.begin(upn)
    await sign_in.push()
    await sign_in.qr()
    asked = flow.sent(OpenChallenge.TYPE)
    assert len(asked) == 2
    assert all(json.loads(signed.body)["body"]["decoy"] for signed in asked)
    assert not {json.loads(signed.body)["body"]["account"] for signed in asked} & {
        d["_id"].partition("/")[2] for d in flow.world.documents("approval", "accounts")
    }
    after = {d["_id"]: len(d["challenges"]) for d in flow.world.documents("approval", "accounts")}
    assert after == before
    assert not sign_in.stored.get("outbox")
    assert "wresult" not in (await sign_in.token()).text


async def test_superseded_and_limited_are_never_shown_to_unknown_browsers(flow: Flow) -> None:
    """They happen to existing accounts only: seven strangers ask for Ada, all see the same silence."""
    await flow.phone()
    crowd = [await flow.begin() for _ in range(7)]
    for each in crowd:
        await each.push()
    states = [await each.state() for each in crowd]
    assert states == ["push_waiting"] * 7
    nobodys = await flow.begin("nobody@contoso.example")
    await nobodys.push()
    expected = normal(await nobodys.page())
    assert {normal(await each.page()) for each in crowd} == {expected}
    flow.world.clock.advance(120)
    assert {await each.state() for each in (*crowd, nobodys)} == {"expired"}


async def _mistypes(phone: Phone, code: str) -> None:
    (request,) = await phone.list()
    for _ in range(3):
        with pytest.raises(PhoneError):
            await phone.approve(code.translate(str.maketrans("0123456789", "1234567890")), request)


async def _denies(phone: Phone, code: str) -> None:
    await phone.deny()


async def _reports(phone: Phone, code: str) -> None:
    await phone.not_me()


@pytest.mark.parametrize("refuses", [_denies, _reports, _mistypes])
async def test_no_refusal_is_shown_to_unknown_browsers(
    flow: Flow, refuses: Callable[[Phone, str], Awaitable[None]]
) -> None:
    """Somebody is there to refuse for existing accounts only. The request is over all the same."""
    phone = await flow.phone()
    asked, nobodys = await flow.begin(), await flow.begin("nobody@contoso.example")
    code = await asked.push()
    await nobodys.push()
    await refuses(phone, code)
    assert await phone.list() == []
    assert asked.stored["state"] in ("denied", "not_me", "wrong_code")
    for state, seconds in (("push_waiting", 0), ("push_waiting", 119), ("expired", 1)):
        flow.world.clock.advance(seconds)
        assert [await each.state() for each in (asked, nobodys)] == [state] * 2
        assert normal(await asked.page()) == normal(await nobodys.page())
        assert normal(await asked.token()) == normal(await nobodys.token())


async def test_strangers_cannot_hide_the_persons_own_request_by_qr_code(flow: Flow) -> None:
    """A flood of pushes takes no place from the QR code: nobody can lock anybody out."""
    phone = await flow.phone()
    for _ in range(5):
        await (await flow.begin()).push()
    mine = await flow.begin()
    code = await mine.qr()
    request = await phone.scan(f"{flow.phone_origin}/#q={mine.stored['challenge']['handle']}")
    await phone.approve(code, request)
    await mine.take()


async def test_one_transaction_sends_twelve_requests_at_most(flow: Flow) -> None:
    sign_in = await flow.begin()
    for _ in range(12):
        await sign_in.push()
    page = await sign_in.post("push")
    assert page.status in (410, 429)
    assert "Start again" in page.words()
    assert sign_in.stored["challenges"] == 12


async def test_get_never_starts_a_push(flow: Flow) -> None:
    """Mail scanners and prefetching browsers follow links."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    for action in ("push", "qr", "token", "account"):
        page = await sign_in.browser.get(f"{sign_in.url}/{action}")
        assert page.status == 405
    assert await phone.list() == []
    assert sign_in.stored["state"] == "started"
