"""The person's own page (docs/flows/own-page.md): how long a visit lasts, what is asked in it, what became of that.

Pure.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.wsfed.domain.authentication import Method, VerifiedAuthentication

APPLICATION = "me"
"""The application's id in a context that is signed for the own page."""
VISIT = timedelta(minutes=5)
"""How long after the proof the page is shown and takes anything."""
MAX_ACTS = 20
"""Acts of one visit."""
SLOW = timedelta(seconds=30)
"""After that the page says that an act has not been confirmed."""
MAX_NAME = 60
"""Characters of a phone's name; approval has the same limit."""
MAX_BROWSERS = 50
MAX_SIGN_INS = 20


class ActKind(StrEnum):
    """What a person may ask for."""

    RENAME_PHONE = "rename_phone"
    REMOVE_PHONE = "remove_phone"
    REMOVE_BROWSER = "remove_browser"
    SIGN_OUT = "sign_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person asked for, once. `version`: of what it is about, as the person saw it."""

    kind: ActKind
    at: datetime
    target: str = ""
    """The id of the phone or browser."""
    label: str = ""
    """What it was called then."""
    name: str = ""
    """The new name of a phone."""
    version: int = 0
    """For `sign_out`: the account's session epoch."""

    def same_as(self, other: "Act") -> bool:
        """Whether the other asks for the same, of the same version: after another one the first has changed nothing."""
        return (self.kind, self.target, self.name, self.version) == (
            other.kind,
            other.target,
            other.name,
            other.version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPhone:
    """One of the person's phones that count."""

    id: str
    name: str
    added_at: datetime
    version: int
    """Of admin's decision on it."""
    last_used: datetime | None = None
    """None: not among the sign-ins that were looked at."""
    in_use: bool = False
    """Whether the person came to this page with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSignIn:
    """A sign-in with a proof: which way, when, and what the person saw of the browser that asked."""

    at: datetime
    method: Method
    device: str
    agent: str = ""
    address: str = ""
    place: str = ""
    trial: bool = False
    """A test sign-in (docs/flows/try-it.md): it opened nothing."""


class VisitEnd(StrEnum):
    """Why the page is shown no longer."""

    TIME = "time"
    SIGNED_OUT = "signed_out"
    PHONE = "phone"
    """The phone with which the person came does not count any more."""
    ACCOUNT = "account"
    """The account may not sign in."""


def visit_end(
    authentication: VerifiedAuthentication,
    *,
    can_sign_in: bool,
    session_epoch: int,
    phone_counts: bool,
    now: datetime,
) -> VisitEnd | None:
    """Why a visit that began with that proof is over; None while it goes on. The rest is as wsfed knows it now."""
    if not can_sign_in:
        return VisitEnd.ACCOUNT
    if authentication.session_epoch != session_epoch:
        return VisitEnd.SIGNED_OUT
    if not phone_counts:
        return VisitEnd.PHONE
    if not authentication.authenticated_at <= now < authentication.authenticated_at + VISIT:
        return VisitEnd.TIME
    return None


class Outcome(StrEnum):
    """What became of an act."""

    DONE = "done"
    WAITING = "waiting"
    SLOW = "slow"
    """Not confirmed for half a minute: nobody says that it was done, nor that it will not be."""


def outcome(
    act: Act, *, phones: Collection[OwnPhone], browsers: Collection[str], session_epoch: int, now: datetime
) -> Outcome:
    """What became of it, as far as wsfed knows. `phones` and `browsers`: those that count now."""
    match act.kind:
        case ActKind.RENAME_PHONE:
            done = any((phone.id, phone.name) == (act.target, act.name) for phone in phones)
        case ActKind.REMOVE_PHONE:
            done = all(phone.id != act.target for phone in phones)
        case ActKind.REMOVE_BROWSER:
            done = act.target not in browsers
        case ActKind.SIGN_OUT:
            done = session_epoch != act.version
    if done:
        return Outcome.DONE
    return Outcome.SLOW if now - act.at >= SLOW else Outcome.WAITING


def outcomes_to_tell(
    results: Sequence[tuple[Act, Outcome]], *, told: bool
) -> tuple[tuple[Act, Outcome], ...]:
    """What the page says of the acts of a visit, in their order: what became of the latest, and which of the others are
    awaited still. `told`: whether the person has read what became of the latest: that it was done is said once.
    """
    awaited = tuple(each for each in results[:-1] if each[1] is Outcome.WAITING)
    latest = tuple(each for each in results[-1:] if not (told and each[1] is Outcome.DONE))
    return awaited + latest
