"""What a transaction looks like on its page at a given moment. Pure."""

import zlib
from datetime import datetime
from functools import lru_cache

import segno

from services.wsfed.domain.options import PageState, SignInOptions, page_state
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.transaction import Transaction
from services.wsfed.pages import views
from services.wsfed.ports import Tenant
from services.wsfed.routes.logo import logo_path

MAX_PICTURES = 1000
"""QR codes that are held as they were drawn, some 5 KB each; the one that was shown longest ago goes first."""


def page_version_of(transaction: Transaction, now: datetime) -> tuple[PageState, int]:
    """The page's state, and a number that changes whenever the page would look different."""
    state = page_state(transaction, now)
    return state, _version(transaction, state)


def _version(transaction: Transaction, state: PageState) -> int:
    challenge = transaction.challenge.id if transaction.challenge else ""
    return zlib.crc32(f"{state}/{challenge}/{transaction.username}".encode())


def sign_in_page(
    transaction: Transaction,
    options: SignInOptions,
    now: datetime,
    *,
    csrf: str,
    organisation: str,
    application: str,
    problem: views.FieldProblem | None,
    typed: str,
    passkey: views.PasskeyRequest | None,
    phone_origin: str,
    start_url: str,
    own_page: str = "",
    logo: str = "",
) -> views.SignIn:
    """The transaction's page with these options: with code, time left and QR code while a request is open."""
    state, challenge = options.state, transaction.challenge if options.live else None
    left = 0 if challenge is None else int((challenge.shown_until - now).total_seconds())
    scan = None if challenge is None or state is not PageState.QR_WAITING else challenge.handle
    return views.SignIn(
        txn=transaction.id,
        csrf=csrf,
        options=options,
        version=_version(transaction, state),
        organisation=organisation,
        application=application,
        account=transaction.username if options.named else None,
        typed=typed,
        passkey=passkey,
        problem=problem,
        code="" if challenge is None else challenge.code,
        expires_in=max(0, left),
        qr=None if scan is None else qr_picture(f"{phone_origin}/#q={scan}"),
        key_url=f"{phone_origin}/" if scan is None else f"{phone_origin}/#q={scan}",
        start_url=start_url,
        own_page=own_page,
        trial=bool(transaction.trial),
        logo=logo,
    )


def stopped_loop(tenant: Tenant, request: SignInRequest, start_url: str) -> views.SignIn:
    """The page that stops a loop, with the most likely cause."""
    cause = views.LoopCause.REFUSED
    if request.mfa_wanted:
        cause = views.LoopCause.MFA
    elif request.fresh_required or request.max_age is not None:
        cause = views.LoopCause.FRESH
    return views.SignIn(
        txn="",
        csrf="",
        options=SignInOptions(state=PageState.LOOP),
        organisation=tenant.configured.name,
        logo=logo_path(tenant),
        account=request.username,
        start_url=start_url,
        loop_cause=cause,
    )


@lru_cache(MAX_PICTURES)
def qr_picture(text: str) -> views.Qr:
    """A QR code as one path, a module a unit (ISO/IEC 18004; level M: it is read from a screen).

    Drawn once for each handle: it takes milliseconds, and the page that shows it can be asked for at will.
    """
    code = segno.make(text, error="m", micro=False)
    path = []
    for y, row in enumerate(code.matrix):
        x = 0
        while x < len(row):
            if row[x]:
                end = x
                while end < len(row) and row[end]:
                    end += 1
                path.append(f"M{x} {y}h{end - x}v1h-{end - x}z")
                x = end
            else:
                x += 1
    return views.Qr(modules=len(code.matrix), path="".join(path))
