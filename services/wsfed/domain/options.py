"""What may happen next in a sign-in, decided in one place.

Two things decide it. The tenant's policy says which methods count in this browser (`policy_allows`): the page offers
no other, a post that asks for another is refused, and the question is asked again before a token is made. The state
of the transaction says what the page can offer at this moment (`SignInOptions`); whether a step may be taken at all is
in the table of `transaction`.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.wsfed.domain.authentication import DeviceMethod, Method
from services.wsfed.domain.transaction import MAX_RENEWALS, Transaction, TransactionState
from services.wsfed.domain.trust import AddedDevice
from shared.contracts.admin import SignInPolicy


def policy_allows(policy: SignInPolicy, method: Method, *, enrolled: bool) -> bool:
    """Whether a method is offered and accepted in a browser (docs/flows/passkey.md).

    `enrolled`: a passkey has vouched for the browser. A passkey is always accepted; for every other method:

    | policy         | any browser | enrolled browser |
    |----------------|-------------|------------------|
    | open           | yes         | yes              |
    | known_browsers | no          | yes              |
    | passkeys_only  | no          | no               |
    """
    if method is Method.PASSKEY:
        return True
    match policy:
        case "open":
            return True
        case "known_browsers":
            return enrolled
        case "passkeys_only":
            return False


class PageState(StrEnum):
    """The states of a sign-in page; also what `/signin/{transaction}/state` and the live stream name."""

    START = "start"
    """Nothing asked yet. Without an account the page asks for the user name first."""
    PUSH_WAITING = "push_waiting"
    PUSH_UNNOTIFIED = "push_unnotified"
    """As before, but no phone was notified: the person has to open BlokKey. Shown in known browsers only."""
    QR_WAITING = "qr_waiting"
    QR_SCANNED = "qr_scanned"
    """A phone has the request: no code to scan any more, the person finishes there."""
    PROVED = "proved"
    """The proof was verified; the page posts by itself for the token."""
    DENIED = "denied"
    NOT_ME = "not_me"
    """Reported from the phone as somebody else's; push is frozen for the account."""
    WRONG_CODE = "wrong_code"
    """The phone typed another code three times."""
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    """This browser has asked again in another tab."""
    FINISHED = "finished"
    """The token was made; Back lands here and never posts again."""
    NEUTRAL = "neutral"
    """The one refusal that looks the same for unknown, invited, suspended and spent quotas."""
    LOOP = "loop"
    """The sign-in was stopped, because Microsoft 365 keeps sending this browser back."""


_PAGE_STATES = {
    TransactionState.STARTED: PageState.START,
    TransactionState.DENIED: PageState.DENIED,
    TransactionState.NOT_ME: PageState.NOT_ME,
    TransactionState.EXPIRED: PageState.EXPIRED,
    TransactionState.SUPERSEDED: PageState.SUPERSEDED,
    TransactionState.WRONG_CODE: PageState.WRONG_CODE,
    TransactionState.LIMITED: PageState.NEUTRAL,
    TransactionState.PROVED: PageState.PROVED,
    TransactionState.ISSUED: PageState.FINISHED,
}
"""The page's state for each transaction state but `waiting`, where the open challenge decides."""

_RUNNING = {
    PageState.PUSH_WAITING: DeviceMethod.PUSH,
    PageState.PUSH_UNNOTIFIED: DeviceMethod.PUSH,
    PageState.QR_WAITING: DeviceMethod.QR,
    PageState.QR_SCANNED: DeviceMethod.QR,
}
"""The states in which the page listens for the next one, and the method that is under way."""

_NEW_TRY = frozenset(
    {
        PageState.START,
        PageState.DENIED,
        PageState.WRONG_CODE,
        PageState.EXPIRED,
        PageState.SUPERSEDED,
    }
)
"""States whose page has a main button: the first method, as a first or a new try."""

_FOLLOWS = frozenset({PageState.START, PageState.EXPIRED, PageState.SUPERSEDED, *_RUNNING})
"""States in which nothing was answered or refused."""

_OVER = frozenset({PageState.PROVED, PageState.FINISHED, PageState.LOOP})


def page_state(transaction: Transaction, now: datetime) -> PageState:
    """The state of the transaction's page, named as the live stream names it."""
    state = transaction.effective_state(now)
    if state is TransactionState.WAITING and transaction.challenge is not None:
        if transaction.challenge.claimed:
            return PageState.QR_SCANNED
        if transaction.challenge.handle is not None:
            return PageState.QR_WAITING
        # Whether a phone was notified tells that there is such an account.
        told = transaction.challenge.unnotified and transaction.challenge.context.known_browser
        return PageState.PUSH_UNNOTIFIED if told else PageState.PUSH_WAITING
    return _PAGE_STATES[state]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInOptions:
    """What a page in `state` lets the person do next. The same for every browser that knows nothing of the account."""

    state: PageState
    named: bool = True
    """Whether the transaction has a user name already."""
    methods: tuple[DeviceMethod, ...] = ()
    """What the tenant takes in this browser beside a passkey, the application's first method first."""
    known: bool = False
    """Whether the account has signed in from this browser before."""
    unnotified: bool = False
    """Whether a push notifies nobody, because none of the account's phones gets notifications. False for a stranger's,
    whatever is true."""
    added: tuple[AddedDevice, ...] = ()
    """Devices that were added to the account since it last signed in from this browser; none for a stranger's."""
    from_entra: bool = False
    """Whether a page of Entra's or our own led the browser here."""
    qr_shown: bool = False
    """Whether the transaction's latest request was a QR code, so that another one is a new one."""
    renews: str = ""
    """The challenge whose QR code the page may replace by itself; empty when there is none."""
    renewals_left: int = 0
    """How many times the page may still replace the QR code."""

    def __post_init__(self) -> None:
        if len(set(self.methods)) != len(self.methods):
            raise ValueError("a method is offered twice")

    @property
    def asks_account(self) -> bool:
        """Whether the page shows the user name field instead of methods."""
        return self.state is PageState.START and not self.named

    @property
    def live(self) -> bool:
        """Whether the page listens for the next state."""
        return self.state in _RUNNING

    @property
    def follows(self) -> bool:
        """Whether the page goes on when the person has signed in from another tab of the browser."""
        return self.state in _FOLLOWS and self.named

    @property
    def over(self) -> bool:
        """Whether nothing that the person does on this page changes the sign-in any more, but going on to the token."""
        return self.state in _OVER

    @property
    def ways(self) -> bool:
        """Whether the page offers ways to sign in. A passkey is one of them wherever there are any."""
        return not self.asks_account and not self.over

    @property
    def passkey_only(self) -> bool:
        """Push and QR are not to be had: the tenant's policy for this browser, whoever the account is."""
        return self.ways and not self.methods

    @property
    def offers(self) -> tuple[DeviceMethod, ...]:
        """The methods of a first or new try; none while one is under way."""
        return self.methods if self.state in _NEW_TRY else ()

    @property
    def others(self) -> tuple[DeviceMethod, ...]:
        """The methods that the page offers beside the one that is under way or comes first."""
        running = _RUNNING.get(self.state)
        if running is not None:
            return tuple(method for method in self.methods if method is not running)
        if self.state is PageState.NOT_ME:
            # No notification leaves for this browser. A QR code needs none, and approving by it ends that.
            return tuple(sorted(self.methods, key=lambda method: method is not DeviceMethod.QR))
        return self.methods[1:] if self.state in _NEW_TRY else self.methods

    @property
    def autostart(self) -> bool:
        """Whether the page may start its first method by itself: a push, in a browser that the account has used.

        Not where any other page has led here: that page could have the person's phone ring whenever it likes. Nor while
        the page tells of devices that were added: it would be gone before anybody has read it.
        """
        first = self.methods[:1] == (DeviceMethod.PUSH,) and not self.added
        return self.state is PageState.START and self.named and self.known and self.from_entra and first


def page_options(
    transaction: Transaction,
    now: datetime,
    *,
    methods: tuple[DeviceMethod, ...],
    known: bool,
    unnotified: bool = False,
    added: tuple[AddedDevice, ...] = (),
) -> SignInOptions:
    """The options of a transaction's page at that moment. `methods`, `known`, `unnotified`, `added`: of its browser."""
    unnotified = known and unnotified and DeviceMethod.PUSH in methods
    challenge = transaction.challenge
    options = SignInOptions(
        state=page_state(transaction, now),
        named=bool(transaction.username),
        # A QR code comes before a push that notifies nobody.
        methods=methods[::-1] if unnotified and methods[0] is DeviceMethod.PUSH else methods,
        known=known,
        unnotified=unnotified,
        added=added,
        from_entra=transaction.from_entra,
        qr_shown=challenge is not None and challenge.handle is not None,
    )
    if not options.live or challenge is None or not transaction.renewable(challenge.id):
        return options
    return replace(options, renews=challenge.id, renewals_left=MAX_RENEWALS - transaction.renewals)
