"""What the sign-in pages show: frozen, checked, and nothing else. Routes make these; templates only read them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.wsfed.domain.options import PageState, SignInOptions
from services.wsfed.domain.own_page import Act, Outcome, OwnPhone, outcomes_to_tell
from services.wsfed.domain.transaction import CHALLENGE_LIFETIME
from services.wsfed.domain.trial import TrialResult
from services.wsfed.domain.trust import AddedDevice
from services.wsfed.handlers.own_page import Visit


class FieldProblem(StrEnum):
    """What is wrong with a typed user name. Says nothing about whether the account exists."""

    EMPTY = "empty"
    MALFORMED = "malformed"


class LoopCause(StrEnum):
    """What is most likely misconfigured when Microsoft 365 keeps asking."""

    REFUSED = "refused"
    """Entra does not accept our token, because of certificate, issuer, ImmutableID or clock."""
    MFA = "mfa"
    """Entra wants MFA, which the method that was used does not give."""
    FRESH = "fresh"
    """Entra wants a fresher sign-in each time."""


def initials(name: str) -> str:
    """Up to two letters for the circle beside a name: `CL` for Contoso Ltd, `A` for ada@contoso.example."""
    words = [word for word in name.partition("@")[0].split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper()


@dataclass(frozen=True, kw_only=True)
class OrganisationsPage:
    """A page that belongs to the organisation whose person signs in. `logo`: the path of its picture, or empty."""

    organisation: str
    logo: str = ""

    @property
    def organisation_initials(self) -> str:
        return initials(self.organisation)


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
class PasskeyRequest:
    """What the page's script asks the browser to sign: `challenge` in base64url, `timeout` in milliseconds."""

    challenge: str
    rp_id: str
    timeout: int


@dataclass(frozen=True, kw_only=True)
class SignIn(OrganisationsPage):
    """The sign-in page of one transaction.

    `options`: the state it is in, and what it offers. `account` is the user name to show (from Entra or typed:
    unverified), None to ask for it. `code`: 4 to 10 digits for the person to carry to the phone; with QR it may be
    empty when policy asks for none. `expires_in`: seconds left, by the server's clock. `version` is the
    transaction's; the live stream repeats it. `passkey`: None where none can be used. `key_url`: the phone's page, for
    somebody who signs in on the phone. Raises ValueError when a state lacks what it must show.
    """

    txn: str
    csrf: str
    options: SignInOptions
    version: int = 0
    application: str = "Microsoft 365"
    account: str | None = None
    typed: str = ""
    problem: FieldProblem | None = None
    code: str = ""
    expires_in: int = 0
    qr: Qr | None = None
    passkey: PasskeyRequest | None = None
    start_url: str = "https://m365.cloud.microsoft/"
    loop_cause: LoopCause = LoopCause.REFUSED
    key_url: str = ""
    own_page: str = ""
    trial: bool = False
    """Whether it is a test sign-in, which leads to its result and to no application."""

    def __post_init__(self) -> None:
        if self.code and not (self.code.isascii() and self.code.isdigit() and 4 <= len(self.code) <= 10):
            raise ValueError("a code is 4 to 10 digits")
        if self.state in (PageState.PUSH_WAITING, PageState.PUSH_UNNOTIFIED) and not self.code:
            raise ValueError("a push always comes with a code")
        if self.state is PageState.QR_WAITING and self.qr is None:
            raise ValueError("the QR page needs a QR code")

    @property
    def state(self) -> PageState:
        return self.options.state

    @property
    def account_initials(self) -> str:
        return initials(self.account or "")

    @property
    def lifetime(self) -> int:
        """How long a request can be approved altogether, in seconds."""
        return int(CHALLENGE_LIFETIME.total_seconds())

    @property
    def share_left(self) -> int:
        """What is left of that time, in percent of it."""
        return min(100, max(0, round(100 * self.expires_in / self.lifetime)))

    @property
    def code_groups(self) -> tuple[str, ...]:
        """The code in groups of three or two, e.g. 482 and 913."""
        size = 3 if len(self.code) % 3 == 0 else 2
        return tuple(self.code[i : i + size] for i in range(0, len(self.code), size))


@dataclass(frozen=True, kw_only=True)
class DevicesAdded(OrganisationsPage):
    """The page between a proof and its token that tells the person of phones which were added lately.

    `txn`, `csrf`: of the form that goes on, `POST /signin/{txn}/token` with `told`. `own_page`: where the person can do
    something about it.
    """

    txn: str
    csrf: str
    devices: tuple[AddedDevice, ...]
    application: str = "Microsoft 365"
    own_page: str = ""


@dataclass(frozen=True, kw_only=True)
class TokenForm(OrganisationsPage):
    """The page that posts the token to Microsoft by itself.

    `action` is an entry of the reply allow-list, `fields` what goes there in order (wa, wresult, wctx), each
    byte for byte. `back_url`: our own page that Back leads to (`/signin/{txn}`). The lines end as LF inside
    `fields`: a browser sends a form's line ends as CR LF, so nothing that is signed over its octets may hold one.
    """

    action: str
    fields: tuple[tuple[str, str], ...]
    back_url: str
    application: str = "Microsoft 365"

    def __post_init__(self) -> None:
        if not self.action.startswith("https://") and not self.action.startswith("http://localhost:"):
            raise ValueError("a token goes out over https only")


@dataclass(frozen=True, kw_only=True)
class SignedOut:
    """The page after sign-out: what has ended, and what has not. `own_page`: where to see what goes on elsewhere."""

    start_url: str
    own_page: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnPage(OrganisationsPage):
    """The person's own page (docs/flows/own-page.md). `again`: where a new visit begins."""

    txn: str
    csrf: str
    visit: Visit
    again: str
    now: datetime
    problem: str = ""
    """The id of the phone whose new name is missing."""
    told: bool = False
    """Whether this browser has shown already what became of the latest act."""

    @property
    def results(self) -> tuple[tuple[Act, Outcome], ...]:
        """The acts of which the page says something."""
        return outcomes_to_tell(self.visit.results, told=self.told)

    @property
    def tells_that_it_is_done(self) -> bool:
        """Whether the page says that the latest act was done."""
        return any(found is Outcome.DONE for _, found in self.results)

    @property
    def account_initials(self) -> str:
        return initials(self.visit.account.upn)

    @property
    def minutes_left(self) -> int:
        return max(1, round((self.visit.ends_at - self.now).total_seconds() / 60))

    @property
    def waiting(self) -> bool:
        """Whether something is not confirmed yet, so that the page looks again by itself."""
        return any(found is Outcome.WAITING for _, found in self.results)


@dataclass(frozen=True, kw_only=True)
class TrialPage(OrganisationsPage):
    """The result of a trial (docs/flows/try-it.md). `again`: where the next one begins; `realm`: Entra's, which is the
    audience of a real token. `result`: None once it is shown no longer, and when the trial was `interrupted`.
    """

    txn: str
    account: str
    again: str
    realm: str
    result: TrialResult | None
    interrupted: bool = False

    @property
    def account_initials(self) -> str:
        return initials(self.account)


@dataclass(frozen=True, kw_only=True)
class Question(OrganisationsPage):
    """The question before what cannot be taken back. `phone`: the one to remove; None: sign out everywhere."""

    txn: str
    csrf: str
    phone: OwnPhone | None = None
