"""How sign-ins ended: an attempt, a tenant's counts of one day, and an account's last attempts. Pure.

An attempt is one request to a device, or one use of a passkey. A step that ends one writes it into its transaction's
document in the same update, and it is counted afterwards (docs/flows/sign-in-figures.md). Tokens that a session answers
are no attempts: nobody was asked anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from services.wsfed.domain.authentication import DeviceMethod, Method
from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.transaction import Challenge, Transaction, TransactionState
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.wsfed import OutcomeCount, SignInAttempt, SignInsCounted, SignInsListed

MAX_ANSWERED = 50
"""Attempts of an account that are kept of those which a device answered."""
MAX_UNANSWERED = 10
"""And of all others. They have a limit of their own, because strangers who know a user name make as many as they like:
what the person did must not leave the list for that.
"""
DAYS_KEPT = timedelta(days=120)
"""How long a day's counts are kept; 90 days are shown."""
LISTED_FOR = timedelta(days=180)
"""How long an account's attempts are kept after the last of them."""
COUNTED_AFTER = timedelta(seconds=60)
"""How long after a transaction's end its last request, if nobody has answered it, counts as unanswered. By then no
replica opens another one in its place, unless its clock is wrong by more.
"""
MAX_AGENT = 100
MAX_APPLICATION = 120
MAX_REASON = 40


class AttemptOutcome(StrEnum):
    """What became of an attempt. The values are stored and sent."""

    SIGNED_IN = "signed_in"
    """A token was issued for it, or the person's own page was opened."""
    DENIED = "denied"
    NOT_ME = "not_me"
    """The person said on the phone that they had not asked."""
    WRONG_CODE = "wrong_code"
    UNANSWERED = "unanswered"
    """Nobody answered the request in its time."""
    REFUSED = "refused"
    """A proof that does not count, or one that does and is not enough for what was asked; `reason` says which."""
    NO_ACCOUNT = "no_account"
    """Asked for a name that no account could answer for. Counted for the tenant, and listed nowhere."""


ANSWERED = frozenset(
    {
        AttemptOutcome.SIGNED_IN,
        AttemptOutcome.DENIED,
        AttemptOutcome.NOT_ME,
        AttemptOutcome.WRONG_CODE,
    }
)
"""Outcomes that an unlocked device of the person has brought about. A stranger can bring about any other."""

_BY_STATE: Mapping[TransactionState, AttemptOutcome] = {
    TransactionState.DENIED: AttemptOutcome.DENIED,
    TransactionState.NOT_ME: AttemptOutcome.NOT_ME,
    TransactionState.WRONG_CODE: AttemptOutcome.WRONG_CODE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt. `id`: of the challenge that the device was to sign, or of the transaction that it has finished, so
    that the same attempt always has the same one.
    """

    id: str
    at: datetime
    tenant: str
    account: str | None
    """None: no account could answer."""
    method: Method
    outcome: AttemptOutcome
    reason: str = ""
    agent: str = ""
    application: str = ""

    def said(self) -> SignInAttempt:
        """As followers are told."""
        return SignInAttempt(
            at=self.at,
            method=self.method.value,
            outcome=self.outcome.value,
            reason=self.reason,
            agent=self.agent,
            application=self.application,
        )


def attempt_of(
    context: SignInContext, account: str | None, outcome: AttemptOutcome, at: datetime, *, reason: str = ""
) -> Attempt:
    """The attempt that this context was made for. Without an account its outcome is `no_account`, whatever it was."""
    method = Method.PASSKEY if context.method == "passkey" else DeviceMethod(context.method).proves
    return Attempt(
        id=context.challenge,
        at=at,
        tenant=context.tenant,
        account=account,
        method=method,
        outcome=outcome if account is not None else AttemptOutcome.NO_ACCOUNT,
        reason=reason[:MAX_REASON] if account is not None else "",
        agent=context.agent[:MAX_AGENT],
        application=context.application_name[:MAX_APPLICATION],
    )


def ended(transaction: Transaction, challenge: str, state: TransactionState, at: datetime) -> Attempt | None:
    """The attempt that a device has ended with that state; None for an end that is no answer of the person's."""
    current, outcome = transaction.challenge, _BY_STATE.get(state)
    if current is None or current.id != challenge or outcome is None:
        return None
    return attempt_of(current.context, transaction.account, outcome, at)


def unanswered(transaction: Transaction, now: datetime) -> Attempt | None:
    """The transaction's request, if its time is over and nobody answered it.

    Not a QR code that no phone has scanned: a page that was left open asks nobody.
    """
    current = transaction.challenge
    if transaction.state is not TransactionState.WAITING or current is None or not _asked(current):
        return None
    if not current.expired(now):
        return None
    return attempt_of(
        current.context, transaction.account, AttemptOutcome.UNANSWERED, current.context.expires_at
    )


def _asked(challenge: Challenge) -> bool:
    return challenge.handle is None or challenge.claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncounted:
    """A transaction with attempts that are not counted yet. `due`: when they were to be, as it is stored."""

    transaction: str
    state: TransactionState
    due: datetime
    attempts: tuple[Attempt, ...]
    waits_until: datetime | None = None
    """When its open request is to be looked at; None when it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """A tenant's counts of one day."""

    tenant: str
    day: str
    """In UTC, `2026-11-27`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """By method and outcome, `blokkey_push/signed_in`."""
    just_counted: Mapping[str, str] = field(default_factory=dict)
    """The attempts that the last write has added, each with its transaction: those that may not be marked there yet.
    Whoever writes next marks them first, so that a process which is killed between the two writes counts none twice.
    """
    version: int = 0

    @property
    def id(self) -> str:
        return f"{self.tenant}/{self.day}"

    @property
    def remove_at(self) -> datetime:
        """When the document goes."""
        return datetime.combine(date.fromisoformat(self.day), time(), UTC) + DAYS_KEPT

    def counted(self, attempts: Iterable[tuple[str, Attempt]]) -> "DayFigures":
        """With these attempts too; each comes with its transaction's id."""
        counts, just = dict(self.counts), dict[str, str]()
        for transaction, attempt in attempts:
            key = f"{attempt.method.value}/{attempt.outcome.value}"
            counts[key] = counts.get(key, 0) + 1
            just[attempt.id] = transaction
        return replace(self, counts=counts, just_counted=just, version=self.version + 1)

    def event(self) -> SignInsCounted:
        """The state event."""
        return SignInsCounted(
            version=self.version,
            day=date.fromisoformat(self.day),
            counts=tuple(
                OutcomeCount(method=Method(method).value, outcome=AttemptOutcome(outcome).value, count=count)
                for key, count in sorted(self.counts.items())
                for method, _, outcome in [key.partition("/")]
            ),
        )

    def announced(self) -> OutgoingMessage:
        """The state event as a message for the outbox."""
        return OutgoingMessage(self.event(), self.tenant)


def day_of(attempt: Attempt) -> str:
    """The day that the attempt is counted for, in UTC."""
    return attempt.at.astimezone(UTC).date().isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSignIns:
    """An account's last attempts, the latest first."""

    tenant: str
    account: str
    attempts: tuple[Attempt, ...] = ()
    version: int = 0

    @property
    def id(self) -> str:
        return f"{self.tenant}/{self.account}"

    @property
    def remove_at(self) -> datetime:
        """When the document goes. Raises ValueError where there is no attempt, which is never written."""
        return max(attempt.at for attempt in self.attempts) + LISTED_FOR

    def with_attempts(self, attempts: Sequence[Attempt]) -> "AccountSignIns | None":
        """With these too; None when that changes nothing, as when they are listed already or older than all that are.

        The same attempt twice is one, so this may be done again and in any order.
        """
        both = {attempt.id: attempt for attempt in (*attempts, *self.attempts)}
        latest = sorted(both.values(), key=lambda attempt: (attempt.at, attempt.id), reverse=True)
        answered = [each for each in latest if each.outcome in ANSWERED][:MAX_ANSWERED]
        others = [each for each in latest if each.outcome not in ANSWERED][:MAX_UNANSWERED]
        kept = {each.id for each in (*answered, *others)}
        if kept == {each.id for each in self.attempts}:
            return None
        return replace(
            self,
            attempts=tuple(each for each in latest if each.id in kept),
            version=self.version + 1,
        )

    def event(self) -> SignInsListed:
        """The state event."""
        return SignInsListed(
            version=self.version,
            account=self.account,
            attempts=tuple(attempt.said() for attempt in self.attempts),
        )

    def announced(self) -> OutgoingMessage:
        """The state event as a message for the outbox."""
        return OutgoingMessage(self.event(), self.tenant)
