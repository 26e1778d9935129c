"""What a person can look back on: how the last requests to their phones ended. Pure.

It is for the person's eye alone: it decides nothing and proves nothing. It is kept in the account's own document, so it
is short, and what nobody answered has places of its own. So whoever asks again and again for somebody's account pushes
none of that person's own answers out of it.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.approval.domain.account import Account, Challenge, PastRequest
from services.approval.domain.lifecycle import ENDED_BY_DEVICE, ChallengeState

MAX_ANSWERED = 20
MAX_UNANSWERED = 10
KEPT = timedelta(days=90)
MAX_FACT = 120
"""Characters of a fact. wsfed's are shorter; the document stays small whatever a context holds."""
_NOT_SHOWN = frozenset({ChallengeState.OPEN, ChallengeState.LIMITED})
"""Not at an end, and ended because there was no room for it."""


def remember(account: Account, before: Challenge, after: Challenge, now: datetime) -> Account:
    """The account with what became of a request, if a phone could have shown it: not a QR code that nobody scanned.

    `before` still has the text of the request, `after` its end.
    """
    shown = after.method == "push" or after.claimed_by is not None
    if after.state in _NOT_SHOWN or not shown:
        return account
    past = {**account.history, after.id: _past(before, after, now)}
    answered: list[PastRequest] = []
    unanswered: list[PastRequest] = []
    for each in sorted(past.values(), key=lambda each: each.ended_at, reverse=True):
        if now - each.ended_at < KEPT:
            (answered if each.state in ENDED_BY_DEVICE else unanswered).append(each)
    kept = (*answered[:MAX_ANSWERED], *unanswered[:MAX_UNANSWERED])
    return replace(account, history={each.id: each for each in kept})


def look_back(account: Account, now: datetime) -> Sequence[PastRequest]:
    """What is shown of it, the newest first."""
    recent = [each for each in account.history.values() if now - each.ended_at < KEPT]
    return sorted(recent, key=lambda each: each.ended_at, reverse=True)


def _past(before: Challenge, after: Challenge, now: datetime) -> PastRequest:
    facts = _facts(before.context)
    return PastRequest(
        id=after.id,
        state=after.state,
        method=after.method,
        known_browser=after.browser_known,
        opened_at=after.opened_at,
        ended_at=after.ended_at or now,
        **{name: _text(facts.get(name)) for name in ("application_name", "agent", "place", "address")},
    )


def _facts(context: str) -> dict[str, object]:
    """The context's fields. It was read when the request came; one that is no object has none."""
    try:
        found = json.loads(context)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value[:MAX_FACT] if isinstance(value, str) else ""
