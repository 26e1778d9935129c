"""What an answer of Microsoft's means for the job: the one table, and who is asked to do what.

Microsoft tells many things apart by their words only, so the table looks at those too, in lower case and as parts.
Sources: Microsoft Graph error responses, "Handle errors", and recorded traffic; words change, therefore what no row
knows is taken by its status alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from services.provisioning.domain.requests import GraphAnswer
from services.provisioning.domain.steps import Step
from shared.directory import FaultKey as K


class Verdict(Enum):
    """What to do after an answer."""

    DONE = "done"
    RETRY = "retry"
    """Try the step again later."""
    LOOK = "look"
    """It is unknown what became of the request, or the directory is not as we know it: look the user up again."""
    CONFLICT = "conflict"
    """The directory has something of the new user already: perhaps our own, whose answer was lost."""
    STOP = "stop"
    """Trying again would not help."""
    PAUSE = "pause"
    """It concerns the whole connection."""


ANY = frozenset(Step)
CHANGES = ANY - {Step.FIND, Step.ADOPT, Step.CREATE}


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: which answers it is about, and what they mean."""

    verdict: Verdict
    key: K | None
    status: frozenset[int | None] = frozenset()
    """Empty: any."""
    steps: frozenset[Step] = ANY
    words: tuple[str, ...] = ()
    """One of them occurs in code, message or details, in lower case. Empty: whatever is said."""
    at_most: int = 0
    """After so many attempts it is final. 0: never."""

    def matches(self, step: Step, status: int | None, said: str) -> bool:
        return (
            step in self.steps
            and (not self.status or status in self.status)
            and (not self.words or any(word in said for word in self.words))
        )


def _rule(
    verdict: Verdict,
    key: K | None,
    status: Iterable[int | None] = (),
    steps: Iterable[Step] = ANY,
    words: tuple[str, ...] = (),
    at_most: int = 0,
) -> Rule:
    return Rule(verdict, key, frozenset(status), frozenset(steps), words, at_most)


V = Verdict
RULES: tuple[Rule, ...] = (
    _rule(V.DONE, None, range(200, 300)),
    _rule(
        V.DONE, None, [404], [Step.DELETE]
    ),  # it was deleted before, perhaps by the request whose answer was lost
    _rule(V.LOOK, K.NO_ANSWER, [None]),
    _rule(V.RETRY, K.SIGN_IN_REFUSED, [401]),  # the token ended on the way; the gateway asks for a new one
    _rule(V.RETRY, K.THROTTLED, [429]),
    _rule(V.LOOK, K.SERVICE_AWAY, [408, 423, *range(500, 600)]),
    _rule(V.STOP, K.DIRECTORY_SYNCED, words=("directory sync", "on-premises mastered", "onpremisessync")),
    _rule(V.STOP, K.ROLES_UNREADABLE, [403], [Step.ADOPT]),
    _rule(V.STOP, K.PERSON_REFUSED, [403], CHANGES),
    _rule(V.PAUSE, K.PERMISSION_MISSING, [403]),
    _rule(V.LOOK, K.NOT_VISIBLE_YET, [404]),
    _rule(V.CONFLICT, K.ADDRESS_TAKEN, [400, 409], [Step.CREATE], ("proxyaddresses", "mailnickname")),
    _rule(V.CONFLICT, K.NAME_TAKEN, [400, 409], [Step.CREATE], ("objectconflict", "already exists")),
    # Two people may be swapping names just now.
    _rule(V.RETRY, K.ADDRESS_TAKEN, [400, 409], words=("proxyaddresses",), at_most=6),
    _rule(V.RETRY, K.NAME_TAKEN, [400, 409], words=("objectconflict", "already exists"), at_most=6),
    _rule(V.STOP, K.NAME_REFUSED, [400], words=("property userprincipalname is invalid",)),
    _rule(V.STOP, K.DOMAIN_NOT_VERIFIED, [400], words=("domain portion of the userprincipalname",)),
    _rule(V.STOP, K.LICENCE_UNITS, [400], [Step.LICENSE], ("available licenses", "not have any available")),
    _rule(V.STOP, K.LICENCE_UNKNOWN, [400], [Step.LICENSE], ("valid company license", "does not correspond")),
    # Somebody has taken back already what is to be taken back: looked up, it is no longer there.
    _rule(V.LOOK, K.REFUSED, [400], [Step.LICENSE], ("not have a corresponding license",), at_most=3),
    # Just after it was set, the licensing service may not know the location yet.
    _rule(V.RETRY, K.LOCATION_REFUSED, [400], [Step.LICENSE], ("usage location",), at_most=8),
    _rule(V.STOP, K.LOCATION_REFUSED, [400], [Step.UPDATE, Step.CREATE], ("usagelocation",)),
    _rule(V.RETRY, K.REFUSED, [400], words=("one or more property values specified are invalid",), at_most=5),
    _rule(V.RETRY, K.REFUSED, [409, 412], at_most=8),
    _rule(V.STOP, K.REFUSED),
)
"""The first that matches counts."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer means: what to do, and which fault it is (None when it is done)."""

    verdict: Verdict
    key: K | None = None


def meaning(step: Step, answer: GraphAnswer, attempts: int) -> Meaning:
    """What the answer to a step's request means, at the attempt of that number."""
    code, message = answer.error
    said = f"{code} {message} {answer.details}".lower()
    rule = next(rule for rule in RULES if rule.matches(step, answer.status, said))
    if rule.at_most and attempts >= rule.at_most:
        return Meaning(Verdict.STOP, rule.key)
    return Meaning(rule.verdict, rule.key)


class SignInFailed(Exception):
    """Entra gave no token. `status` None: it did not answer."""

    def __init__(
        self,
        status: int | None,
        *,
        error: str = "",
        codes: tuple[int, ...] = (),
        words: str = "",
        trace_id: str = "",
    ) -> None:
        super().__init__(error or "no answer")
        self.status = status
        self.error = error
        self.codes = codes
        self.words = words
        self.trace_id = trace_id

    @property
    def code(self) -> str:
        """`AADSTS...`, or the `error` of OAuth."""
        return f"AADSTS{self.codes[0]}" if self.codes else self.error

    @property
    def key(self) -> K:
        """Which fault it is."""
        if self.status is None:
            return K.NO_ANSWER
        if self.status == 429:
            return K.THROTTLED
        if self.status >= 500:
            return K.SERVICE_AWAY
        known = [SIGN_IN_FAULTS[code] for code in self.codes if code in SIGN_IN_FAULTS]
        return known[0] if known else K.SIGN_IN_REFUSED

    @property
    def is_transient(self) -> bool:
        return self.key in (K.NO_ANSWER, K.THROTTLED, K.SERVICE_AWAY)


SIGN_IN_FAULTS = {
    7000215: K.WRONG_SECRET,
    7000222: K.EXPIRED_SECRET,
    700016: K.UNKNOWN_CLIENT,
    7000229: K.UNKNOWN_CLIENT,  # the application has no service principal in the directory
    90002: K.UNKNOWN_TENANT,
    900023: K.UNKNOWN_TENANT,
    700027: K.WRONG_CERTIFICATE,
    700024: K.WRONG_CERTIFICATE,
    1000502: K.WRONG_CERTIFICATE,
}
"""By the number in AADSTS (Microsoft Entra authentication and authorization error codes)."""
