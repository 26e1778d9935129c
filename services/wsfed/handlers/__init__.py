"""One function for each use case of wsfed; the numbers are the steps of docs/flows/: sign-in, passkey, enrolment.

| step | function |
|---|---|
| sign-in 1, 2 | `begin`, `open_page`, `look`; `answer_from_session` when the browser's session is enough |
| 3, 4 | `name_account`, `ask_phone` |
| 5, 7, 8 | `phone_claimed`, `phone_ended`, `phone_accepted` |
| 10, 11 | `take_token` |
| passkey 2, 6 | `ask_passkey`, `use_passkey` |
| sign-out | `sign_out` |
| key roll-over | `show_keys`, `next_key`, `switch_key`, `promote_key`, `emergency_keys` |
| enrolment 2, 7 | `tenant_configured`, `account_changed`, `invitation_changed`, `device_changed` |
"""

from services.wsfed.handlers.common import Browser, PasskeyNeeded, WsFed, find_tenant, look
from services.wsfed.handlers.issuing import (
    AlreadyIssued,
    Answer,
    NotApproved,
    Question,
    RedirectLoop,
    answer_from_session,
    question,
    sign_out,
    take_token,
)
from services.wsfed.handlers.knowing import (
    account_changed,
    device_changed,
    invitation_changed,
    tenant_configured,
)
from services.wsfed.handlers.passkeys import ask_passkey, use_passkey
from services.wsfed.handlers.proving import phone_accepted, phone_claimed, phone_ended
from services.wsfed.handlers.rolling import emergency_keys, next_key, promote_key, show_keys, switch_key
from services.wsfed.handlers.signing_in import ask_phone, begin, name_account, open_page, standing

__all__ = [
    "AlreadyIssued",
    "Answer",
    "Browser",
    "NotApproved",
    "PasskeyNeeded",
    "Question",
    "RedirectLoop",
    "WsFed",
    "account_changed",
    "answer_from_session",
    "ask_passkey",
    "ask_phone",
    "begin",
    "device_changed",
    "emergency_keys",
    "find_tenant",
    "invitation_changed",
    "look",
    "name_account",
    "next_key",
    "open_page",
    "phone_accepted",
    "phone_claimed",
    "phone_ended",
    "promote_key",
    "question",
    "show_keys",
    "sign_out",
    "standing",
    "switch_key",
    "take_token",
    "tenant_configured",
    "use_passkey",
]
