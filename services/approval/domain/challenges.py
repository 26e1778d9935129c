"""The life of a challenge: `open -> accepted | denied | not_me | expired | superseded | wrong_code | limited`.

Only `open` can be left. Each function takes the account as it was read and returns the step to write; the store
writes it only if nobody wrote in between, otherwise the step is computed again from the newer account. So two
answers at once, or fifty guesses at once, are taken one after the other.

Numbers: guide "Security rules", push. Unknown browsers can spend neither the quota nor the places of known ones:
otherwise anybody who knows a name could lock its owner out.
"""

import hmac
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.approval.domain.account import Account, Challenge, Said, State, Step, active_device
from services.approval.domain.ceremony import VerifiedAnswer, check_sign_count
from services.approval.domain.notifications import pushes
from shared.contracts.approval import ChallengeAccepted, ChallengeClaimed, ChallengeEnded
from shared.errors import Conflict, Forbidden, Gone, NotFound

MAX_TRIES = 3
MAX_LISTED = 3
MAX_SCANNABLE = 50
"""Open QR challenges of one account that nobody has scanned: they are never listed, so many of them hide nothing."""
QUOTA = ((timedelta(minutes=10), 3), (timedelta(days=1), 10))
"""Notifications without a success, for each class of browsers."""
REMEMBER = timedelta(minutes=30)
"""Ended challenges stay that long: longer than a late copy of their command is believed."""
ANSWERS = (State.ACCEPTED, State.DENIED, State.NOT_ME, State.WRONG_CODE)
"""Ends that only an unlocked phone can bring about."""
MAX_REMEMBERED = 50
"""Ended ones kept at most: an account is one document, and a flood would make each of its steps slow."""


def open_challenge(
    account: Account, challenge: Challenge, now: datetime, renews: str | None = None
) -> Step | None:
    """Add a challenge; an older one of the same browser is superseded. None: it was delivered before.

    `renews`: the page took that one's QR code away because its time was over. If a phone had scanned it a moment
    earlier, the phone goes on with it, and nothing is said: wsfed hears of the scan and takes the older one back.
    """
    if challenge.id in account.challenges:
        return None
    step = expire(_forget(account, now), now)
    renewed = step.account.challenges.get(renews) if renews is not None else None
    if renewed is not None and renewed.claimed_by is not None and renewed.browser == challenge.browser:
        return step.then(Step(step.account.with_challenge(_tombstone(challenge, State.SUPERSEDED, now))))
    outstanding = [c for c in step.account.challenges.values() if c.state is State.OPEN]
    same = [c for c in outstanding if c.browser == challenge.browser]
    step = step.then(_end(step.account, same, State.SUPERSEDED, now))
    rivals = [c for c in outstanding if c not in same and c.method == challenge.method and not c.claimed_by]
    most = MAX_LISTED if challenge.method == "push" else MAX_SCANNABLE
    if len(rivals) >= most:
        loser = _loser([*rivals, challenge])
        if loser is challenge:
            return step.then(_end(step.account.with_challenge(challenge), [challenge], State.LIMITED, now))
        step = step.then(_end(step.account, [loser], State.LIMITED, now))
    if challenge.method == "push":
        return step.then(_count_push(step.account, challenge, now))
    return step.then(Step(step.account.with_challenge(challenge)))


def _loser(candidates: Sequence[Challenge]) -> Challenge:
    """Who gives up a place: an unknown browser before a known one, of the most crowded network, the oldest.

    So whoever asks again and again from one place pushes out only what was asked from there.
    """
    crowds = Counter(c.network for c in candidates if not c.browser_known)
    return min(
        candidates,
        key=lambda c: (c.browser_known, 0 if c.browser_known else -crowds[c.network], c.opened_at),
    )


def _count_push(account: Account, challenge: Challenge, now: datetime) -> Step:
    """Spend the quota of the browser's class, or keep the request quiet."""
    asked = account.pushes_known if challenge.browser_known else account.pushes_unknown
    asked = tuple(at for at in asked if now - at < QUOTA[-1][0])
    spent = any(sum(now - at < window for at in asked) >= most for window, most in QUOTA)
    frozen = account.frozen_at is not None and not challenge.browser_known
    quiet = spent or frozen
    if not quiet:
        asked = (*asked, now)
    challenge = replace(challenge, quiet=quiet)
    account = account.with_challenge(challenge)
    said = pushes(account, challenge, now)
    if challenge.browser_known:
        return Step(replace(account, pushes_known=asked), said)
    return Step(replace(account, pushes_unknown=asked), said)


def approve(
    account: Account, challenge_id: str, device_id: str, answer: VerifiedAnswer, now: datetime
) -> Step:
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
    if challenge.method == "qr":  # another method than push: the person is there, the freeze is over
        account = replace(account, frozen_at=None)
    elif challenge.browser_known:
        account = replace(account, pushes_known=())
    else:
        account = replace(account, pushes_unknown=())
    account = account.with_challenge(_tombstone(challenge, State.ACCEPTED, now))
    return Step(account, (Said(accepted, challenge.correlation),))


def _wrong_code(account: Account, challenge: Challenge, now: datetime) -> Step:
    counted = replace(challenge, tries=challenge.tries + 1)
    if counted.tries < MAX_TRIES:
        left = MAX_TRIES - counted.tries
        refusal = (
            Forbidden("approval.code.wrong_last_try", code="wrong_code")
            if left == 1
            else Forbidden("approval.code.wrong", left=left, code="wrong_code")
        )
        return Step(account.with_challenge(counted), refusal=refusal)
    step = _end(account.with_challenge(counted), [counted], State.WRONG_CODE, now)
    gone = Gone("approval.code.wrong_too_often", code="wrong_code")
    return replace(step, refusal=gone)


def refuse(account: Account, challenge_id: str, outcome: State, now: datetime) -> Step:
    """The person says no: `denied` (a slip freezes nothing) or `not_me` (freezes push, and is reported)."""
    if outcome not in (State.DENIED, State.NOT_ME):
        raise ValueError(outcome)
    challenge = answerable(account, challenge_id, now)
    if outcome is State.NOT_ME:
        account = replace(account, frozen_at=account.frozen_at or now)
    return _end(account, [challenge], outcome, now)


def expire(account: Account, now: datetime) -> Step:
    """End what is past its deadline."""
    late = [c for c in account.challenges.values() if c.state is State.OPEN and now >= c.ends_at]
    return _end(account, late, State.EXPIRED, now)


def expired_step(account: Account, now: datetime) -> Step | None:
    """The sweeper's step: None when nothing is left to end."""
    step = expire(account, now)
    return step if step.said else None


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
    raise Gone("approval.handle.expired", code="expired")


def claim(account: Account, handle_digest: str, device_id: str, now: datetime) -> Step:
    """A phone has scanned the code: the handle is spent, the request is that phone's. Raises Gone, Forbidden."""
    challenge = scanned(account, handle_digest, now)
    account.check_usable()
    device = active_device(account, device_id)
    claimed = ChallengeClaimed(
        challenge=challenge.id, transaction=challenge.transaction, account=account.id, device=device.id
    )
    account = account.with_challenge(replace(challenge, handle_digest=None, claimed_by=device.id))
    return Step(account, (Said(claimed, challenge.correlation),))


def claimed_by(step: Step) -> str:
    """The challenge that a `claim` step claimed."""
    (said,) = step.said
    assert isinstance(said.message, ChallengeClaimed)
    return said.message.challenge


def unfreeze(account: Account) -> Step | None:
    """End the freeze of "not me"; None when there is none."""
    return None if account.frozen_at is None else Step(replace(account, frozen_at=None))


def next_deadline(account: Account) -> datetime | None:
    """When the sweeper must look at this account."""
    return min((c.ends_at for c in account.challenges.values() if c.state is State.OPEN), default=None)


def answerable(account: Account, challenge_id: str, now: datetime) -> Challenge:
    """The challenge, while it can be answered. Raises NotFound, Conflict (accepted), Gone (ended)."""
    challenge = account.challenges.get(challenge_id)
    if challenge is None:
        raise NotFound("approval.challenge.unknown")
    if challenge.is_open(now):
        return challenge
    if challenge.state in (State.OPEN, State.EXPIRED):
        raise Gone("approval.challenge.expired", code="expired")
    if challenge.state is State.ACCEPTED:
        raise Conflict("approval.challenge.accepted", code="accepted")
    raise Gone("approval.challenge.over", code=challenge.state.value)


def _end(account: Account, challenges: Iterable[Challenge], outcome: State, now: datetime) -> Step:
    said = []
    for challenge in challenges:
        account = account.with_challenge(_tombstone(challenge, outcome, now))
        ended = ChallengeEnded.model_validate(
            {
                "challenge": challenge.id,
                "transaction": challenge.transaction,
                "account": account.id,
                "outcome": outcome.value,
            }
        )
        said.append(Said(ended, challenge.correlation))
    return Step(account, tuple(said))


def _tombstone(challenge: Challenge, state: State, now: datetime) -> Challenge:
    return replace(challenge, state=state, ended_at=now, context="", expected_digest=b"", handle_digest=None)


def _forget(account: Account, now: datetime) -> Account:
    """Without ended challenges that no late message can name any more. What is open stays, however many there are.

    The phone's answers are kept before anything else: whoever makes a flood cannot have them forgotten.
    """
    ended = [c for c in account.challenges.values() if c.ended_at is not None]
    kept = [c for c in ended if c.ended_at is not None and now - c.ended_at < REMEMBER]
    kept.sort(key=lambda c: (c.state in ANSWERS, c.opened_at))
    gone = {c.id for c in ended} - {c.id for c in kept[-MAX_REMEMBERED:]}
    if not gone:
        return account
    return replace(account, challenges={k: c for k, c in account.challenges.items() if k not in gone})
