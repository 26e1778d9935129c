"""What the sign-in pages show: frozen, checked, and nothing else. Routes make these; templates only read them."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The states of a sign-in page; also what `/signin/{txn}/state` and the live stream name."""

    START = "start"
    """Nothing asked yet. Without an account the page asks for the user name first."""
    PUSH_WAITING = "push_waiting"
    QR_WAITING = "qr_waiting"
    QR_SCANNED = "qr_scanned"
    """A phone has the request: no code to scan any more, the person finishes there."""
    PROVED = "proved"
    """The proof is in; the page posts itself on to the token."""
    DENIED = "denied"
    NOT_ME = "not_me"
    """Reported from the phone as somebody else's; push is frozen for the account."""
    WRONG_CODE = "wrong_code"
    """The phone typed another code three times."""
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    FINISHED = "finished"
    """The token was made; Back lands here and never posts again."""
    NEUTRAL = "neutral"
    """The one refusal that looks the same for unknown, invited, suspended and spent quotas."""
    LOOP = "loop"
    """Stopped: Microsoft 365 keeps sending this browser back."""


LIVE = frozenset({State.PUSH_WAITING, State.QR_WAITING, State.QR_SCANNED})
"""States in which the page listens for the next one."""

WITH_WAY_ON = frozenset(
    {
        State.START,
        State.DENIED,
        State.NOT_ME,
        State.WRONG_CODE,
        State.EXPIRED,
        State.SUPERSEDED,
    }
)
"""States that offer methods as a new try."""


class Method(StrEnum):
    """The ways to prove who you are that the page can start: `POST /signin/{txn}/{method}`."""

    PUSH = "push"
    QR = "qr"


_RUNNING = {
    State.PUSH_WAITING: Method.PUSH,
    State.QR_WAITING: Method.QR,
    State.QR_SCANNED: Method.QR,
}


class FieldProblem(StrEnum):
    """What is wrong with a typed user name. Says nothing about whether the account exists."""

    EMPTY = "empty"
    MALFORMED = "malformed"


class LoopCause(StrEnum):
    """What is most likely misconfigured when Microsoft 365 keeps asking."""

    REFUSED = "refused"
    """It does not accept our token: certificate, issuer, ImmutableID or clock."""
    MFA = "mfa"
    """It wants MFA which this method does not give."""
    FRESH = "fresh"
    """It wants a fresher sign-in each time."""


@dataclass(frozen=True, kw_only=True)
class Qr:
    """A QR code as vector: `modules` on a side without margin, `path` drawn one unit a module from (0, 0).

    The template adds the margin of four modules and the white tile.
    """

    modules: int
    path: str

    def __post_init__(self) -> None:
        if not 21 <= self.modules <= 177 or set(self.path) - set("MmHhVvZzLl0123456789.,- "):
            raise ValueError("not a QR code's outline")


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """The sign-in page of one transaction.

    `account` is the user name to show (from the hint or typed: unverified), None to ask for it. `methods`: what
    is offered, the first one as the main button; none where only a passkey will do. `code`: 4 to 10 digits for the
    person to carry to the phone; with QR it may be empty when policy asks for none. `expires_in`: seconds left, by the
    server's clock. `renewals_left`: how often the page may still renew the QR code by itself (guide: ten),
    `renews`: which one it renews. `version` is the transaction's; the live stream repeats it. Raises ValueError when
    a state lacks what it must show.
    """

    txn: str
    csrf: str
    state: State
    version: int = 0
    organisation: str
    application: str = "Microsoft 365"
    account: str | None = None
    typed: str = ""
    problem: FieldProblem | None = None
    methods: tuple[Method, ...] = (Method.PUSH, Method.QR)
    code: str = ""
    expires_in: int = 0
    qr: Qr | None = None
    renewals_left: int = 0
    renews: str = ""
    key_url: str = "/key/"
    start_url: str = "https://m365.cloud.microsoft/"
    loop_cause: LoopCause = LoopCause.REFUSED
    passkey: bool = True
    """The page's script offers a passkey where the browser can use one; it stands alone if `methods` is empty."""
    autostart: bool = False
    """The page may start its first method by itself: only on a browser that is known for the account."""

    def __post_init__(self) -> None:
        if self.code and not (self.code.isascii() and self.code.isdigit() and 4 <= len(self.code) <= 10):
            raise ValueError("a code is 4 to 10 digits")
        if self.state is State.PUSH_WAITING and not self.code:
            raise ValueError("a push always comes with a code")
        if self.state is State.QR_WAITING and self.qr is None:
            raise ValueError("the QR page needs a QR code")
        if len(set(self.methods)) != len(self.methods):
            raise ValueError("a method is offered twice")
        if not self.methods and not self.passkey:
            raise ValueError("a page that offers no way to sign in")

    @property
    def asks_account(self) -> bool:
        """Whether the page shows the user name field instead of methods."""
        return self.state is State.START and self.account is None

    @property
    def ways(self) -> bool:
        """Whether the page offers ways to sign in."""
        over = (State.PROVED, State.FINISHED, State.LOOP)
        return not self.asks_account and self.state not in over

    @property
    def passkey_only(self) -> bool:
        """Push and QR are not to be had: the tenant's policy for this browser, whoever the account is."""
        return self.ways and not self.methods

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def offers(self) -> tuple[Method, ...]:
        """The buttons for a (new) try: none while one is running other than those the state itself shows."""
        return self.methods if self.state in WITH_WAY_ON else ()

    @property
    def others(self) -> tuple[Method, ...]:
        """What the person can switch to from where they are."""
        running = _RUNNING.get(self.state)
        if running:
            return tuple(method for method in self.methods if method is not running)
        return self.methods[1:] if self.state in WITH_WAY_ON else self.methods

    @property
    def code_groups(self) -> tuple[str, ...]:
        """The code in groups of three or two, e.g. 482 and 913."""
        size = 3 if len(self.code) % 3 == 0 else 2
        return tuple(self.code[i : i + size] for i in range(0, len(self.code), size))


@dataclass(frozen=True, kw_only=True)
class TokenForm:
    """The page that posts the token to Microsoft by itself.

    `action` is an entry of the reply allow-list, `fields` what goes there in order (wa, wresult, wctx), each
    byte for byte. `back_url`: our own page that Back leads to (`/signin/{txn}`). The lines end as LF inside
    `fields`: a browser sends a form's line ends as CR LF, so nothing that is signed over its octets may hold one.
    """

    action: str
    fields: tuple[tuple[str, str], ...]
    back_url: str
    organisation: str
    application: str = "Microsoft 365"

    def __post_init__(self) -> None:
        if not self.action.startswith("https://") and not self.action.startswith("http://localhost:"):
            raise ValueError("a token goes out over https only")


@dataclass(frozen=True, kw_only=True)
class SignedOut:
    """The page after sign-out: what has ended, and what has not."""

    start_url: str
