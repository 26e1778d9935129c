"""One sample view of every state of the sign-in page: for pictures, and for the tests that look at all of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from services.wsfed.domain.authentication import DeviceMethod
from services.wsfed.domain.options import PageState, SignInOptions
from services.wsfed.domain.trust import AddedDevice
from services.wsfed.pages.views import (
    DevicesAdded,
    FieldProblem,
    LoopCause,
    PasskeyRequest,
    SignIn,
    TokenForm,
)
from services.wsfed.routes.view_models import qr_picture

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

DEVICES_ADDED = DevicesAdded(txn=TXN, csrf="c" * 43, devices=ADDED, organisation="Contoso Ltd")

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
