"""Requests to a phone (docs/flows/sign-in.md, steps 4 to 7)."""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.approval.domain import ceremony, challenges, history
from services.approval.domain.account import Account, Challenge, Change, PastRequest
from services.approval.domain.context import answer_digest, read_context
from services.approval.domain.ids import check_ids
from services.approval.domain.lifecycle import ChallengeAction, ChallengeState
from services.approval.domain.networks import differs
from services.approval.handlers.sessions import SignedIn
from services.approval.ports import Countries, Dependencies
from shared.addresses import network_of
from shared.bus.port import Reject, Retry
from shared.contracts.approval import OpenChallenge, Proof
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.state import CLOCK_TOLERANCE
from shared.errors import Forbidden, Gone, NotFound
from shared.ids import b64u, unb64u

SWEEP_BATCH = 200
SWEEP_EVERY = 1.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class TwoCountries:
    """The countries of browser and phone, which differ, in words. Approximate: by their addresses."""

    browser: str
    phone: str


@dataclass(frozen=True, slots=True)
class Request:
    """A challenge as the phone sees it.

    `context` is what it signs, once the code is in it, and the only source of what it shows.
    """

    id: str
    method: str
    context: str
    opened_at: datetime
    deadline: datetime
    age: int
    """Seconds since it came, by our clock: the phone's may be wrong."""
    expires_in: int
    """Seconds until it ends by itself, by our clock."""
    tries_left: int
    network_differs: bool
    """Phone and browser are not known to be on one network, by their addresses as the servers saw them."""
    country_differs: TwoCountries | None
    """Set only when both countries are known."""


async def open_challenge(deps: Dependencies, received: VerifiedMessage[OpenChallenge]) -> None:
    """Step 4: keep the challenge. Raises Retry while the account's own news are under way.

    A decoy is kept with its like, where no phone looks, and costs what any other costs. Raises Reject for a command
    that comes after its own time, or that may be a copy of one of which nothing is kept.
    """
    command, now = received.message, deps.clock.now()
    check_ids(received.tenant, command.account, command.challenge)
    try:
        expected = unb64u(command.expected_digest)
    except ValueError as error:
        raise Reject("expected_digest is not base64url") from error
    if len(expected) != 32:
        raise Reject("expected_digest is not a SHA-256")
    lifetime, sent_at = timedelta(seconds=command.lifetime), received.envelope.occurred_at
    if now >= sent_at + lifetime + CLOCK_TOLERANCE:
        raise Reject("the request was over before it came")
    try:
        context = read_context(command.context)
    except ValueError as error:
        raise Reject("not a context that a phone could answer") from error
    if (command.method == "qr") is not (command.handle_digest is not None):
        raise Reject("a QR challenge has a handle, a push has none")
    challenge = Challenge(
        id=command.challenge,
        transaction=command.transaction,
        correlation=received.envelope.correlation_id,
        method=command.method,
        context=context.text,
        expected_digest=expected,
        browser=command.browser,
        browser_known=command.browser_known,
        known_as=command.known_as,
        handle_digest=command.handle_digest,
        opened_at=now,
        deadline=now + lifetime,  # from receipt: clocks may differ
        sent_at=sent_at,
        handle_deadline=_after(now, command.handle_lifetime) if command.method == "qr" else None,
        same_network=command.same_network,
        expects_push=command.expects_push,
        browser_address=context.browser_address,
        network=network_of(context.browser_address),
    )

    def opened(account: Account) -> Change | None:
        if account.status is None and not command.decoy:
            raise Retry(f"account {command.account} is not known here yet")
        try:
            return challenges.open_challenge(account, challenge, now, command.renews)
        except challenges.TooLate as error:
            raise Reject("as old as requests that are forgotten") from error

    accounts = deps.decoys if command.decoy else deps.accounts
    await accounts.change(received.tenant, command.account, opened)


def _after(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


async def list_requests(
    deps: Dependencies, who: SignedIn, address: str, language: str = "en"
) -> Sequence[Request]:
    """Step 5: at most three open requests, known browsers first. `address`: the phone's, as we see it."""
    found = challenges.listed(who.account, deps.clock.now(), who.session.device)
    return [_shown(deps, challenge, address, language) for challenge in found]


async def request_by_handle(
    deps: Dependencies, who: SignedIn, handle: str, address: str, language: str = "en"
) -> Request:
    """Step 5, QR: the request behind a scanned code, for this phone alone: the handle is spent.

    Raises Gone (expired, unknown, scanned before), Forbidden with code `other_account`: an attacker's code shown
    to somebody else must not be approved by that somebody, and is not spent by it either. The code of a decoy is
    another account's, too: whoever has a phone must not learn either which accounts exist.
    """
    digest = b64u(hashlib.sha256(handle.encode()).digest())
    # Both, always: otherwise a phone of the attacker's own would tell by the clock whose codes are decoys.
    of_account, of_nobody = await asyncio.gather(
        deps.accounts.by_handle(digest), deps.decoys.by_handle(digest)
    )
    stored = of_account or of_nobody
    if stored is None:
        raise Gone("approval.handle.expired", code="expired")
    challenge_id = challenges.scanned(stored.value, digest, deps.clock.now()).id
    if (stored.value.tenant, stored.value.id) != (who.account.tenant, who.account.id):
        raise Forbidden("approval.handle.other_account", upn=who.account.upn, code="other_account")
    claimed = await deps.accounts.change(
        who.account.tenant,
        who.account.id,
        lambda account: challenges.claim(account, challenge_id, who.session.device, deps.clock.now()),
        first=stored,
    )
    return _shown(deps, claimed.value.challenges[challenge_id], address, language)


def _shown(deps: Dependencies, challenge: Challenge, address: str, language: str) -> Request:
    now = deps.clock.now()
    return Request(
        id=challenge.id,
        method=challenge.method,
        context=challenge.context,
        opened_at=challenge.opened_at,
        deadline=challenge.deadline,
        age=int((now - challenge.opened_at).total_seconds()),
        expires_in=math.ceil((challenge.ends_at - now).total_seconds()),
        network_differs=differs(challenge.network, address),
        country_differs=_two_countries(deps.countries, challenge.browser_address, address, language),
        tries_left=challenges.MAX_TRIES - challenge.tries,
    )


def _two_countries(countries: Countries, browser: str, phone: str, language: str) -> TwoCountries | None:
    there, here = countries.country(browser, language), countries.country(phone, language)
    if there is None or here is None or there.code == here.code:
        return None
    return TwoCountries(browser=there.name, phone=here.name)


def state(deps: Dependencies, who: SignedIn, challenge_id: str) -> ChallengeState:
    """What became of one of the account's requests. Raises NotFound, also when it was too long ago."""
    challenge = who.account.challenges.get(challenge_id)
    if challenge is None:
        raise NotFound("approval.challenge.unknown")
    if challenge.state is ChallengeState.OPEN and not challenge.is_open(deps.clock.now()):
        return ChallengeState.EXPIRED  # nobody has recorded it yet
    return challenge.state


def past_requests(deps: Dependencies, who: SignedIn) -> Sequence[PastRequest]:
    """How the account's last requests ended, the newest first (docs/flows/phone.md).

    A phone that the organisation has not confirmed yet is told nothing of what was there before it.
    """
    return [] if who.waiting else history.look_back(who.account, deps.clock.now())


async def approve(
    deps: Dependencies, challenge_id: str, context: str, raw_credential: object, address: str = ""
) -> Proof:
    """Step 6: verify the assertion, then accept or count a wrong code, in one conditional write.

    The assertion is the authentication: the credential names the account, and a challenge of another account
    does not exist for it. Nothing is counted before the assertion is verified, so a stranger can end nothing.
    `address`: the phone's, as we see it; none is on no network. Raises Forbidden with code `other_network` where the
    tenant wants one network: nothing is counted or spent by that, so the same answer is good from the right place.
    """
    credential = ceremony.assertion(raw_credential)
    stored = await deps.accounts.by_credential(credential.id)
    device = stored.value.device_of(credential.id) if stored is not None else None
    if stored is None or device is None:
        raise NotFound("approval.device.not_enrolled", code="unknown_device")
    challenge = challenges.answerable(stored.value, challenge_id, deps.clock.now())
    digest = answer_digest(context, challenge.context)
    answer = ceremony.verify_answer(
        credential, cose_key=device.cose_key, challenge=digest, context=context, rp=deps.rp
    )
    if challenge.same_network and differs(challenge.network, address):
        raise Forbidden("approval.challenge.other_network", code="other_network")
    await deps.accounts.change(
        stored.value.tenant,
        stored.value.id,
        lambda account: challenges.approve(account, challenge_id, device.id, answer, deps.clock.now()),
        first=stored,
    )
    return answer.proof


async def refuse(
    deps: Dependencies, who: SignedIn, challenge_id: str, action: ChallengeAction
) -> ChallengeState:
    """Step 6, the other answers: `deny` or `report`. Returns where the challenge stands then."""
    refused = await deps.accounts.change(
        who.account.tenant,
        who.account.id,
        lambda account: challenges.refuse(
            account, challenge_id, who.session.device, action, deps.clock.now()
        ),
        first=who.stored,
    )
    return refused.value.challenges[challenge_id].state


async def end_overdue(deps: Dependencies) -> int:
    """Record `expired` for what is past its deadline; how many accounts. Any replica may do it."""
    now, count = deps.clock.now(), 0
    for accounts in (deps.accounts, deps.decoys):
        overdue = await accounts.overdue(now, SWEEP_BATCH)
        for stored in overdue:
            account = stored.value
            await accounts.change(
                account.tenant, account.id, lambda a: challenges.expire(a, now), first=stored
            )
        count += len(overdue)
    return count


async def sweep(deps: Dependencies) -> None:
    """`end_overdue` for ever, at once again while there is more than it takes. Raises Unavailable."""
    while True:
        if await end_overdue(deps) < SWEEP_BATCH:
            await deps.clock.sleep(SWEEP_EVERY)
