"""A sign-in transaction: one request of Entra ID in one browser, from its arrival to its token.

    started --3--> waiting --8--> proved --10--> issued
                                  (to the person's own page: `proved` is the visit, and is left by nothing)
                                  (a trial: its result is kept beside `issued`, docs/flows/try-it.md)
        |`--------- a session answers -------------^
        `------- a passkey, from here ------^
                    ^   |
                    |   +--7--> denied | not_me | expired | superseded | wrong_code | limited
                    +--3-----------'   (a new request, with a new code and nonce), or a passkey to `proved`

From every state before `proved` another user name leads back to `started`. Another tab that asks leads from `waiting`,
and from the ends that a device brings about, to `superseded` (`domain.tabs`). A session answers from `started`, and for
a tab whose person has signed in from another one meanwhile also from `waiting`, `expired` and `superseded`. The numbers
are the steps of docs/flows/sign-in.md; for a passkey see docs/flows/passkey.md. Nothing leads out of `issued`.
`TRANSITIONS` is this picture as a table, and it is the enforcement: the store takes the condition and the new state of
every update from it, and the handlers ask it through `Transaction.allows`.
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.wsfed.domain.authentication import VerifiedAuthentication
from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.own_page import Act
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.trial import TrialResult

LIFETIME = timedelta(minutes=15)
CHALLENGE_LIFETIME = timedelta(seconds=120)
HANDLE_LIFETIME = timedelta(seconds=60)
"""A QR code can be scanned that long; the request behind it lives on for the phone that did."""
MAX_CHALLENGES = 12
"""Requests that a person may send in one transaction; the per-account limits of approval come on top."""
MAX_RENEWALS = 10
"""QR codes that the page may replace by itself, beyond those that the person asked for."""

MAX_PASSKEYS = 30
"""Passkey challenges in one transaction: people cancel dialogs, programs loop."""

UNBOUND = ""
"""`browser` of a transaction that came by POST, until a browser opens it."""


class TransactionState(StrEnum):
    """The states of a sign-in transaction."""

    STARTED = "started"
    WAITING = "waiting"
    DENIED = "denied"
    NOT_ME = "not_me"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WRONG_CODE = "wrong_code"
    LIMITED = "limited"
    PROVED = "proved"
    ISSUED = "issued"


ENDED_CHALLENGE = frozenset(
    {
        TransactionState.DENIED,
        TransactionState.NOT_ME,
        TransactionState.EXPIRED,
        TransactionState.SUPERSEDED,
        TransactionState.WRONG_CODE,
        TransactionState.LIMITED,
    }
)


ENDED_BY_DEVICE = frozenset({TransactionState.DENIED, TransactionState.NOT_ME, TransactionState.WRONG_CODE})
"""Ends that only an unlocked device brings about."""


class Step(StrEnum):
    """What can be done to a transaction; each is the method of the store that has its name."""

    BIND = "bind"
    NAME_ACCOUNT = "name_account"
    OPEN_CHALLENGE = "open_challenge"
    RENEW_CHALLENGE = "renew_challenge"
    CLAIM_CHALLENGE = "claim_challenge"
    MARK_UNNOTIFIED = "mark_unnotified"
    END_CHALLENGE = "end_challenge"
    SUPERSEDE = "supersede"
    PROVE = "prove"
    ASK_PASSKEY = "ask_passkey"
    PROVE_BY_PASSKEY = "prove_by_passkey"
    SPEND_PASSKEY = "spend_passkey"
    ISSUE = "issue"
    NOTE_REFUSAL = "note_refusal"
    ACT = "act"
    ANSWER = "answer"
    KEEP_RESULT = "keep_result"


@dataclass(frozen=True, slots=True)
class Transition:
    """When a step may be taken, and where it may lead."""

    sources: frozenset[TransactionState]
    targets: frozenset[TransactionState] = frozenset()
    """The states that the step may lead to; empty when it leaves the state as it is."""

    def to(self, wanted: TransactionState | None) -> TransactionState | None:
        """The new state; None where the state stays. `wanted` chooses among several targets. Raises ValueError."""
        if wanted is None and len(self.targets) <= 1:
            return next(iter(self.targets), None)
        if wanted is None or wanted not in self.targets:
            raise ValueError(f"no transition to {wanted}")
        return wanted


_BEFORE_PROOF = frozenset({TransactionState.STARTED, TransactionState.WAITING}) | ENDED_CHALLENGE


def _transition(
    sources: Collection[TransactionState], targets: Collection[TransactionState] = ()
) -> Transition:
    return Transition(frozenset(sources), frozenset(targets))


TRANSITIONS: Mapping[Step, Transition] = {
    Step.BIND: _transition({TransactionState.STARTED}),
    Step.NAME_ACCOUNT: _transition(_BEFORE_PROOF, {TransactionState.STARTED}),
    Step.OPEN_CHALLENGE: _transition(_BEFORE_PROOF, {TransactionState.WAITING}),
    Step.RENEW_CHALLENGE: _transition({TransactionState.WAITING}),
    Step.CLAIM_CHALLENGE: _transition({TransactionState.WAITING}),
    Step.MARK_UNNOTIFIED: _transition({TransactionState.WAITING}),
    Step.END_CHALLENGE: _transition({TransactionState.WAITING}, ENDED_CHALLENGE),
    # An end that the browser must not learn of looks like waiting.
    Step.SUPERSEDE: _transition({TransactionState.WAITING} | ENDED_BY_DEVICE, {TransactionState.SUPERSEDED}),
    Step.PROVE: _transition({TransactionState.WAITING}, {TransactionState.PROVED}),
    Step.ASK_PASSKEY: _transition(_BEFORE_PROOF),
    Step.PROVE_BY_PASSKEY: _transition(_BEFORE_PROOF, {TransactionState.PROVED}),
    Step.SPEND_PASSKEY: _transition(_BEFORE_PROOF),
    Step.ISSUE: _transition({TransactionState.PROVED}, {TransactionState.ISSUED}),
    Step.NOTE_REFUSAL: _transition({TransactionState.PROVED}),
    Step.ACT: _transition({TransactionState.PROVED}),
    Step.ANSWER: _transition(
        {
            TransactionState.STARTED,
            TransactionState.WAITING,
            TransactionState.EXPIRED,
            TransactionState.SUPERSEDED,
        },
        {TransactionState.ISSUED},
    ),
    Step.KEEP_RESULT: _transition({TransactionState.ISSUED}),
}


ANSWERS = frozenset(
    {
        *(Step.CLAIM_CHALLENGE, Step.PROVE, Step.PROVE_BY_PASSKEY, Step.ISSUE, Step.ACT, Step.ANSWER),
        Step.KEEP_RESULT,
    }
)
"""Steps that stand on what a device has answered, now or for the session. A stranger can take any other step."""


def stands_on_answer(step: Step, to: TransactionState | None) -> bool:
    """Whether a step, which leads to that state, stands on a device's answer."""
    return step in ANSWERS or (step is Step.END_CHALLENGE and to in ENDED_BY_DEVICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One request to a phone: the context it signs, and the code that the page shows."""

    context: SignInContext
    code: str
    """The code that the person carries to the phone; empty where none is asked for."""
    handle: str | None = None
    """For a QR code: the one-time handle that it shows."""
    claimed: bool = False
    """approval says that a phone has scanned the QR code."""
    unnotified: bool = False
    """No phone was notified of it, as far as approval says. Kept for browsers that are known only."""
    session_epoch: int = 0
    """That of the account when the request was made. After another one an approval comes too late."""

    @property
    def id(self) -> str:
        return self.context.challenge

    @property
    def shown_until(self) -> datetime:
        """When the challenge's page changes by itself: an unscanned QR code is over before the request behind it."""
        if self.handle is not None and not self.claimed:
            return min(self.context.issued_at + HANDLE_LIFETIME, self.context.expires_at)
        return self.context.expires_at

    def expired(self, now: datetime) -> bool:
        """Whether it can no longer be approved."""
        return now >= self.context.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProof:
    """What a device signed, in BlokKey or as a passkey on the page: kept with the transaction, verifiable offline."""

    context: str
    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes
    public_key: bytes
    """DER SubjectPublicKeyInfo from wsfed's own projection, never from the message."""
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A sign-in under way. `browser` is SHA-256 of the secret in the browser's cookie, hex."""

    id: str
    tenant: str
    application: str
    request: SignInRequest
    username: str
    """The user name asked for, lower case; from Entra or typed. Proves nothing. May be empty."""
    browser: str
    created_at: datetime
    expires_at: datetime
    from_entra: bool = False
    """A page of Entra's or our own led the browser here. Only then may the sign-in page start a push by itself."""
    state: TransactionState = TransactionState.STARTED
    challenges: int = 0
    renewals: int = 0
    challenge: Challenge | None = None
    previous: Challenge | None = None
    """The one whose QR code the page has renewed: a phone may have scanned it a moment before."""
    passkey: SignInContext | None = None
    """What a passkey on the page is to sign; beside an open request, which it leaves alone."""
    passkey_epoch: int = 0
    """The account's session epoch when that was asked for."""
    passkeys: int = 0
    account: str | None = None
    proof: DeviceProof | None = None
    authentication: VerifiedAuthentication | None = None
    assertion_id: str | None = None
    own_page: str = ""
    """The name of the person's own page, in their language, where the sign-in is to that (docs/flows/own-page.md) and
    not to a relying party: then there is no token.
    """
    acts: tuple[Act, ...] = ()
    """What the person asked for on it, oldest first."""
    acts_asked: int = 0
    """How many."""
    trial: str = ""
    """The name of a test sign-in, in the person's language, where the sign-in is one (docs/flows/try-it.md): then its
    token goes to nobody.
    """
    result: TrialResult | None = None
    """What was read from the token of a trial."""

    @property
    def to_entra(self) -> bool:
        """Whether it is a sign-in to the relying party: only such a one gets a token that leaves, opens a session and
        counts as a sign-in.
        """
        return not self.own_page and not self.trial

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that its time could end: the token was made, or the own page looks at it itself."""
        visit = bool(self.own_page) and self.state is TransactionState.PROVED
        return visit or self.state is TransactionState.ISSUED

    def belongs_to(self, browser_secret: str | None) -> bool:
        """Whether that cookie value is this transaction's browser's. Constant time."""
        given = browser_digest(browser_secret or "")
        return self.browser != UNBOUND and hmac.compare_digest(given, self.browser)

    def allows(self, step: Step) -> bool:
        """Whether the table lets that step follow. The store asks again, in the update itself."""
        return self.state in TRANSITIONS[step].sources

    def waits_for(self, challenge: str) -> bool:
        """Whether the transaction is `waiting` and its current challenge is this one."""
        current = self.challenge
        return self.state is TransactionState.WAITING and current is not None and current.id == challenge

    def effective_state(self, now: datetime) -> TransactionState:
        """The state as its browser sees it.

        A request past its time has expired, whoever noticed it. One that was refused waits on, in a browser that must
        not learn of it: only accounts that exist can be refused, so to a stranger it looks as if nobody had answered.
        """
        if self.state is TransactionState.WAITING or self._hides_end:
            over = self.challenge is None or now >= self.challenge.shown_until
            return TransactionState.EXPIRED if over else TransactionState.WAITING
        return self.state

    @property
    def _hides_end(self) -> bool:
        """Whether the request has ended in a way that its browser must not learn of.

        A known browser may; so may one whose QR code was scanned, as it has seen by that that the account exists. And
        any may learn what it has done itself in another tab.
        """
        current = self.challenge
        if current is None or self.state not in ENDED_CHALLENGE - {TransactionState.SUPERSEDED}:
            return False
        return not (current.context.known_browser or current.claimed)

    def renewable(self, challenge: str) -> bool:
        """Whether the page may replace that QR code by itself: nobody has scanned or answered it."""
        current = self.challenge
        return (
            self.allows(Step.RENEW_CHALLENGE)
            and current is not None
            and current.id == challenge
            and current.handle is not None
            and not current.claimed
            and self.renewals < MAX_RENEWALS
        )

    def claimable(self, challenge: str) -> Challenge | None:
        """The QR code's request that a phone has scanned: the current one, or the one renewed a moment before."""
        return next(
            (c for c in (self.challenge, self.previous) if c and c.id == challenge and c.handle is not None),
            None,
        )


def browser_digest(secret: str) -> str:
    """How a browser is kept: SHA-256 of its cookie, hex. A stolen database binds nobody."""
    return hashlib.sha256(secret.encode()).hexdigest()
