"""Whoever knows only a name, against its owner: hypothesis plays both on the pure steps of one account.

Whatever strangers do, in whatever order and number, the owner's own request stays in sight, quotas are counted to
the one, and nothing is accepted that a phone of the owner did not approve.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.approval.domain import challenges, freezing
from services.approval.domain.account import Account, Challenge, Change, Device, Subscription
from services.approval.domain.ceremony import VerifiedAnswer
from services.approval.domain.lifecycle import ChallengeAction, ChallengeState
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import ChallengeAccepted, ChallengeEnded, Proof
from shared.contracts.notify import SendPush
from shared.errors import Blok365Error

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PROOF = Proof(context="{}", authenticator_data="", client_data_json="", signature="")
RIGHT, WRONG = bytes(32), b"\x01" * 32
Method = Literal["push", "qr"]


def device(name: str) -> Device:
    return Device(
        id=name,
        version=1,
        credential_id=f"c-{name}",
        cose_key=b"",
        public_key=b"",
        sign_count=0,
        name=name,
        enrolled_at=START,
        invitation="i",
        endorsement="e",
        backup_eligible=False,
        backed_up=False,
    )


class Adversary(RuleBasedStateMachine):
    """One account with one phone; `home` is the owner's known browser, `away` an unknown one of the owner."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.count = 0
        phone = device("phone")
        self.account = Account(
            "contoso",
            "ada",
            1,
            AccountStatus.ACTIVE,
            devices={"phone": phone},
            subscriptions={"phone": Subscription("s", "sealed", START)},
        )
        self.method: dict[str, Method] = {}
        self.known: dict[str, bool] = {}
        self.ended: dict[str, list[str]] = {}
        self.notified: dict[bool, list[datetime]] = {True: [], False: []}
        """Times of notifications since the last success, by class: counted here from what was sent."""
        self.approved: set[str] = set()
        self.reported: set[str] = set()
        """Known browsers whose requests were reported since the freeze began."""

    # what happens

    def take(self, change: Change | None) -> None:
        if change is None:
            return
        self.account = change.value
        for said in change.messages:
            message = said.message
            if isinstance(message, ChallengeEnded):
                self.ended.setdefault(message.challenge, []).append(message.outcome)
            elif isinstance(message, ChallengeAccepted):
                self.ended.setdefault(message.challenge, []).append("accepted")
                assert message.challenge in self.approved

    def ask(self, browser: str, *, known: bool, method: Method, network: str) -> str:
        self.count += 1
        self.now += timedelta(milliseconds=1)  # commands are as exact as that
        name = f"q{self.count}"
        made = Challenge(
            id=name,
            transaction=f"t-{name}",
            correlation="c",
            method=method,
            context="{}",
            expected_digest=RIGHT,
            browser=browser,
            browser_known=known,
            handle_digest=f"h-{name}" if method == "qr" else None,
            opened_at=self.now,
            deadline=self.now + timedelta(seconds=120),
            handle_deadline=self.now + timedelta(seconds=60) if method == "qr" else None,
            network=network,
        )
        frozen = self.account.frozen_at is not None and (not known or browser in self.reported)
        spent = self.spent(known)
        change = challenges.open_challenge(self.account, made, self.now)
        self.take(change)
        assert change is not None
        self.method[name], self.known[name] = method, known
        pushed = [said for said in change.messages if isinstance(said.message, SendPush)]
        open_now = self.account.challenges[name].state is ChallengeState.OPEN
        should = method == "push" and open_now and not spent and not frozen
        assert bool(pushed) is should, "every quota exact: not one more, and not one less"
        if pushed:
            self.notified[known].append(self.now)
        return name

    def spent(self, known: bool) -> bool:
        """The quota that services/approval/README.md names, counted apart from the code: 3 in 10 minutes, 10 a day."""
        times = self.notified[known]
        return (
            sum(self.now - at < timedelta(minutes=10) for at in times) >= 3
            or sum(self.now - at < timedelta(days=1) for at in times) >= 10
        )

    # strangers

    @rule(
        browser=st.integers(0, 60),
        method=st.sampled_from(["push", "qr"]),
        burst=st.integers(1, 12),
        network=st.integers(0, 1),
    )
    def stranger_asks(self, browser: int, method: Any, burst: int, network: int) -> None:
        for i in range(burst):
            self.ask(f"stranger {browser + i}", known=False, method=method, network=f"bad {network}")

    @rule(seconds=st.sampled_from([1, 20, 59, 60, 61, 119, 120, 599, 600, 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.take(challenges.expire(self.account, self.now))

    # the owner

    @rule(burst=st.integers(1, 10))
    def owner_asks_at_home_in_a_crowd(self, burst: int) -> None:
        mine = self.ask("home", known=True, method="push", network="home")
        self.stranger_asks(70, "push", burst, 0)
        shown = challenges.listed(self.account, self.now, "phone")
        assert mine == next(c.id for c in shown if c.method == "push")

    @rule(burst=st.integers(1, 10), method=st.sampled_from(["push", "qr"]))
    def owner_asks_elsewhere_and_one_network_floods(self, burst: int, method: Any) -> None:
        """Even in a browser that is not known: a flood from one place pushes out only itself."""
        self.time_passes(120)
        mine = self.ask("away", known=False, method=method, network="away")
        for i in range(burst * 6):
            self.ask(f"flood {i}", known=False, method=method, network="bad")
        if method == "push":
            assert mine in [c.id for c in challenges.listed(self.account, self.now, "phone")]
        else:
            self.scan(mine)

    def scan(self, name: str) -> None:
        found = challenges.scanned(self.account, f"h-{name}", self.now)
        self.take(challenges.claim(self.account, found.id, "phone", self.now))

    @rule(burst=st.sampled_from([0, 3, 60]), right=st.booleans())
    def owner_scans_at_home_in_a_crowd(self, burst: int, right: bool) -> None:
        self.time_passes(1)
        mine = self.ask("home", known=True, method="qr", network="home")
        for i in range(burst):
            self.ask(f"flood {i}", known=False, method="qr", network=f"bad {i % 7}")
        self.scan(mine)
        assert challenges.listed(self.account, self.now, "phone")[0].id == mine
        if right:
            self.answer(mine, RIGHT)
            assert self.account.challenges[mine].state is ChallengeState.ACCEPTED
            assert self.account.frozen_at is None

    @precondition(lambda self: bool(challenges.listed(self.account, self.now, "phone")))
    @rule(which=st.integers(0, 2), digest=st.sampled_from([RIGHT, WRONG]))
    def owner_answers(self, which: int, digest: bytes) -> None:
        found = challenges.listed(self.account, self.now, "phone")
        self.answer(found[which % len(found)].id, digest)

    def answer(self, name: str, digest: bytes) -> None:
        if digest == RIGHT:
            self.approved.add(name)
        answer = VerifiedAnswer(digest=digest, proof=PROOF, sign_count=0, backed_up=False)
        change = challenges.approve(self.account, name, "phone", answer, self.now)
        self.take(change)
        if digest == RIGHT and self.method[name] == "push":
            self.notified[self.known[name]] = []
        if digest == RIGHT and self.method[name] == "qr":
            self.reported.clear()

    @precondition(lambda self: bool(challenges.listed(self.account, self.now, "phone")))
    @rule(which=st.integers(0, 2), answer=st.sampled_from([ChallengeAction.DENY, ChallengeAction.REPORT]))
    def owner_refuses(self, which: int, answer: ChallengeAction) -> None:
        found = challenges.listed(self.account, self.now, "phone")
        refused = found[which % len(found)]
        self.take(challenges.refuse(self.account, refused.id, "phone", answer, self.now))
        if answer is ChallengeAction.REPORT and refused.browser_known:
            self.reported.add(refused.browser)

    @rule()
    def administrator_unfreezes(self) -> None:
        self.take(freezing.end(self.account))
        self.reported.clear()
        assert self.account.frozen_at is None

    # always

    @invariant()
    def every_request_ends_once(self) -> None:
        assert all(len(outcomes) == 1 for outcomes in self.ended.values())

    @invariant()
    def ended_requests_cannot_be_answered(self) -> None:
        answer = VerifiedAnswer(digest=RIGHT, proof=PROOF, sign_count=0, backed_up=False)
        for name in list(self.ended)[-5:]:
            if name in self.account.challenges:
                try:
                    challenges.approve(self.account, name, "phone", answer, self.now)
                except Blok365Error:
                    continue
                raise AssertionError(f"{name} ended, and was accepted all the same")

    @invariant()
    def document_stays_small(self) -> None:
        alive = [c for c in self.account.challenges.values() if c.state is ChallengeState.OPEN]
        limit = challenges.MAX_SCANNABLE + challenges.MAX_LISTED
        assert len([c for c in alive if not c.claimed_by]) <= limit
        assert len(self.account.challenges) <= challenges.MAX_REMEMBERED + 3 * limit
        assert len(self.account.pushes_known) <= 10
        assert len(self.account.pushes_unknown) <= 10

    @invariant()
    def at_most_one_outstanding_for_each_browser(self) -> None:
        alive = [c.browser for c in self.account.challenges.values() if c.is_open(self.now)]
        assert len(alive) == len(set(alive))


TestAdversary = Adversary.TestCase
TestAdversary.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
