"""The requests to a phone: supersession, places, quotas, answers. Their states follow one table (`lifecycle`).

Each function takes the account as it was read and returns the change to write; the store writes it only if nobody
wrote in between, otherwise the change is computed again from the newer account. So two answers at once, or fifty
guesses at once, are taken one after the other.

Unknown browsers can spend neither the quota nor the places of known ones: otherwise anybody who knows a name could
lock its owner out.
"""

import hmac
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.approval.domain import freezing, history
from services.approval.domain.account import (
    Account,
    Challenge,
    Change,
    Forgotten,
    active_device,
    require_confirmed,
)
from services.approval.domain.ceremony import VerifiedAnswer, check_sign_count
from services.approval.domain.lifecycle import (
    BY_DEVICE,
    ENDED_BY_DEVICE,
    TRANSITIONS,
    ChallengeAction,
    ChallengeState,
)
from services.approval.domain.notifications import notify_of
from shared.contracts import Message
from shared.contracts.approval import ChallengeAccepted, ChallengeClaimed, ChallengeEnded
from shared.contracts.envelope import OutgoingMessage
from shared.errors import Blok365Error, Conflict, Forbidden, Gone, NotFound

MAX_TRIES = 3
MAX_LISTED = 3
MAX_SCANNABLE = 50
"""Open QR challenges of one account that nobody has scanned: they are never listed, so many of them hide nothing."""
QUOTA = ((timedelta(minutes=10), 3), (timedelta(days=1), 10))
"""Notifications without a success, for each class of browsers."""
REMEMBER = timedelta(minutes=30)
"""Ended challenges stay that long: longer than a late copy of their command is believed."""
MAX_REMEMBERED = 50
"""Ended ones kept at most: an account is one document, and a flood would make each of its writes slow. Until when the
others were asked for is kept in their place (`Account.forgotten`).
"""
MAX_NETWORKS = 20
"""Networks of unknown browsers for which that is kept apart; beyond them it is kept for all together."""


class TooLate(Exception):
    """The command is as old as ones of which nothing is kept any more: it may be a copy of one that has ended."""


def advance(challenge: Challenge, action: ChallengeAction, now: datetime) -> Challenge:
    """The challenge after `action`. Nothing else sets a state, so `TRANSITIONS` is all that can happen.

    At its end what was signed is dropped and a small tombstone stays.
    Raises Conflict (accepted), Gone (any other end, or a phone too late).
    """
    state = TRANSITIONS.get((challenge.state, action))
    if state is None or (action in BY_DEVICE and not challenge.is_open(now)):
        raise _over(challenge)
    if state is ChallengeState.OPEN:
        return challenge
    return replace(challenge, state=state, ended_at=now, context="", expected_digest=b"", handle_digest=None)


def open_challenge(
    account: Account, challenge: Challenge, now: datetime, renews: str | None = None
) -> Change | None:
    """Add a challenge; an older one of the same browser is superseded. None: it was delivered before.

    `renews`: the page took that one's QR code away because its time was over. If a phone had scanned it a moment
    earlier, the phone goes on with it, and nothing is said: wsfed hears of the scan and takes the older one back.
    Raises TooLate.
    """
    if challenge.id in account.challenges:
        return None
    if any(forgotten.may_name(challenge) for forgotten in account.forgotten):
        raise TooLate
    change = _expire(_forget(account, now), now)
    renewed = change.value.challenges.get(renews) if renews is not None else None
    if renewed is not None and renewed.claimed_by is not None and renewed.browser == challenge.browser:
        superseded = advance(challenge, ChallengeAction.SUPERSEDE, now)
        return change.then(Change(change.value.with_challenge(superseded)))
    outstanding = [c for c in change.value.challenges.values() if c.state is ChallengeState.OPEN]
    same = [c for c in outstanding if c.browser == challenge.browser]
    change = change.then(_end(change.value, same, ChallengeAction.SUPERSEDE, now))
    rivals = [c for c in outstanding if c not in same and c.method == challenge.method and not c.claimed_by]
    most = MAX_LISTED if challenge.method == "push" else MAX_SCANNABLE
    if len(rivals) >= most:
        loser = _loser([*rivals, challenge])
        if loser is challenge:
            added = change.value.with_challenge(challenge)
            return change.then(_end(added, [challenge], ChallengeAction.LIMIT, now))
        change = change.then(_end(change.value, [loser], ChallengeAction.LIMIT, now))
    if challenge.method == "push":
        return change.then(_count_push(change.value, challenge, now))
    return change.then(Change(change.value.with_challenge(challenge)))


def _loser(candidates: Sequence[Challenge]) -> Challenge:
    """Who gives up a place: an unknown browser before a known one, of the most crowded network, the oldest.

    So whoever asks again and again from one place pushes out only what was asked from there.
    """
    crowds = Counter(c.network for c in candidates if not c.browser_known)
    return min(
        candidates,
        key=lambda c: (c.browser_known, 0 if c.browser_known else -crowds[c.network], c.opened_at),
    )


def _count_push(account: Account, challenge: Challenge, now: datetime) -> Change:
    """Spend the quota of the browser's class, or silence the request."""
    asked = account.pushes_known if challenge.browser_known else account.pushes_unknown
    asked = tuple(at for at in asked if now - at < QUOTA[-1][0])
    spent = any(sum(now - at < window for at in asked) >= most for window, most in QUOTA)
    silenced = spent or freezing.silences(account, challenge)
    if not silenced:
        asked = (*asked, now)
    if challenge.browser_known:
        account = replace(account, pushes_known=asked)
    else:
        account = replace(account, pushes_unknown=asked)
    return notify_of(account, replace(challenge, silenced=silenced))


def approve(
    account: Account, challenge_id: str, device_id: str, answer: VerifiedAnswer, now: datetime
) -> Change:
    """Accept, or count a wrong code. The assertion was verified; what it signed is judged here.

    Raises NotFound, Conflict (already answered), Gone (expired), Forbidden (device, account).
    """
    challenge = answerable(account, challenge_id, now)
    if challenge.method == "qr" and challenge.claimed_by != device_id:
        raise NotFound("approval.handle.unknown")
    account.check_usable()
    device = active_device(account, device_id)
    check_sign_count(device.sign_count, answer.sign_count)
    account = account.with_device(replace(device, sign_count=answer.sign_count, backed_up=answer.backed_up))
    if not hmac.compare_digest(answer.digest, challenge.expected_digest):
        return _wrong_code(account, challenge, now)
    accepted = ChallengeAccepted(
        challenge=challenge.id,
        transaction=challenge.transaction,
        account=account.id,
        device=device.id,
        proof=answer.proof,
    )
    thawed = None
    if challenge.method == "qr":  # another method than push: the person is there, the freeze is over
        thawed = freezing.end(account)
    elif challenge.browser_known:
        account = replace(account, pushes_known=())
    else:
        account = replace(account, pushes_unknown=())
    before = thawed or Change(account)
    ended = advance(challenge, ChallengeAction.APPROVE, now)
    account = history.remember(before.value, challenge, ended, now).with_challenge(ended)
    return before.then(Change(account, (_outgoing(accepted, account, challenge),)))


def _wrong_code(account: Account, challenge: Challenge, now: datetime) -> Change:
    counted = replace(challenge, tries=challenge.tries + 1)
    left = MAX_TRIES - counted.tries
    if left > 0:
        counted = advance(counted, ChallengeAction.MISTYPE, now)
        refusal = (
            Forbidden("approval.code.wrong_last_try", code="wrong_code")
            if left == 1
            else Forbidden("approval.code.wrong", left=left, code="wrong_code")
        )
        return Change(account.with_challenge(counted), refusal=refusal)
    change = _end(account, [counted], ChallengeAction.MISTYPE_LAST, now)
    return replace(change, refusal=Gone("approval.code.wrong_too_often", code="wrong_code"))


def refuse(
    account: Account, challenge_id: str, device_id: str, action: ChallengeAction, now: datetime
) -> Change:
    """The person says no: `deny` (a slip freezes nothing) or `report` (freezes push, and is reported).

    Only on a phone that admin has confirmed: wsfed judges an approval by itself, a refusal it cannot. Raises NotFound,
    Conflict (already answered), Gone (expired), Forbidden (device removed or not confirmed yet).
    """
    if action not in (ChallengeAction.DENY, ChallengeAction.REPORT):
        raise ValueError(action)
    require_confirmed(account, device_id)
    challenge = answerable(account, challenge_id, now)
    if action is ChallengeAction.REPORT:
        frozen = freezing.begin(account, challenge, now)
        return frozen.then(_end(frozen.value, [challenge], action, now))
    return _end(account, [challenge], action, now)


def expire(account: Account, now: datetime) -> Change | None:
    """End what is past its deadline; None when nothing is."""
    change = _expire(account, now)
    return change if change.messages else None


def end_open(account: Account, now: datetime) -> Change:
    """End every request that waits, as if its time were over: the person was signed out everywhere. wsfed follows its
    own clock for that end, so a stranger's page does not show that there is such an account.
    """
    waiting = [c for c in account.challenges.values() if c.state is ChallengeState.OPEN]
    return _end(account, waiting, ChallengeAction.EXPIRE, now)


def _expire(account: Account, now: datetime) -> Change:
    late = [c for c in account.challenges.values() if c.state is ChallengeState.OPEN and now >= c.ends_at]
    return _end(account, late, ChallengeAction.EXPIRE, now)


def listed(account: Account, now: datetime, device: str = "") -> Sequence[Challenge]:
    """What a phone shows: what it has scanned last, then pushes, known browsers first, then the newest."""
    alive = [c for c in account.challenges.values() if c.is_open(now)]
    scanned_here = [c for c in alive if device and c.claimed_by == device]
    scanned_here.sort(key=lambda c: c.opened_at, reverse=True)
    pushed = [c for c in alive if c.method == "push"]
    pushed.sort(key=lambda c: (c.browser_known, c.opened_at), reverse=True)
    return [*scanned_here[:1], *pushed][:MAX_LISTED]


def scanned(account: Account, handle_digest: str, now: datetime) -> Challenge:
    """The open challenge behind a QR code. Raises Gone."""
    for challenge in account.challenges.values():
        if challenge.handle_digest == handle_digest and challenge.is_open(now):
            return challenge
    raise _handle_over()


def claim(account: Account, challenge_id: str, device_id: str, now: datetime) -> Change:
    """A phone has scanned the code: the handle is spent, the request is that phone's. Raises Gone, Forbidden."""
    challenge = account.challenges.get(challenge_id)
    if challenge is None or challenge.handle_digest is None or not challenge.is_open(now):
        raise _handle_over()
    account.check_usable()
    device = active_device(account, device_id)
    claimed = replace(
        advance(challenge, ChallengeAction.CLAIM, now), handle_digest=None, claimed_by=device.id
    )
    message = ChallengeClaimed(
        challenge=challenge.id, transaction=challenge.transaction, account=account.id, device=device.id
    )
    return Change(account.with_challenge(claimed), (_outgoing(message, account, challenge),))


def _handle_over() -> Gone:
    return Gone("approval.handle.expired", code="expired")


def next_deadline(account: Account) -> datetime | None:
    """The earliest time at which one of the account's challenges ends by itself; None when none is open."""
    return min(
        (c.ends_at for c in account.challenges.values() if c.state is ChallengeState.OPEN), default=None
    )


def answerable(account: Account, challenge_id: str, now: datetime) -> Challenge:
    """The challenge, while it can be answered. Raises NotFound, Conflict (accepted), Gone (ended)."""
    challenge = account.challenges.get(challenge_id)
    if challenge is None:
        raise NotFound("approval.challenge.unknown")
    if not challenge.is_open(now):
        raise _over(challenge)
    return challenge


def _over(challenge: Challenge) -> Blok365Error:
    if challenge.state in (ChallengeState.OPEN, ChallengeState.EXPIRED):
        return Gone("approval.challenge.expired", code="expired")
    if challenge.state is ChallengeState.ACCEPTED:
        return Conflict("approval.challenge.accepted", code="accepted")
    return Gone("approval.challenge.over", code=challenge.state.value)


def _end(account: Account, challenges: Iterable[Challenge], action: ChallengeAction, now: datetime) -> Change:
    messages = []
    for challenge in challenges:
        ended = advance(challenge, action, now)
        account = history.remember(account, challenge, ended, now).with_challenge(ended)
        message = ChallengeEnded.model_validate(
            {
                "challenge": ended.id,
                "transaction": ended.transaction,
                "account": account.id,
                "outcome": ended.state.value,
            }
        )
        messages.append(_outgoing(message, account, ended))
    return Change(account, tuple(messages))


def _outgoing(message: Message, account: Account, challenge: Challenge) -> OutgoingMessage:
    return OutgoingMessage(message, account.tenant, correlation_id=challenge.correlation)


def _forget(account: Account, now: datetime) -> Account:
    """Without ended challenges that no late message can name any more. What is open stays, however many there are.

    Whoever makes a flood pushes out only what was asked for from the same place: the phone's answers and the requests
    of known browsers are kept first, and of the others the most crowded network gives way. Of what has gone it is kept
    until when it was asked for, so that no copy opens it again.
    """
    ended = [c for c in account.challenges.values() if c.ended_at is not None]
    recent = [c for c in ended if c.ended_at is not None and now - c.ended_at < REMEMBER]
    crowds = Counter(c.network for c in recent if not c.browser_known)
    recent.sort(
        key=lambda c: (
            c.state in ENDED_BY_DEVICE,
            c.browser_known,
            0 if c.browser_known else -crowds[c.network],
            c.asked_at,
        )
    )
    pushed_out = recent[:-MAX_REMEMBERED]
    gone = {c.id for c in ended} - {c.id for c in recent[-MAX_REMEMBERED:]}
    if not gone:
        return account
    return replace(
        account,
        challenges={k: c for k, c in account.challenges.items() if k not in gone},
        forgotten=_forgotten(account.forgotten, pushed_out, now),
    )


def _forgotten(
    before: Sequence[Forgotten], challenges: Sequence[Challenge], now: datetime
) -> tuple[Forgotten, ...]:
    """What was forgotten before and is now: at most two entries, and one for each of `MAX_NETWORKS` networks."""
    until: dict[tuple[bool, str | None], datetime] = {}

    def add(known: bool, network: str | None, moment: datetime) -> None:
        key = (known, network)
        until[key] = max(until.get(key, moment), moment)

    for each in before:
        if now - each.until < REMEMBER:
            add(each.known, each.network, each.until)
    for challenge in challenges:
        network = None if challenge.browser_known else challenge.network
        add(challenge.browser_known, network, challenge.asked_at)
    networks = sorted((key for key in until if key[1] is not None), key=lambda key: until[key])
    for key in networks[: max(0, len(networks) - MAX_NETWORKS)]:
        add(False, None, until.pop(key))
    return tuple(Forgotten(*key, moment) for key, moment in until.items())
