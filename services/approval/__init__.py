"""approval: phones, and the requests that they answer.

Theory of operation. An account with its devices, invitations, challenges, quotas and freeze is one document. Every
change is one conditional write: read the account, compute the new one with a pure function of `domain/`, write it with
its messages on condition that the revision is still the one that was read; if somebody wrote in between, again. Two
answers at once, or fifty guesses at once, are therefore taken one after the other. A request and its approval cost two
store operations each. The states of a challenge are in `domain/lifecycle.py`, the steps in `handlers/__init__.py`.

| URL | what it is |
|---|---|
| GET / | the phone's page; an invitation or a QR code is only in its #fragment |
| POST /api/enrolments | `{invitation}` to `{id, tenant, account, upn, organisation, options}` |
| POST /api/enrolments/{id} | `{credential, endorsement, name}` to `{device}` |
| POST /api/sessions/options | `{}` to `{id, options}` |
| POST /api/sessions | `{id, credential}` to a cookie; DELETE ends it |
| GET /api/challenges | session: open requests, at most three, and what this phone has scanned |
| POST /api/challenges/by-handle | session: `{handle}` from a QR code to its request; once |
| POST /api/challenges/{id}/approve | `{context, credential}`; the assertion is the authentication |
| POST /api/challenges/{id}/deny, /not-me | session: `{}` |
| GET /api/devices, DELETE /api/devices/{id} | session: the person's own phones |
| GET /api/push-key | `{key}` to subscribe to notifications with |
| POST, DELETE /api/push-subscription | session: this phone's PushSubscription, kept sealed for notify |

Queue `approval`: the table in `consumers.py`.
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
