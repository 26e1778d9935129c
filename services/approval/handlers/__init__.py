"""One function for each use case of approval; the numbers are the steps of docs/flows/.

| step | function |
|---|---|
| sign-in 4 | `challenges.open_challenge` |
| 5 | `challenges.list_requests`; QR: `challenges.request_by_handle` |
| 6, 7 | `challenges.approve`, `challenges.refuse`; nobody answers: `challenges.end_overdue` |
| the phone's page, recent sign-ins | `challenges.past_requests` |
| the phone's session | `sessions.begin_session`, `open_session`, `signed_in`, `close_session` |
| enrolment 2, 8 | `tenant_configured`, `account_changed`, `invitation_changed` in `services/approval/projections.py` |
| 3 | `enrolment.begin_enrolment` |
| 5, 6 | `enrolment.finish_enrolment` |
| 7; lost phone 4 | `authenticator_changed` in `services/approval/projections.py` |
| lost phone 2, by the person | `sessions.begin_removal`, `remove_device` |
| unfreeze | `administration.unfreeze` |
| notification 1 | none: the key is a setting |
| 2 | `notifications.subscribe`, `unsubscribe` |
| 3 | `challenges.open_challenge`, in the same write |
| 7 | `notifications.subscription_gone`, `push_failed` |

Each reads the account, computes the change with a pure function of `domain/`, and writes both state and messages by
`Accounts.update`.
"""
