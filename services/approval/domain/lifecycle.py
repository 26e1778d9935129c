"""The life of a challenge as one table, which is the enforcement: `challenges.advance` allows nothing else.

`open` is the only state with a way out; every other one is an end that stays.
"""

from collections.abc import Mapping
from enum import StrEnum


class ChallengeState(StrEnum):
    """The states of a challenge."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DENIED = "denied"
    NOT_ME = "not_me"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WRONG_CODE = "wrong_code"
    LIMITED = "limited"


class ChallengeAction(StrEnum):
    """The actions that change a challenge's state."""

    CLAIM = "claim"
    """A phone scanned the QR code of the challenge."""
    APPROVE = "approve"
    MISTYPE = "mistype"
    """The phone signed a wrong code, and there are tries left."""
    MISTYPE_LAST = "mistype_last"
    """The phone signed a wrong code at its last try."""
    DENY = "deny"
    REPORT = "report"
    """ "Not me": somebody else asked."""
    EXPIRE = "expire"
    SUPERSEDE = "supersede"
    """The same browser made a newer request."""
    LIMIT = "limit"
    """The account has too many requests at once."""


TRANSITIONS: Mapping[tuple[ChallengeState, ChallengeAction], ChallengeState] = {
    (ChallengeState.OPEN, ChallengeAction.CLAIM): ChallengeState.OPEN,
    (ChallengeState.OPEN, ChallengeAction.APPROVE): ChallengeState.ACCEPTED,
    (ChallengeState.OPEN, ChallengeAction.MISTYPE): ChallengeState.OPEN,
    (ChallengeState.OPEN, ChallengeAction.MISTYPE_LAST): ChallengeState.WRONG_CODE,
    (ChallengeState.OPEN, ChallengeAction.DENY): ChallengeState.DENIED,
    (ChallengeState.OPEN, ChallengeAction.REPORT): ChallengeState.NOT_ME,
    (ChallengeState.OPEN, ChallengeAction.EXPIRE): ChallengeState.EXPIRED,
    (ChallengeState.OPEN, ChallengeAction.SUPERSEDE): ChallengeState.SUPERSEDED,
    (ChallengeState.OPEN, ChallengeAction.LIMIT): ChallengeState.LIMITED,
}
"""Every transition that exists; any other pair is refused."""

BY_DEVICE = frozenset(
    {
        ChallengeAction.CLAIM,
        ChallengeAction.APPROVE,
        ChallengeAction.MISTYPE,
        ChallengeAction.MISTYPE_LAST,
        ChallengeAction.DENY,
        ChallengeAction.REPORT,
    }
)
"""Actions that only an unlocked phone can bring about. They are taken before the challenge's deadline only."""

ENDED_BY_DEVICE = frozenset(state for (_, action), state in TRANSITIONS.items() if action in BY_DEVICE) - {
    ChallengeState.OPEN
}
"""Ends that only an unlocked phone can bring about."""
