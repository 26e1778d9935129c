"""approval: phones, and the requests that they answer.

Challenge: `open -> accepted | denied | not_me | expired | superseded | wrong_code | limited`. An account with its
devices, invitations, challenges, quotas and freeze is one document; every step on it is one conditional write
that also holds the messages it sends (`handlers/steps.py`).

| URL | what it is |
|---|---|
| GET /key/ | the phone's page; an invitation or a QR code is only in its #fragment |
| POST /key/api/enrolments | `{invitation}` to `{id, tenant, account, upn, organisation, options}` |
| POST /key/api/enrolments/{id} | `{credential, endorsement, name}` to `{device}` |
| POST /key/api/sessions/options | `{}` to `{id, options}` |
| POST /key/api/sessions | `{id, credential}` to a cookie; DELETE ends it |
| GET /key/api/challenges | session: open requests, at most three, and what this phone has scanned |
| POST /key/api/challenges/by-handle | session: `{handle}` from a QR code to its request; once |
| POST /key/api/challenges/{id}/approve | `{context, credential}`; the assertion is the authentication |
| POST /key/api/challenges/{id}/deny, /not-me | session: `{}` |
| GET /key/api/devices, DELETE /key/api/devices/{id} | session: the person's own phones |
| GET /key/api/push-key | `{key}` to subscribe to notifications with |
| POST, DELETE /key/api/push-subscription | session: this phone's PushSubscription, kept sealed for notify |

Queue `approval`: OpenChallenge from wsfed; TenantConfigured, AccountChanged, InvitationChanged, RemoveDevice,
UnfreezePush from admin; SubscriptionGone from notify.
Sends ChallengeClaimed, ChallengeAccepted, ChallengeEnded, DeviceChanged, SendPush.
"""

from pathlib import Path

from shared.errors import add_catalogue

add_catalogue(Path(__file__).parent / "errors")
