"""What a transaction looks like on its page at a given moment. Pure."""

import zlib
from dataclasses import replace
from datetime import datetime

import segno

from services.wsfed.domain.transaction import MAX_RENEWALS, State, Transaction
from services.wsfed.pages import views

_PAGE_STATES = {
    State.STARTED: views.State.START,
    State.DENIED: views.State.DENIED,
    State.NOT_ME: views.State.NOT_ME,
    State.EXPIRED: views.State.EXPIRED,
    State.SUPERSEDED: views.State.SUPERSEDED,
    State.WRONG_CODE: views.State.WRONG_CODE,
    State.LIMITED: views.State.NEUTRAL,
    State.PROVED: views.State.PROVED,
    State.ISSUED: views.State.FINISHED,
}


def page_state(transaction: Transaction, now: datetime) -> views.State:
    """The page's state, named as the live stream names it."""
    state = transaction.seen_at(now)
    if state is State.WAITING and transaction.challenge is not None:
        if transaction.challenge.claimed:
            return views.State.QR_SCANNED
        by_qr = transaction.challenge.handle is not None
        return views.State.QR_WAITING if by_qr else views.State.PUSH_WAITING
    return _PAGE_STATES[state]


def page_version(transaction: Transaction, now: datetime) -> int:
    """Changes whenever the page would look different."""
    challenge = transaction.challenge.id if transaction.challenge else ""
    return zlib.crc32(f"{page_state(transaction, now)}/{challenge}/{transaction.hint}".encode())


def with_challenge(view: views.SignIn, transaction: Transaction, now: datetime, origin: str) -> views.SignIn:
    """The view in its state, with code, time left and QR code while a request is open."""
    state, challenge = page_state(transaction, now), transaction.challenge
    if challenge is None or state not in views.LIVE:
        return replace(view, state=state)
    view = replace(
        view,
        state=state,
        code=challenge.code,
        expires_in=max(0, int((challenge.shown_until - now).total_seconds())),
        qr=_qr(f"{origin}/key/#q={challenge.handle}") if state is views.State.QR_WAITING else None,
    )
    if not transaction.renewable(challenge.id):
        return view
    return replace(view, renews=challenge.id, renewals_left=MAX_RENEWALS - transaction.renewals)


def _qr(text: str) -> views.Qr:
    """A QR code as one path, a module a unit (ISO/IEC 18004; level M: it is read from a screen)."""
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
