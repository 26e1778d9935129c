"""approval: phones, and the requests that they answer.

Theory of operation. An account with its devices, invitations, challenges, quotas and freeze is one document. Every
change is one conditional write: read the account, compute the new one with a pure function of `domain/`, write it with
its messages on condition that the revision is still the one that was read; if somebody wrote in between, again. Two
answers at once, or fifty guesses at once, are therefore taken one after the other. A request and its approval cost two
store operations each. The states of a challenge are in `domain/lifecycle.py`, the steps in `handlers/__init__.py`.

| URL | what it is |
|---|---|
| POST /api/enrolments | `{invitation}` to `{id, server_nonce}` and what the key is for |
| POST /api/enrolments/{id} | `{statement, credential, endorsement, name, session?, session_signature?}` to `{device}` |
| POST /api/sessions/nonce | `{}` to `{id, server_nonce}` |
| POST /api/sessions | `{id, statement, credential}` to `{token, account, device}`; DELETE ends the session |
| GET /api/challenges | session: open requests, at most three, and what this phone has scanned; its notifications |
| POST /api/challenges/by-handle | session: `{handle}` from a QR code to its request; once |
| POST /api/challenges/{id}/approve | `{context, credential}`; the assertion is the authentication |
| POST /api/challenges/{id}/deny, /not-me | session: `{}` |
| GET /api/devices | session: the person's own phones |
| POST /api/devices/{id}/remove/nonce | session: `{}` to `{id, server_nonce}` |
| POST /api/devices/{id}/remove | session: `{id, statement, credential}` |
| GET /api/push-key | `{key}` to subscribe to notifications with |
| POST, DELETE /api/push-subscription | session: this phone's PushSubscription, kept sealed for notify |

"session" means `Authorization: Bearer` with the token of an open session. A statement is what the phone itself puts
together and signs (`shared/crypto/statement.py`), with the nonce that was given out; each nonce is good for one answer.
The phone's page is no part of this service: its files are in `shared/web/phone/`, so that nothing which runs here can
change what a phone shows or signs.

Queue `approval`: the table in `consumers.py`.
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
