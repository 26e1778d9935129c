"""What one push sign-in costs, counted: docs/flows/sign-in.md, "What one sign-in costs". Printed with `pytest -s`."""

from collections import Counter
from dataclasses import dataclass

from tests.flows.support import TENANT, Flow


@dataclass
class Counted:
    """What a stretch of a flow has cost."""

    store: Counter[str]
    messages: Counter[str]

    @property
    def operations(self) -> int:
        return self.store.total()

    @property
    def kinds(self) -> Counter[str]:
        """Operations by what they are: read, write, batched removal (from an outbox)."""
        found: Counter[str] = Counter()
        for name, count in self.store.items():
            operation = name.rpartition(" ")[2]
            found[{"find": "read", "pull_outbox": "batched removal"}.get(operation, "write")] += count
        return found


class Meter:
    """Counts from its making on."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._before = {name: len(database.operations) for name, database in flow.world.databases.items()}
        self._sent = len(flow.world.bus.sent)

    def read(self) -> Counted:
        """What was done since."""
        world = self._flow.world
        store: Counter[str] = Counter()
        for name, database in world.databases.items():
            for collection, operation in database.operations[self._before[name] :]:
                store[f"{name} {collection} {operation}"] += 1
        return Counted(store, Counter(signed.type for signed in world.bus.sent[self._sent :]))


async def test_one_push_sign_in_costs_what_the_document_says(flow: Flow) -> None:
    """From Entra's request to the token, on a browser that has no session, with a phone that has one.

    Without Web Push (one more message, and notify's own two writes) and without the page's live stream (one
    request, and one read when it wakes).
    """
    phone = await flow.phone()
    await phone.list()  # the phone's session is there
    browser = await flow.browser()
    whole = Meter(flow)
    steps: dict[str, Counted] = {}

    meter = Meter(flow)
    sign_in = await flow.begin(browser=browser)
    steps["1-2 request, page"] = meter.read()
    meter = Meter(flow)
    code = await sign_in.push()
    steps["3-4 push, code, challenge"] = meter.read()
    meter = Meter(flow)
    (request,) = await phone.list()
    steps["5 list"] = meter.read()
    meter = Meter(flow)
    await phone.approve(code, request)
    steps["6-8 approve, prove"] = meter.read()
    meter = Meter(flow)
    await sign_in.take()
    steps["10 token"] = meter.read()

    total = whole.read()
    kinds = total.kinds
    print()
    for name, step in steps.items():
        print(f"  {name:<26} {step.operations:>3} store operations  {dict(step.messages) or ''}")
    print(f"  {'all':<26} {total.operations:>3} store operations  {dict(kinds)}")
    print(f"  {'':<26} {total.messages.total():>3} messages")
    print(f"  {'':<26} {browser.requests + 2:>3} HTTP requests: browser {browser.requests}, phone 2")

    assert dict(total.messages) == {
        "approval.challenge.open.v1": 1,
        "approval.challenge.accepted.v1": 1,
        "wsfed.browser.changed.v1": 1,
    }
    assert browser.requests == 5
    # Every step of the flow that is kept, once, and the passkey's challenge in the page; and the browser, which becomes
    # known: here and in admin's list.
    assert kinds["write"] == 9 + 2
    assert kinds["batched removal"] == 2 + 1  # shared by all sign-ins of 200 ms
    assert kinds["read"] == 14 + 2


async def test_a_sign_in_in_a_known_browser_writes_nothing_of_the_browser(flow: Flow) -> None:
    """As most begin the day: the session of yesterday is over."""
    phone = await flow.phone()
    first = await flow.begin()
    await phone.approve(await first.push())
    await first.take()
    await first.browser.get(f"{flow.origin}/t/{TENANT}/wsfed?wa=wsignout1.0")
    meter = Meter(flow)
    sign_in = await flow.begin(browser=first.browser)
    await phone.approve(await sign_in.push())
    await sign_in.take()
    total = meter.read()
    assert dict(total.messages) == {"approval.challenge.open.v1": 1, "approval.challenge.accepted.v1": 1}
    assert [name for name in total.store if "browsers" in name] == []
    print(f"\n  a known browser: {total.operations} store operations  {dict(total.kinds)}")
    assert total.kinds == {
        "write": 9 + 1,
        "read": 22 + 2,  # the page and the push ask whether any phone gets notifications
        "batched removal": 2,
    }  # the session before it is forgotten
