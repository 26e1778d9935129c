"""One sample view of every state of the sign-in page: for pictures, and for the tests that look at all of them."""

from collections.abc import Mapping

import segno

from services.wsfed.pages.views import FieldProblem, LoopCause, Method, Qr, SignIn, State, TokenForm

TXN = "tKq3ZVbW0m5rH1xJ8uYc2A"


def qr(text: str) -> Qr:
    """A QR code as the routes make it: dark modules as one outline, rows of unit squares."""
    matrix = [list(row) for row in segno.make_qr(text, error="m").matrix]
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark)
    return Qr(modules=len(matrix), path=path)


def view(state: State, **more: object) -> SignIn:
    """A view in that state for the demo's person; `more` changes fields."""
    fields: dict[str, object] = {
        "txn": TXN,
        "csrf": "c" * 43,
        "state": state,
        "version": 3,
        "organisation": "Contoso Ltd",
        "account": "ada@contoso.example",
    }
    if state is State.PUSH_WAITING:
        fields |= {"code": "482913", "expires_in": 107}
    if state is State.QR_WAITING:
        url = f"https://id.example/key/#q={TXN}.x7Yp2LwQ9aNc4RkT"
        fields |= {"code": "482913", "expires_in": 60, "qr": qr(url)}
        fields |= {"renewals_left": 10, "renews": "x7Yp2LwQ9aNc4RkTb1Vd3A"}
    if state is State.QR_SCANNED:
        fields |= {"code": "482913", "expires_in": 83}
    return SignIn(**{**fields, **more})  # type: ignore[arg-type]


VIEWS: Mapping[str, SignIn] = {
    "start": view(State.START),
    "start-qr": view(State.START, methods=(Method.QR, Method.PUSH)),
    "account": view(State.START, account=None),
    "account-problem": view(State.START, account=None, typed="ada", problem=FieldProblem.MALFORMED),
    "push-waiting": view(State.PUSH_WAITING),
    "qr-waiting": view(State.QR_WAITING),
    "qr-known": view(State.QR_WAITING, code=""),
    "qr-scanned": view(State.QR_SCANNED),
    "proved": view(State.PROVED),
    "denied": view(State.DENIED),
    "not-me": view(State.NOT_ME, methods=(Method.QR,)),
    "expired": view(State.EXPIRED),
    "expired-qr": view(State.EXPIRED, methods=(Method.QR, Method.PUSH)),
    "superseded": view(State.SUPERSEDED),
    "wrong-code": view(State.WRONG_CODE),
    "finished": view(State.FINISHED),
    "neutral": view(State.NEUTRAL),
    "loop": view(State.LOOP, loop_cause=LoopCause.MFA),
    "passkey-only": view(State.START, methods=()),
}

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
