"""One sample view of every state of the sign-in page: for pictures, and for the tests that look at all of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.wsfed.domain.authentication import DeviceMethod, Method
from services.wsfed.domain.browser import KnownBrowser
from services.wsfed.domain.options import PageState, SignInOptions
from services.wsfed.domain.own_page import Act, ActKind, Outcome, OwnPhone, OwnSignIn, VisitEnd
from services.wsfed.domain.trial import Check, ReadClaim, TrialResult
from services.wsfed.domain.trust import AddedDevice
from services.wsfed.handlers.own_page import Visit
from services.wsfed.pages.views import (
    DevicesAdded,
    FieldProblem,
    LoopCause,
    OwnPage,
    PasskeyRequest,
    Question,
    SignIn,
    TokenForm,
    TrialPage,
)
from services.wsfed.ports import Account, Tenant
from services.wsfed.routes.view_models import qr_picture
from shared.contracts.admin import AccountStatus, TenantConfigured

TXN = "tKq3ZVbW0m5rH1xJ8uYc2A"


def view(state: PageState, methods: tuple[DeviceMethod, ...] = tuple(DeviceMethod), **more: object) -> SignIn:
    """A view in that state for the demo's person; `more` changes fields."""
    options = SignInOptions(state=state, methods=methods, named=more.get("account", "") is not None)
    if state is PageState.QR_WAITING:
        options = replace(options, renewals_left=10, renews="x7Yp2LwQ9aNc4RkTb1Vd3A")
    fields: dict[str, object] = {
        "txn": TXN,
        "csrf": "c" * 43,
        "options": options,
        "version": 3,
        "organisation": "Contoso Ltd",
        "account": "ada@contoso.example",
        "passkey": PasskeyRequest(challenge="A" * 43, rp_id="id.localhost", timeout=120_000),
        "key_url": "https://key.id.example/",
    }
    if state in (PageState.PUSH_WAITING, PageState.PUSH_UNNOTIFIED):
        fields |= {"code": "482913", "expires_in": 107}
    if state is PageState.QR_WAITING:
        url = f"https://key.id.example/#q={TXN}.x7Yp2LwQ9aNc4RkT"
        fields |= {"code": "482913", "expires_in": 60, "qr": qr_picture(url)}
    if state is PageState.QR_SCANNED:
        fields |= {"code": "482913", "expires_in": 83}
    return SignIn(**{**fields, **more})  # type: ignore[arg-type]


def in_state(shown: SignIn, state: PageState, **more: object) -> SignIn:
    """The same view in another state; `more` changes fields."""
    return replace(shown, options=replace(shown.options, state=state), **more)  # type: ignore[arg-type]


ADDED = (
    AddedDevice("d1", "Ada's new phone", datetime(2026, 3, 2, 8, 5, tzinfo=UTC)),
    AddedDevice("d2", "Pixel 9", datetime(2026, 3, 2, 9, 41, tzinfo=UTC)),
)


def with_added(shown: SignIn) -> SignIn:
    """The same view in a browser that has not seen these phones yet."""
    return replace(shown, options=replace(shown.options, known=True, added=ADDED[:1]))


def unnotified(shown: SignIn) -> SignIn:
    """The same view in a known browser of an account none of whose phones gets notifications."""
    return replace(shown, options=replace(shown.options, known=True, unnotified=True))


VIEWS: Mapping[str, SignIn] = {
    "start": view(PageState.START),
    "start-qr": view(PageState.START, methods=(DeviceMethod.QR, DeviceMethod.PUSH)),
    "account": view(PageState.START, account=None),
    "account-problem": view(PageState.START, account=None, typed="ada", problem=FieldProblem.MALFORMED),
    "push-waiting": view(PageState.PUSH_WAITING),
    "push-unnotified": view(PageState.PUSH_UNNOTIFIED),
    "start-unnotified": unnotified(view(PageState.START, methods=(DeviceMethod.QR, DeviceMethod.PUSH))),
    "qr-waiting": view(PageState.QR_WAITING),
    "qr-known": view(PageState.QR_WAITING, code=""),
    "qr-scanned": view(PageState.QR_SCANNED),
    "proved": view(PageState.PROVED),
    "denied": view(PageState.DENIED),
    "not-me": view(PageState.NOT_ME, methods=(DeviceMethod.QR,)),
    "expired": view(PageState.EXPIRED),
    "expired-qr": view(PageState.EXPIRED, methods=(DeviceMethod.QR, DeviceMethod.PUSH)),
    "superseded": view(PageState.SUPERSEDED),
    "wrong-code": view(PageState.WRONG_CODE),
    "finished": view(PageState.FINISHED),
    "neutral": view(PageState.NEUTRAL),
    "loop": view(PageState.LOOP, loop_cause=LoopCause.MFA),
    "passkey-only": view(PageState.START, methods=()),
    "start-added": with_added(view(PageState.START)),
}

DEVICES_ADDED = DevicesAdded(
    txn=TXN,
    csrf="c" * 43,
    devices=ADDED,
    organisation="Contoso Ltd",
    own_page="/t/contoso/me?login_hint=ada@contoso.example",
)

_NOW = datetime(2026, 3, 2, 9, 45, tzinfo=UTC)
_PHONES = (
    OwnPhone(id="d1", name="Ada's phone", added_at=_NOW - timedelta(days=200), version=1, in_use=True),
    OwnPhone(id="d2", name="Pixel 9", added_at=_NOW, version=2, last_used=_NOW - timedelta(hours=3)),
    OwnPhone(id="d3", name="", added_at=_NOW - timedelta(days=2), version=1),
)
_BROWSERS = tuple(
    KnownBrowser(
        id=f"b{number}",
        tenant="contoso",
        account="ada",
        session_epoch=0,
        agent=agent,
        method=Method.PASSKEY,
        device="d1",
        first_seen=_NOW - timedelta(days=90),
        known_since=_NOW - timedelta(days=90),
        last_seen=_NOW,
    )
    for number, agent in enumerate(("Firefox on Windows", "Unknown browser on Linux"))
)
_SIGN_INS = (
    OwnSignIn(
        at=_NOW, method=Method.BLOKKEY_PUSH, device="d1", agent="Edge on Windows", place="Lyon, France"
    ),
    OwnSignIn(at=_NOW - timedelta(days=1), method=Method.PASSKEY, device="d2", address="192.0.2.17"),
)
VISIT = Visit(
    tenant=Tenant("contoso", TenantConfigured(version=1, name="Contoso Ltd", applications=(), domains=())),
    account=Account("contoso", "ada", "ada@contoso.example", "immutable", AccountStatus.ACTIVE),
    end=None,
    ends_at=_NOW + timedelta(minutes=4),
    phones=_PHONES,
    browsers=_BROWSERS,
    sign_ins=_SIGN_INS,
    results=(),
)


def own_page(visit: Visit, **more: object) -> OwnPage:
    """The own page of that visit; `more` changes fields."""
    fields: dict[str, object] = {"txn": TXN, "csrf": "c" * 43, "organisation": "Contoso Ltd", "now": _NOW}
    return OwnPage(**{**fields, "visit": visit, "again": "/t/contoso/me", **more})  # type: ignore[arg-type]


def _results(found: Outcome) -> tuple[tuple[Act, Outcome], ...]:
    return tuple(
        (Act(kind=kind, at=_NOW, label="Pixel 9", name="Work phone", version=1), found) for kind in ActKind
    )


OWN_PAGES: Mapping[str, OwnPage | Question] = {
    "own": own_page(VISIT),
    "own-empty": own_page(replace(VISIT, phones=_PHONES[:1], browsers=(), sign_ins=())),
    "own-problem": own_page(VISIT, problem="d2"),
    **{f"own-{found.value}": own_page(replace(VISIT, results=_results(found))) for found in Outcome},
    **{f"own-over-{end.value}": own_page(replace(VISIT, end=end)) for end in VisitEnd},
    "own-remove": Question(txn=TXN, csrf="c" * 43, organisation="Contoso Ltd", phone=_PHONES[0]),
    "own-sign-out": Question(txn=TXN, csrf="c" * 43, organisation="Contoso Ltd"),
}
"""The person's own page in each of its forms."""

TRIAL = TrialResult(
    made_at=_NOW,
    issuer="https://id.example/t/contoso/contoso.example",
    audience="https://id.example/t/contoso/try",
    subject="dGhlIHNhbWUgYXMgaW4gRW50cmE=",
    authentication_method="http://schemas.microsoft.com/claims/multipleauthn",
    authenticated_at="2026-11-21T09:29:58.000Z",
    not_before="2026-11-21T09:29:00.000Z",
    not_on_or_after="2026-11-21T09:39:00.000Z",
    claims=tuple(
        ReadClaim(name=name, namespace="http://schemas.microsoft.com/claims", value=value)
        for name, value in (
            ("UPN", "ada@contoso.example"),
            ("ImmutableID", "dGhlIHNhbWUgYXMgaW4gRW50cmE="),
            ("authnmethodsreferences", "http://schemas.microsoft.com/claims/multipleauthn"),
            ("authenticationinstant", "2026-11-21T09:29:58.000Z"),
        )
    ),
    certificate="0123456789ABCDEF" * 4,
    certificate_ends=_NOW + timedelta(days=1000),
    failed=(),
)


def trial_page(result: TrialResult | None, *, interrupted: bool = False) -> TrialPage:
    return TrialPage(
        txn=TXN,
        organisation="Contoso Ltd",
        account="ada@contoso.example",
        again="/t/contoso/try",
        realm="urn:federation:MicrosoftOnline",
        result=result,
        interrupted=interrupted,
    )


TRIALS: Mapping[str, TrialPage] = {
    "trial": trial_page(TRIAL),
    "trial-failed": trial_page(replace(TRIAL, failed=tuple(Check))),
    "trial-interrupted": trial_page(None, interrupted=True),
    "trial-over": trial_page(None),
}
"""The result of a test sign-in in each of its forms."""

TOKEN = TokenForm(
    action="https://login.microsoftonline.com/login.srf",
    fields=(
        ("wa", "wsignin1.0"),
        ("wresult", "<t:RequestSecurityTokenResponse/>"),
        ("wctx", "LoginOptions=3"),
    ),
    back_url=f"/signin/{TXN}",
    organisation="Contoso Ltd",
)


def replace_qr(shown: SignIn, text: str) -> SignIn:
    """The same view with another QR code."""
    return replace(shown, qr=qr_picture(text))
